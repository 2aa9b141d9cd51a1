//! `meds`: the Medical Event Data Standard.

use crate::Abnormal;
use dualk_sdk::component::Inputs;
use dualk_sdk::data::coding::{CodeSystem, Coding};
use dualk_sdk::data::events::{EventSets, read_mapping};
use dualk_sdk::data::hierarchy::Icd;
use dualk_sdk::data::labs::{Cuts, LabSets, Results, Rule};
use dualk_sdk::data::tables::{NOT_IN_COHORT, Rows, Table};
use dualk_sdk::data::{AdmissionFacts, Dates, Ids, LabItem, PatientFacts, Sex, Stays, Step, icd, years_between};
use dualk_sdk::error::Mistakes;
use dualk_sdk::prelude::*;
use dualk_sdk::schemars::JsonSchema;
use dualk_sdk::serde::{Deserialize, Serialize};
use dualk_sdk::source_options;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

source_options! {
    /// Options of `meds`.
    pub struct MedsOptions {
        /// Root of the data set, whose folder `data` has the Parquet files, in folders or not.
        pub root: FilePath = FilePath::default(),
        /// What a visit is: `admission`, from an admission to the next, or `day`, each day with a diagnosis.
        pub visits: Visits = Visits::Admission,
        /// Beginning of the codes of admissions.
        pub admission: String = "HOSPITAL_ADMISSION".into(),
        /// Beginning of the codes of discharges.
        pub discharge: String = "HOSPITAL_DISCHARGE".into(),
        /// Beginning of the codes of diagnoses in ICD-9-CM; the rest is the code.
        pub icd9: String = "DIAGNOSIS//ICD//9//".into(),
        /// Beginning of the codes of diagnoses in ICD-10-CM; the rest is the code.
        pub icd10: String = "DIAGNOSIS//ICD//10//".into(),
        /// Beginning of the codes of laboratory results, such as `LAB//RESULT//`.
        pub lab: String = "LAB//".into(),
        /// Further kinds of codes to read, each with the beginning of its codes, as `{ procedures = "PROCEDURE//ICD//", drugs =
        /// "MEDICATION//START//" }`; the rest is the code.
        pub events: BTreeMap<String, String> = BTreeMap::new(),
        /// How abnormal results are found, as events do not say: `interval` or `none`.
        pub abnormal: Abnormal = Abnormal::Interval,
    }
    shares { code_system = CodeSystem::Icd9, icd_map, group, date_format, drug_map, quantiles, }
}

/// What a visit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum Visits {
    /// The events from an admission up to the next; what is before the first belongs to none.
    #[default]
    Admission,
    /// The events of a day that has a diagnosis.
    Day,
}

impl Component for MedsOptions {
    const NAME: &'static str = "meds";
    const ABOUT: &'static str = "Medical Event Data Standard: Parquet files of events";
    const CITATION: &'static str = "Arnrich et al., Medical Event Data Standard (MEDS), ICLR TS4H 2024";
}

impl BuildParser for MedsOptions {
    fn build(self) -> Result<Box<dyn Parser>> {
        self.root.required("root")?;
        Dates::of_option(&self.date_format)?;
        let beginnings = [
            ("admission", &self.admission),
            ("discharge", &self.discharge),
            ("icd9", &self.icd9),
            ("icd10", &self.icd10),
            ("lab", &self.lab),
        ];
        let beginnings = beginnings.map(|(key, beginning)| (key.to_owned(), beginning)).into_iter();
        for (key, beginning) in beginnings.chain(self.events.iter().map(|(kind, b)| (format!("events.{kind}"), b))) {
            if beginning.is_empty() {
                return Err(Error::user("expected the beginning of codes, found nothing").at_key(key));
            }
        }
        if self.events.contains_key("diagnoses") {
            return Err(Error::user("diagnoses have the keys icd9 and icd10").at_key("events.diagnoses"));
        }
        self.abnormal.rule(self.quantiles)?;
        Ok(Box::new(Meds { options: self }))
    }
}

/// Reads the events of one file after the other. A subject's are in one file, as the standard has it; what is in several
/// waits for the last of them.
struct Meds {
    options: MedsOptions,
}

/// Files with mistakes that are named.
const ENOUGH: usize = 10;

const COLUMNS: [&str; 4] = ["subject_id", "time", "code", "numeric_value"];

/// What counts of an event. What is at the same time is taken in this order.
#[derive(Debug, Clone, PartialEq)]
enum What {
    Birth,
    Admission,
    /// The numbers of what a diagnosis stands for.
    Codes(Vec<u32>),
    /// A result, by the place of its code among those of laboratory results, with the part of its values.
    Result(usize, u32),
    /// A code of a further kind, by the place of the kind.
    Further(usize, String),
    Discharge,
    Death,
}

struct Event {
    /// Seconds since 1970.
    time: i64,
    what: What,
}

/// The events of a subject, and what has no time.
#[derive(Default)]
struct Subject {
    events: Vec<Event>,
    facts: PatientFacts,
}

impl Subject {
    fn sort(&mut self) {
        self.events.sort_by_key(|event| (event.time, event.what.order()));
    }

    /// With what an earlier file has of the same subject.
    fn after(mut self, earlier: Self) -> Self {
        let later = std::mem::replace(&mut self.events, earlier.events);
        self.events.extend(later);
        self.sort();
        self.facts.sex = self.facts.sex.or(earlier.facts.sex);
        self.facts.ethnicity = earlier.facts.ethnicity.or(self.facts.ethnicity);
        self
    }
}

/// What was read of events, and left out of them.
#[derive(Default)]
struct Counts {
    events: u64,
    without_code: u64,
    /// Of those that count where they have a time.
    without_time: u64,
    /// Of those with a time.
    labs: u64,
    without_number: u64,
    /// Results that are numbers and do not count.
    other_results: u64,
}

/// Subjects of a file.
type Found = BTreeMap<i64, Subject>;

/// Laboratory codes and where their values are cut.
struct Labs {
    names: Vec<String>,
    places: HashMap<String, usize>,
    cuts: Cuts<String>,
}

impl Default for Labs {
    fn default() -> Self {
        Self { names: Vec::new(), places: HashMap::new(), cuts: Cuts::None }
    }
}

/// What stands behind one of several beginnings.
fn after<'t>(code: &'t str, beginnings: &[&str]) -> Option<&'t str> {
    beginnings.iter().find_map(|beginning| code.strip_prefix(beginning))
}

impl Meds {
    fn files(&self) -> Result<Vec<PathBuf>> {
        let root = self.options.root.as_path();
        let data = root.join("data");
        let folder = if data.is_dir() { data } else { root.to_owned() };
        let mut files = Vec::new();
        parquet_in(&folder, &mut files)?;
        files.sort_unstable();
        match files.is_empty() {
            true => Err(Error::user("there is no .parquet file here")
                .at_file(folder)
                .help("give the root of a data set in the Medical Event Data Standard, with its folder `data`")),
            false => Ok(files),
        }
    }

    /// The results of every laboratory code, by which they are cut.
    fn results(&self, files: &[PathBuf], progress: &dyn Progress) -> Result<Results<String>> {
        let mut results = Results::default();
        let mut task = progress.begin("lab results", "files", Some(files.len() as u64));
        for file in files {
            let table = Table::at(file, &COLUMNS)?;
            let rows = table.read()?;
            for (i, (code, value)) in rows.texts("code")?.zip(rows.texts("numeric_value")?).enumerate() {
                if let (Some(code), Some(value)) = (code.filter(|c| c.starts_with(&self.options.lab)), value) {
                    results.add(code.to_owned(), number(&rows, i, value)?);
                }
            }
            task.advance(1);
        }
        task.finish("");
        Ok(results)
    }

    /// The events of each subject in the order of time.
    fn events(
        &self,
        table: &Table,
        rows: &Rows<'_>,
        labs: &Labs,
        coding: &mut Coding,
        subjects: &[i64],
        counts: &mut Counts,
    ) -> Result<Found> {
        let columns = rows.texts("time")?.zip(rows.texts("code")?).zip(rows.texts("numeric_value")?);
        let dates = Dates::of_option(&self.options.date_format)?;
        let races = rows.texts_if(table.place("race").map(|_| "race"))?;
        let mut found = Found::new();
        counts.events += rows.len() as u64;
        for (i, ((time, code), value)) in columns.enumerate() {
            let Some(code) = code else {
                counts.without_code += 1;
                continue;
            };
            if let Some(race) = races[i].or_else(|| after(code, &["RACE//", "ETHNICITY//"])) {
                found.entry(subjects[i]).or_default().facts.ethnicity.get_or_insert_with(|| race.to_owned());
            }
            if let Some(sex) = code.strip_prefix("GENDER//") {
                found.entry(subjects[i]).or_default().facts.sex = Sex::parse(sex);
            }
            // What has no time, such as a birthplace, belongs to no visit.
            let Some(time) = time else {
                counts.without_time += u64::from(self.counts(code));
                continue;
            };
            let has_value = value.is_some();
            let value = || value.map(|value| number(rows, i, value)).transpose();
            let what = self.what(code, value, labs, coding)?;
            if code.starts_with(&self.options.lab) {
                counts.labs += 1;
                match what {
                    Some(What::Result(..)) => {}
                    _ if has_value => counts.other_results += 1,
                    _ => counts.without_number += 1,
                }
            }
            let Some(what) = what else { continue };
            let Some(time) = dates.read(time) else {
                let error = rows.error(i, "the column `time` must hold a time such as 2016-05-20 19:16:52");
                return Err(error.help("the option date_format says how times are written that are texts"));
            };
            found.entry(subjects[i]).or_default().events.push(Event { time, what });
        }
        found.values_mut().for_each(Subject::sort);
        Ok(found)
    }

    /// Whether an event with this code counts where it has a time.
    fn counts(&self, code: &str) -> bool {
        let options = &self.options;
        let known = [&options.icd9, &options.icd10, &options.admission, &options.discharge];
        let lab = (options.abnormal != Abnormal::None).then_some(&options.lab);
        let beginnings = known.into_iter().chain(lab).chain(options.events.values()).map(String::as_str);
        beginnings.chain(["MEDS_BIRTH", "MEDS_DEATH"]).any(|beginning| code.starts_with(beginning))
    }

    /// For each subject the last file that it is in.
    fn last_files(files: &[PathBuf], ids: &mut Option<Ids>) -> Result<HashMap<i64, usize>> {
        let mut last = HashMap::new();
        for (place, file) in files.iter().enumerate() {
            let table = Table::at(file, &COLUMNS[..1])?;
            let subjects = Self::subjects(&table.read()?, ids)?;
            last.extend(subjects.into_iter().map(|subject| (subject, place)));
        }
        Ok(last)
    }

    /// What counts of an event.
    fn what(
        &self,
        code: &str,
        value: impl Fn() -> Result<Option<f32>>,
        labs: &Labs,
        coding: &mut Coding,
    ) -> Result<Option<What>> {
        let options = &self.options;
        Ok(if let Some(code) = code.strip_prefix(&options.icd9) {
            Some(What::Codes(coding.codes(Icd::Icd9, code).to_vec()))
        } else if let Some(code) = code.strip_prefix(&options.icd10) {
            Some(What::Codes(coding.codes(Icd::Icd10, code).to_vec()))
        } else if code.starts_with(&options.admission) {
            Some(What::Admission)
        } else if code.starts_with(&options.discharge) {
            Some(What::Discharge)
        } else if code.starts_with("MEDS_BIRTH") {
            Some(What::Birth)
        } else if code.starts_with("MEDS_DEATH") {
            Some(What::Death)
        } else if let Some(item) = labs.places.get(code) {
            value()?.and_then(|value| labs.cuts.part(&labs.names[*item], value)).map(|part| What::Result(*item, part))
        } else {
            let kind = |(at, beginning): (usize, &String)| Some((at, code.strip_prefix(beginning.as_str())?));
            let further = options.events.values().enumerate().find_map(kind);
            further.map(|(kind, code)| What::Further(kind, code.to_owned()))
        })
    }

    /// The laboratory codes that have results, in the order of the alphabet, and where their values are cut.
    fn labs(&self, files: &[PathBuf], rule: Option<Rule>, progress: &dyn Progress) -> Result<Labs> {
        let Some(rule) = rule else { return Ok(Labs::default()) };
        let cuts = self.results(files, progress)?.cuts(rule);
        let names: Vec<String> = match &cuts {
            Cuts::None => Vec::new(),
            Cuts::Intervals(of) => of.keys().cloned().collect::<BTreeSet<_>>().into_iter().collect(),
            Cuts::Parts(of) => of.keys().cloned().collect::<BTreeSet<_>>().into_iter().collect(),
        };
        let places = names.iter().cloned().zip(0..).collect();
        Ok(Labs { names, places, cuts })
    }

    /// What the data set says of codes, where it does: their descriptions.
    fn descriptions(&self) -> Result<HashMap<String, String>> {
        let folder = self.options.root.as_path().join("metadata");
        let Some(table) = Table::open_if_there(&folder, "codes", &["code"])? else { return Ok(HashMap::new()) };
        let mut table = table;
        let Some(description) = table.also("description") else { return Ok(HashMap::new()) };
        let rows = table.read()?;
        let described = |(code, text): (Option<&str>, Option<&str>)| Some((code?.to_owned(), text?.to_owned()));
        let found = rows.texts("code")?.zip(rows.texts(&description)?).filter_map(described).collect();
        Ok(found)
    }

    /// The subjects of a file's rows; the first file decides whether they are integers, as the standard has it.
    fn subjects(rows: &Rows<'_>, ids: &mut Option<Ids>) -> Result<Vec<i64>> {
        match ids {
            None => {
                let (first, numbers) = Ids::of(rows, "subject_id")?;
                *ids = Some(first);
                Ok(numbers)
            }
            Some(ids) if ids.are_integers() => rows.integers("subject_id"),
            Some(ids) => Ok(rows.texts("subject_id")?.map(|text| ids.add(text.unwrap_or(""))).collect()),
        }
    }
}

impl What {
    /// Its place among what is at the same time: admissions first, ends last.
    fn order(&self) -> u8 {
        match self {
            Self::Birth => 0,
            Self::Admission => 1,
            Self::Codes(_) | Self::Result(..) | Self::Further(..) => 2,
            Self::Discharge => 3,
            Self::Death => 4,
        }
    }
}

/// Parquet files in a folder and below.
fn parquet_in(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let fail = |e| Error::io("read the folder", folder, e);
    for entry in fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.is_dir() {
            parquet_in(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "parquet") {
            files.push(path);
        }
    }
    Ok(())
}

fn number(rows: &Rows<'_>, i: usize, text: &str) -> Result<f32> {
    text.parse().map_err(|_| rows.error(i, "the column `numeric_value` must hold a number"))
}

/// A visit of one subject.
#[derive(Default)]
struct Visit {
    codes: Vec<u32>,
    items: Vec<(usize, u32)>,
    further: Vec<(usize, String)>,
    facts: AdmissionFacts,
}

/// What becomes of the events of one subject.
#[derive(Default)]
struct Grouped {
    visits: Vec<Visit>,
    /// Diagnoses that are in visits, and those that belong to none.
    within: u64,
    without: u64,
    /// Laboratory results that count and belong to no visit.
    results_without: u64,
}

/// How codes of procedures begin in data sets of MIMIC-IV and others that are made in the same way; edition and code follow.
const PROCEDURE: &str = "PROCEDURE//ICD//";

const DAY: i64 = 86_400;

const BEFORE_THE_FIRST: &str = "before the first admission";

/// Groups events into visits.
fn visits(events: Vec<Event>, by: Visits) -> Grouped {
    let mut grouped = Grouped::default();
    let (mut open, mut day) = (None::<Visit>, None);
    let find = |what: What| events.iter().find(|event| event.what == what).map(|event| event.time);
    let (birth, death) = (find(What::Birth), find(What::Death));
    for event in events {
        let today = Some(event.time.div_euclid(DAY));
        let begins = match by {
            Visits::Admission => event.what == What::Admission,
            Visits::Day => today != day,
        };
        if begins {
            let age = birth.and_then(|birth| years_between(birth, event.time)).map(|years| years as f32);
            let facts = AdmissionFacts { start: Some(event.time), age, ..AdmissionFacts::default() };
            grouped.visits.extend(open.replace(Visit { facts, ..Visit::default() }));
        }
        day = today;
        match (&mut open, event.what) {
            (Some(visit), What::Codes(codes)) => {
                grouped.within += 1;
                visit.codes.extend(codes);
            }
            (Some(visit), What::Result(item, part)) => visit.items.push((item, part)),
            (Some(visit), What::Further(kind, code)) => visit.further.push((kind, code)),
            (Some(visit), What::Discharge) => {
                visit.facts.end = Some(event.time);
                // Some sources have the day of a death alone.
                visit.facts.died = Some(death.is_some_and(|death| death <= event.time));
            }
            (None, What::Codes(_)) => grouped.without += 1,
            (None, What::Result(..)) => grouped.results_without += 1,
            _ => {}
        }
    }
    grouped.visits.extend(open);
    if by == Visits::Day {
        let results = |visits: &[Visit]| visits.iter().map(|visit| visit.items.len() as u64).sum::<u64>();
        let all = results(&grouped.visits);
        grouped.visits.retain(|visit| !visit.codes.is_empty());
        grouped.results_without += all - results(&grouped.visits);
    }
    grouped
}

/// All visits, numbered from 1.
#[derive(Default)]
struct All {
    stays: Stays,
    codes: HashMap<i64, Vec<u32>>,
    items: HashMap<i64, Vec<(usize, u32)>>,
    within: u64,
    without: u64,
    results_without: u64,
    counts: Counts,
}

impl All {
    fn add(&mut self, subject: i64, facts: PatientFacts, grouped: Grouped, further: &mut [EventSets]) {
        (self.within, self.without) = (self.within + grouped.within, self.without + grouped.without);
        self.results_without += grouped.results_without;
        for visit in grouped.visits {
            let number = self.stays.len() as i64 + 1;
            self.stays.add(subject, number, number as f64, visit.facts);
            self.codes.insert(number, visit.codes);
            self.items.insert(number, visit.items);
            visit.further.iter().for_each(|(kind, code)| further[*kind].add(number, code));
        }
        *self.stays.patient(subject) = facts;
    }
}

impl Meds {
    fn all(&self, labs: &Labs, coding: &mut Coding, further: &mut [EventSets], progress: &dyn Progress) -> Result<All> {
        let files = self.files()?;
        let (mut all, mut ids) = (All::default(), None);
        let (last, mut waiting) = (Self::last_files(&files, &mut ids)?, HashMap::<i64, Subject>::new());
        let mut task = progress.begin("events", "files", Some(files.len() as u64));
        for (place, file) in files.iter().enumerate() {
            let mut table = Table::at(file, &COLUMNS)?;
            table.also("race");
            let rows = table.read()?;
            let subjects = Self::subjects(&rows, &mut ids)?;
            let mut found = self.events(&table, &rows, labs, coding, &subjects, &mut all.counts)?;
            // One that has nothing in its last file that counts, and something in an earlier one.
            for subject in subjects.iter().filter(|subject| last[*subject] == place) {
                if let Some(earlier) = waiting.remove(subject) {
                    let later = found.remove(subject).unwrap_or_default();
                    found.insert(*subject, later.after(earlier));
                }
            }
            for (subject, found) in found {
                if last[&subject] > place {
                    let earlier = waiting.remove(&subject).unwrap_or_default();
                    waiting.insert(subject, found.after(earlier));
                    continue;
                }
                all.add(subject, found.facts, visits(found.events, self.options.visits), further);
            }
            task.advance(1);
        }
        task.finish("");
        all.stays.patient_ids = ids.unwrap_or_default();
        Ok(all)
    }

    /// Puts the laboratory items into a cohort.
    fn add_labs(
        &self,
        all: &All,
        labs: &Labs,
        rule: Rule,
        described: &HashMap<String, String>,
        cohort: &mut Cohort,
    ) -> Result<()> {
        let mut sets = LabSets::new(cohort.admissions.values().len());
        for (at, admission) in cohort.admissions.values().iter().enumerate() {
            all.items.get(admission).into_iter().flatten().for_each(|&(item, part)| sets.insert(at, item, part));
        }
        sets.add_to(cohort, rule, |&item| {
            let code = &labs.names[item];
            let rest = code.strip_prefix(&self.options.lab).unwrap_or(code);
            let name = described.get(code).map_or_else(|| rest.to_owned(), |text| format!("{text} ({rest})"));
            (LabItem { id: item as i64 + 1, category: Some(0) }, name)
        });
        cohort.lab_categories = vec!["laboratory".into()];
        cohort.flow.push(self.lab_step(all, rule, cohort));
        Ok(())
    }

    /// How many laboratory events there are, and what is left out of them.
    fn lab_step(&self, all: &All, rule: Rule, cohort: &Cohort) -> Step {
        let results = |items: &Vec<(usize, u32)>| items.len() as u64;
        let within: u64 = all.items.values().map(results).sum();
        let used: u64 = cohort.admissions.values().iter().filter_map(|id| all.items.get(id)).map(results).sum();
        let Counts { labs, without_number, other_results, .. } = all.counts;
        let step = Step::new("laboratory events", labs);
        let step = match rule {
            // What has no part is infinite, or none.
            Rule::Parts(_) => step.by_rule("without a number", without_number + other_results),
            _ => step.by_rule("without a number", without_number).by_rule("that are not abnormal", other_results),
        };
        let step = match self.options.visits {
            Visits::Admission => step.lost(BEFORE_THE_FIRST, all.results_without),
            Visits::Day => step.by_rule("of days without a diagnosis", all.results_without),
        };
        step.by_rule(NOT_IN_COHORT, within - used)
    }
}

impl Parser for Meds {
    fn check(&self) -> Result<()> {
        let mut mistakes = Mistakes::default();
        for file in mistakes.note(self.files().map_err(|e| e.at_key("root"))).unwrap_or_default() {
            mistakes.note(Table::at(&file, &COLUMNS).map_err(|e| e.at_key("root")));
            // A folder of other files has as many mistakes as files.
            if mistakes.len() >= ENOUGH {
                break;
            }
        }
        mistakes.note(self.options.drug_map.given().map(read_mapping).transpose());
        mistakes.note(Coding::check(self.options.icd_map.given(), self.options.group.given()));
        mistakes.done()
    }

    fn inputs(&self) -> Option<Inputs> {
        let codes = self.options.root.as_path().join("metadata/codes.parquet");
        let files = self.files().ok()?.into_iter().chain(codes.is_file().then_some(codes));
        Some(Inputs { files: files.collect(), seed: false })
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        self.check()?;
        let options = &self.options;
        Coding::published(context.compat, options.code_system, options.icd_map.given())?;
        let rule = options.abnormal.rule(options.quantiles)?;
        let mut coding = Coding::new(options.code_system, options.icd_map.given(), options.group.given())?;
        let further = options.events.keys().map(|kind| EventSets::new(kind, options.drug_map.given()));
        let mut further = further.collect::<Result<Vec<_>>>()?;
        let labs = self.labs(&self.files()?, rule, context.progress)?;
        let all = self.all(&labs, &mut coding, &mut further, context.progress)?;
        let events = Step::new("events", all.counts.events)
            .lost("without a code", all.counts.without_code)
            .lost("without a time", all.counts.without_time);
        let read = Step::new("diagnoses in time", all.within + all.without).lost(BEFORE_THE_FIRST, all.without);
        let steps = [events, coding.step("diagnoses"), read];
        let mut cohort = all.stays.cohort(&all.codes, coding.names(), steps).map_err(|e| {
            e.at_file(options.root.as_path()).help(
                "the options admission, icd9 and icd10 say how the codes of these events begin; visits = \"day\" needs no \
                 admissions",
            )
        })?;
        cohort.set_titles(|code| coding.title(code));
        further.into_iter().for_each(|sets| sets.add_to(&mut cohort));
        let described = self.descriptions()?;
        for (kind, beginning) in &options.events {
            cohort.set_event_titles(kind, |rest| {
                let code = format!("{beginning}{rest}");
                let procedure = || code.strip_prefix(PROCEDURE).and_then(icd::procedure_title_of).map(str::to_owned);
                described.get(&code).cloned().or_else(procedure)
            });
        }
        if let Some(rule) = rule {
            self.add_labs(&all, &labs, rule, &described, &mut cohort)?;
        }
        Ok(cohort)
    }
}

#[cfg(test)]
mod tests;
