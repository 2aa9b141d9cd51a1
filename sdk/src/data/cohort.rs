//! What every parser yields: patients, their admissions in time order, codes and abnormal labs.

use super::{AdmissionFacts, Demographics, Events, Ids, PatientFacts, Ragged, Step};
use crate::{Error, Result};
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// A laboratory item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabItem {
    /// Identifier in the source table.
    pub id: i64,
    /// Index into [`Cohort::lab_categories`]; `None` when the item belongs to none of them.
    pub category: Option<u8>,
}

/// Patients with their admissions, codes and abnormal laboratory items.
///
/// Rows of [`Cohort::codes`] and [`Cohort::labs`] are admissions; the admissions of patient `p` are the rows
/// `admissions.range(p)`, in time order. Parsers have already dropped patients that have an admission without codes
/// (*calibration*), so that every admission has at least one code.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cohort {
    /// Patient identifiers, in the order of the source.
    pub patients: Vec<i64>,
    /// Admission identifiers of each patient, in time order.
    pub admissions: Ragged<i64>,
    /// Per admission, indices into [`Cohort::code_names`] in the order of the source, repeats kept.
    pub codes: Ragged<u32>,
    /// Code texts, in order of first appearance.
    pub code_names: Vec<String>,
    /// Per admission, the set of abnormal items as ascending indices into [`Cohort::lab_items`].
    pub labs: Ragged<u32>,
    /// Laboratory items, ascending by identifier.
    pub lab_items: Vec<LabItem>,
    /// Names of the laboratory categories, such as `hematology`, for objectives that ask about each of them.
    pub lab_categories: Vec<String>,
    /// Patients whose results say where the values of laboratory items are cut, as ascending indices into
    /// [`Cohort::patients`]; nothing where none are cut. [`ParserContext::cut_from`](crate::component::ParserContext::cut_from)
    /// sets it.
    pub cut_from: Vec<u32>,
    /// Which person each patient is, by numbers below that of patients: equal ones are the same person, such as hospital stays of
    /// eICU. Nothing where each patient is a person.
    pub persons: Vec<u32>,
    /// How patients are called in the source, when their identifiers are texts; else nothing.
    pub patient_names: Vec<String>,
    /// The same for admissions, in the order of their rows.
    pub admission_names: Vec<String>,
    /// Titles of [`Cohort::code_names`], empty where there is none; or nothing at all.
    pub code_titles: Vec<String>,
    /// Names of [`Cohort::lab_items`], empty where there is none; or nothing at all.
    pub lab_names: Vec<String>,
    /// What is known of each patient; nothing when the source has none of it.
    pub patient_facts: Vec<PatientFacts>,
    /// What is known of each admission, in the order of their rows; nothing when the source has none of it.
    pub admission_facts: Vec<AdmissionFacts>,
    /// Codes of further kinds, such as procedures and drugs.
    pub events: Vec<Events>,
    /// Kinds of [`Cohort::events`] that stand beside diagnoses as codes of visits and nodes of the graph. An experiment
    /// sets it, parsers leave it empty.
    pub nodes: Vec<String>,
    /// From raw rows to this cohort: how many were read, left out, and why.
    pub flow: Vec<Step>,
    /// What else was repaired while reading, as (what, how many), for the log.
    pub notes: Vec<(String, u64)>,
}

impl Cohort {
    /// From patients with their admissions in time order, and the codes of each admission as indices into `names`, for
    /// parsers. Patients that have an admission without codes are left out, as published; so are codes that nobody is
    /// left with. Returns how many patients were left out too, which stands in the flow as a step. There are no laboratory
    /// items yet.
    pub fn of_admissions(
        patients: Vec<(i64, Vec<i64>)>,
        codes: &HashMap<i64, Vec<u32>>,
        names: &[String],
    ) -> (Self, u64) {
        let (mut cohort, mut left_out) = (Self::default(), 0);
        let (all, mut admissions_left_out) = (patients.len() as u64, 0);
        let admissions_of_all = patients.iter().map(|p| p.1.len() as u64).sum();
        let mut numbers = vec![None; names.len()];
        for (patient, admissions) in patients {
            if !admissions.iter().all(|admission| codes.get(admission).is_some_and(|codes| !codes.is_empty())) {
                left_out += 1;
                admissions_left_out += admissions.len() as u64;
                continue;
            }
            for admission in &admissions {
                let code_names = &mut cohort.code_names;
                cohort.codes.push(codes[admission].iter().map(|&code| {
                    *numbers[code as usize].get_or_insert_with(|| {
                        code_names.push(names[code as usize].clone());
                        code_names.len() as u32 - 1
                    })
                }));
                cohort.labs.push([]);
            }
            cohort.patients.push(patient);
            cohort.admissions.push(admissions);
        }
        cohort.flow = vec![
            Step::new("patients", all).lost("with an admission without codes", left_out),
            Step::new("admissions", admissions_of_all).lost("of those patients", admissions_left_out),
        ];
        (cohort, left_out)
    }

    /// Puts steps before those that are there, in the order of reading.
    pub fn flow_begins_with(&mut self, steps: impl IntoIterator<Item = Step>) {
        self.flow.splice(0..0, steps);
    }

    /// An error with the flow, unless there are patients.
    ///
    /// # Errors
    /// Says how many of what were left out, and why.
    pub fn not_empty(&self) -> Result<()> {
        if !self.patients.is_empty() {
            return Ok(());
        }
        let mut error = Error::user("no patient is left");
        for line in super::flow::table(&self.flow).lines() {
            error = error.help(line.trim_end());
        }
        Err(error)
    }

    /// The place of each admission, by its identifier.
    pub fn places(&self) -> HashMap<i64, usize> {
        self.admissions.values().iter().copied().zip(0..).collect()
    }

    /// Sets what patients and admissions are called, from the identifiers that they were read with.
    pub fn set_names(&mut self, patients: &Ids, admissions: &Ids) {
        self.patient_names = patients.names(&self.patients);
        self.admission_names = admissions.names(self.admissions.values());
    }

    /// Sets what is known of patients and admissions, by their identifiers; nothing where nothing is known of any.
    pub fn set_facts(&mut self, patient: impl Fn(i64) -> PatientFacts, admission: impl Fn(i64) -> AdmissionFacts) {
        self.patient_facts = self.patients.iter().map(|&id| patient(id)).collect();
        if self.patient_facts.iter().all(|facts| *facts == PatientFacts::default()) {
            self.patient_facts.clear();
        }
        self.admission_facts = self.admissions.values().iter().map(|&id| admission(id)).collect();
        if self.admission_facts.iter().all(|facts| *facts == AdmissionFacts::default()) {
            self.admission_facts.clear();
        }
    }

    /// Sets which patients are the same person, by their identifiers: those of whom `person` says the same. Who has none is
    /// a person alone.
    pub fn set_persons<K: Hash + Eq>(&mut self, person: impl Fn(i64) -> Option<K>) {
        let (mut numbers, mut next) = (HashMap::new(), 0u32);
        let number = |&patient: &i64| {
            let number = person(patient).map_or(next, |person| *numbers.entry(person).or_insert(next));
            next += u32::from(number == next);
            number
        };
        self.persons = self.patients.iter().map(number).collect();
    }

    /// The number of the person that patient `p` is: `p` where each patient is a person.
    pub fn person(&self, p: usize) -> usize {
        self.persons.get(p).map_or(p, |&person| person as usize)
    }

    /// Sets the titles of codes.
    pub fn set_titles(&mut self, title: impl Fn(&str) -> Option<String>) {
        self.code_titles = self.code_names.iter().map(|name| title(name).unwrap_or_default()).collect();
        if self.code_titles.iter().all(String::is_empty) {
            self.code_titles.clear();
        }
    }

    /// Sets the names of laboratory items, by their identifiers.
    pub fn set_lab_names(&mut self, name: impl Fn(i64) -> Option<String>) {
        self.lab_names = self.lab_items.iter().map(|item| name(item.id).unwrap_or_default()).collect();
        if self.lab_names.iter().all(String::is_empty) {
            self.lab_names.clear();
        }
    }

    /// Adds codes of another kind: `rows` has the indices into `names` of each admission, by its identifier. Repeats in
    /// an admission count once; names that no admission of the cohort has are left out.
    pub fn add_events(&mut self, kind: &str, rows: &HashMap<i64, Vec<u32>>, names: &[String]) {
        let mut events = Events { kind: kind.to_owned(), ..Events::default() };
        let mut numbers = vec![None; names.len()];
        for admission in self.admissions.values() {
            let mut row: Vec<u32> = Vec::new();
            for &name in rows.get(admission).into_iter().flatten() {
                let number = *numbers[name as usize].get_or_insert_with(|| {
                    events.names.push(names[name as usize].clone());
                    events.names.len() as u32 - 1
                });
                if !row.contains(&number) {
                    row.push(number);
                }
            }
            events.rows.push(row);
        }
        self.events.push(events);
    }

    /// Sets the titles of codes of another kind, where they have none yet.
    pub fn set_event_titles(&mut self, kind: &str, title: impl Fn(&str) -> Option<String>) {
        let Some(events) = self.events.iter_mut().find(|events| events.kind == kind) else { return };
        events.titles.resize(events.names.len(), String::new());
        for (name, known) in events.names.iter().zip(&mut events.titles).filter(|(_, known)| known.is_empty()) {
            *known = title(name).unwrap_or_default();
        }
        if events.titles.iter().all(String::is_empty) {
            events.titles.clear();
        }
    }

    /// The titles of codes, by what vocabularies call them: codes of other kinds than diagnoses have their kind and a colon
    /// before them. What has no title is left out.
    pub fn titles(&self) -> BTreeMap<String, &str> {
        let diagnoses = self.code_names.iter().cloned().zip(&self.code_titles);
        let others = self.events.iter().flat_map(|events| {
            let Events { kind, names, titles, .. } = events;
            names.iter().map(move |name| format!("{kind}:{name}")).zip(titles)
        });
        let all = diagnoses.chain(others).filter(|(_, title)| !title.is_empty());
        all.map(|(code, title)| (code, title.as_str())).collect()
    }

    /// Codes of another kind, such as `drugs`, when the source has them.
    pub fn events(&self, kind: &str) -> Option<&Events> {
        self.events.iter().find(|events| events.kind == kind)
    }

    /// How patient `p` is called in the source.
    pub fn patient_name(&self, p: usize) -> String {
        self.patient_names.get(p).cloned().unwrap_or_else(|| self.patients[p].to_string())
    }

    /// The title of a code by its index; empty when there is none.
    pub fn code_title(&self, code: usize) -> &str {
        self.code_titles.get(code).map_or("", String::as_str)
    }

    /// The name of a laboratory item by its index; empty when there is none.
    pub fn lab_name(&self, item: usize) -> &str {
        self.lab_names.get(item).map_or("", String::as_str)
    }

    /// Sets the abnormal laboratory items: for each admission, in the cohort's order, the keys of its items; `item` gives
    /// identifier and category of a key. Only items that are abnormal somewhere become items of the cohort.
    pub fn set_labs<K: Ord + Copy>(&mut self, mut sets: Vec<Vec<K>>, item: impl Fn(K) -> LabItem) {
        let mut keys: Vec<K> = sets.iter().flatten().copied().collect();
        keys.sort_unstable();
        keys.dedup();
        let rank = |key: K| keys.partition_point(|&k| k < key) as u32;
        for set in &mut sets {
            set.sort_unstable();
            set.dedup();
        }
        self.labs = sets.into_iter().map(|set| set.into_iter().map(rank).collect::<Vec<_>>()).collect();
        self.lab_items = keys.into_iter().map(item).collect();
    }

    /// Number of admissions of patient `p`.
    pub fn visits(&self, p: usize) -> usize {
        self.admissions.range(p).len()
    }

    /// Age and sex of patient `p` at one of its admissions, which is given as a row.
    pub fn demographics(&self, p: usize, admission: usize) -> Demographics {
        let age = self.admission_facts.get(admission).and_then(|facts| facts.age);
        let sex = self.patient_facts.get(p).and_then(|facts| facts.sex);
        Demographics { age: age.filter(|age| age.is_finite()), sex }
    }

    /// Whether the age or the sex of anybody is known.
    pub fn has_demographics(&self) -> bool {
        self.patient_facts.iter().any(|facts| facts.sex.is_some())
            || self.admission_facts.iter().any(|facts| facts.age.is_some())
    }

    /// Checks the invariants that the rest of the SDK relies on; for parser authors and tests.
    ///
    /// # Errors
    /// Say what is inconsistent.
    pub fn validate(&self) -> Result<()> {
        let checks = [Self::check_identifiers, Self::check_rows, Self::check_names, Self::check_events];
        match checks.iter().find_map(|check| check(self).err()) {
            None => Ok(()),
            Some(what) => Err(Error::program(format!("the parser returned an inconsistent cohort: {what}"))),
        }
    }

    fn check_identifiers(&self) -> std::result::Result<(), String> {
        let twice = |identifiers: &[i64]| {
            let mut seen = std::collections::HashSet::with_capacity(identifiers.len());
            !identifiers.iter().all(|identifier| seen.insert(*identifier))
        };
        let within = |indices: &[u32]| indices.iter().all(|&i| (i as usize) < self.patients.len());
        must(self.patients.len() == self.admissions.len(), "patients and rows of admissions differ in number")?;
        must(within(&self.persons), "the number of a person is not below that of patients")?;
        must(within(&self.cut_from), "a patient whose results are cut is out of range")?;
        must(!twice(&self.patients), "a patient occurs twice")?;
        must(!twice(self.admissions.values()), "an admission occurs twice")
    }

    fn check_rows(&self) -> std::result::Result<(), String> {
        let (rows, categories) = (self.admissions.values().len(), self.lab_categories.len());
        let within = |indices: &[u32], number: usize| indices.iter().all(|&i| (i as usize) < number);
        must(self.codes.len() == rows && self.labs.len() == rows, "codes and labs need one row per admission")?;
        must(within(self.codes.values(), self.code_names.len()), "a code index is out of range")?;
        must(within(self.labs.values(), self.lab_items.len()), "a lab index is out of range")?;
        let known = |item: &LabItem| item.category.is_none_or(|c| (c as usize) < categories);
        must(self.lab_items.iter().all(known), "a lab category is out of range")?;
        must(!self.codes.rows().any(<[u32]>::is_empty), "an admission has no codes")
    }

    fn check_names(&self) -> std::result::Result<(), String> {
        let rows = self.admissions.values().len();
        let (patients, codes, items) = (self.patients.len(), self.code_names.len(), self.lab_items.len());
        let lists = [
            ("persons", self.persons.len(), patients),
            ("names of patients", self.patient_names.len(), patients),
            ("names of admissions", self.admission_names.len(), rows),
            ("titles of codes", self.code_titles.len(), codes),
            ("names of laboratory items", self.lab_names.len(), items),
            ("facts of patients", self.patient_facts.len(), patients),
            ("facts of admissions", self.admission_facts.len(), rows),
        ];
        match lists.into_iter().find(|(_, n, expected)| *n != 0 && n != expected) {
            None => Ok(()),
            Some((what, n, expected)) => Err(format!("{n} {what} for {expected}")),
        }
    }

    fn check_events(&self) -> std::result::Result<(), String> {
        let rows = self.admissions.values().len();
        let whole = |events: &Events| {
            events.rows.len() == rows && events.rows.values().iter().all(|&e| (e as usize) < events.names.len())
        };
        if let Some(events) = self.events.iter().find(|events| !whole(events)) {
            return Err(format!("the {} need a row per admission and a name per code", events.kind));
        }
        let titled = |events: &Events| events.titles.is_empty() || events.titles.len() == events.names.len();
        match self.events.iter().find(|events| !titled(events)) {
            None => Ok(()),
            Some(events) => Err(format!("the {} need a title per name, or none", events.kind)),
        }
    }
}

fn must(holds: bool, what: &str) -> std::result::Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cohort() -> Cohort {
        let patients = [(7, vec![70]), (8, vec![80]), (9, vec![90]), (5, vec![50])].to_vec();
        let codes = [70, 80, 90, 50].map(|admission| (admission, vec![0])).into();
        Cohort::of_admissions(patients, &codes, &["428.0".to_owned()]).0
    }

    #[test]
    fn patients_may_be_the_same_person() {
        let mut cohort = cohort();
        assert_eq!((0..4).map(|p| cohort.person(p)).collect::<Vec<_>>(), [0, 1, 2, 3]);
        cohort.set_persons(|id| [(7, "a"), (9, "a")].into_iter().find(|(of, _)| *of == id).map(|(_, person)| person));
        assert_eq!(cohort.persons, [0, 1, 0, 2], "8 and 5 have nobody, and are two persons");
        cohort.validate().unwrap();
        assert_eq!(cohort.person(2), 0);
    }

    #[test]
    fn persons_that_do_not_fit_are_refused() {
        for persons in [vec![0, 1, 2], vec![0, 1, 2, 4]] {
            let error = Cohort { persons, ..cohort() }.validate().unwrap_err().to_string();
            assert!(error.contains("person"), "{error}");
        }
        let error = Cohort { cut_from: vec![4], ..cohort() }.validate().unwrap_err().to_string();
        assert!(error.contains("out of range"), "{error}");
    }
}
