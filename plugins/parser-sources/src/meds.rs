//! `meds`: the Medical Event Data Standard.

use crate::intervals::{Abnormal, Results};
use dualk_sdk::component::Inputs;
use dualk_sdk::data::coding::{CodeSystem, Coding};
use dualk_sdk::data::hierarchy::Icd;
use dualk_sdk::data::tables::{Rows, Table};
use dualk_sdk::data::{AdmissionFacts, Ids, LabItem, PatientFacts, Sex, Step, seconds};
use dualk_sdk::prelude::*;
use dualk_sdk::schemars::JsonSchema;
use dualk_sdk::serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

options! {
    /// Options of `meds`.
    pub struct MedsOptions {
        /// Root of the data set, whose folder `data` has the Parquet files, in folders or not.
        pub root: FilePath = FilePath::default(),
        /// What a visit is: `admission`, from an admission to the next, or `day`, each day with a diagnosis.
        pub visits: Visits = Visits::Admission,
        /// Beginning of the codes of admissions.
        pub admission: String = "HOSPITAL_ADMISSION".into(),
        /// Beginning of the codes of diagnoses in ICD-9-CM; the rest is the code.
        pub icd9: String = "DIAGNOSIS//ICD//9//".into(),
        /// Beginning of the codes of diagnoses in ICD-10-CM; the rest is the code.
        pub icd10: String = "DIAGNOSIS//ICD//10//".into(),
        /// Beginning of the codes of laboratory results.
        pub lab: String = "LAB//".into(),
        /// Edition of the cohort's codes: `icd9`, `icd10`, or `ccsr` for categories of ICD-10.
        pub code_system: CodeSystem = CodeSystem::Icd9,
        /// Table of ICD-10-CM → ICD-9-CM equivalences with the columns ICD10 and ICD9, in place of the mapping of the CMS,
        /// which is part of the program and goes both ways; needed with `compat`.
        pub icd_map: FilePath = FilePath::default(),
        /// Table of codes and their groups, such as CCS, with the columns code and group; the groups become the codes.
        pub group: FilePath = FilePath::default(),
        /// How abnormal results are found, as events do not say: `interval` or `none`.
        pub abnormal: Abnormal = Abnormal::Interval,
    }
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
        for (key, prefix) in
            [("admission", &self.admission), ("icd9", &self.icd9), ("icd10", &self.icd10), ("lab", &self.lab)]
        {
            if prefix.is_empty() {
                return Err(Error::user("expected the beginning of codes, found nothing").at_key(key));
            }
        }
        Ok(Box::new(Meds { options: self }))
    }
}

/// Reads the events of one file after the other. A subject's are in one file, as the standard has it; what is in several
/// waits for the last of them.
struct Meds {
    options: MedsOptions,
}

const COLUMNS: [&str; 4] = ["subject_id", "time", "code", "numeric_value"];

/// What counts of an event. What is at the same time is taken in this order.
#[derive(Debug, Clone, PartialEq)]
enum What {
    Birth,
    Admission,
    /// The numbers of what a diagnosis stands for.
    Codes(Vec<u32>),
    /// A result, by the place of its code among those of laboratory results.
    Result(usize, f32),
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

    /// The results of every laboratory code, for their intervals.
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
        rows: &Rows<'_>,
        items: &HashMap<&str, usize>,
        coding: &mut Coding,
        subjects: &[i64],
    ) -> Result<BTreeMap<i64, Subject>> {
        let options = &self.options;
        let columns = rows.texts("time")?.zip(rows.texts("code")?).zip(rows.texts("numeric_value")?);
        let mut found = BTreeMap::<i64, Subject>::new();
        for (i, ((time, code), value)) in columns.enumerate() {
            let Some(code) = code else { continue };
            let subject = || subjects[i];
            if let Some(sex) = code.strip_prefix("GENDER//") {
                found.entry(subject()).or_default().facts.sex = Sex::parse(sex);
            } else if let Some(race) = code.strip_prefix("RACE//").or_else(|| code.strip_prefix("ETHNICITY//")) {
                found.entry(subject()).or_default().facts.ethnicity.get_or_insert_with(|| race.to_owned());
            }
            // What has no time, such as a birthplace, belongs to no visit.
            let Some(time) = time else { continue };
            let what = if let Some(code) = code.strip_prefix(&options.icd9) {
                Some(What::Codes(coding.codes(Icd::Icd9, code).to_vec()))
            } else if let Some(code) = code.strip_prefix(&options.icd10) {
                Some(What::Codes(coding.codes(Icd::Icd10, code).to_vec()))
            } else if code.starts_with(&options.admission) {
                Some(What::Admission)
            } else if code.starts_with("HOSPITAL_DISCHARGE") {
                Some(What::Discharge)
            } else if code.starts_with("MEDS_BIRTH") {
                Some(What::Birth)
            } else if code.starts_with("MEDS_DEATH") {
                Some(What::Death)
            } else {
                let item = items.get(code).copied();
                let value = item.and(value).map(|value| number(rows, i, value)).transpose()?;
                item.zip(value).map(|(item, value)| What::Result(item, value))
            };
            let Some(what) = what else { continue };
            let Some(time) = seconds(time) else {
                return Err(rows.error(i, "the column `time` must hold a time such as 2016-05-20 19:16:52"));
            };
            found.entry(subject()).or_default().events.push(Event { time, what });
        }
        found.values_mut().for_each(Subject::sort);
        Ok(found)
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
            Self::Codes(_) | Self::Result(..) => 2,
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

/// Visits of one subject: codes, and laboratory items that are abnormal.
#[derive(Default)]
struct Visit {
    codes: Vec<u32>,
    items: Vec<usize>,
    facts: AdmissionFacts,
}

/// What becomes of the events of one subject.
#[derive(Default)]
struct Grouped {
    visits: Vec<Visit>,
    /// Diagnoses that are in visits, and those that belong to none.
    within: u64,
    without: u64,
}

const DAY: i64 = 86_400;
/// Seconds of a mean Gregorian year.
const YEAR: f64 = 31_556_952.0;

/// Groups events into visits.
fn visits(events: &[Event], by: Visits, intervals: &[(f32, f32)]) -> Grouped {
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
            let age = birth.map(|birth| ((event.time - birth) as f64 / YEAR) as f32);
            let facts = AdmissionFacts { start: Some(event.time), age, ..AdmissionFacts::default() };
            grouped.visits.extend(open.replace(Visit { facts, ..Visit::default() }));
        }
        day = today;
        match (&mut open, &event.what) {
            (Some(visit), What::Codes(codes)) => {
                grouped.within += 1;
                visit.codes.extend(codes);
            }
            (Some(visit), &What::Result(item, value)) => {
                let (low, high) = intervals[item];
                visit.items.extend((value < low || value > high).then_some(item));
            }
            (Some(visit), What::Discharge) => {
                visit.facts.end = Some(event.time);
                // Some sources have the day of a death alone.
                visit.facts.died = Some(death.is_some_and(|death| death <= event.time));
            }
            (None, What::Codes(_)) => grouped.without += 1,
            _ => {}
        }
    }
    grouped.visits.extend(open);
    if by == Visits::Day {
        grouped.visits.retain(|visit| !visit.codes.is_empty());
    }
    grouped
}

impl Parser for Meds {
    fn check(&self) -> Result<()> {
        for file in self.files().map_err(|e| e.at_key("root"))? {
            Table::at(&file, &COLUMNS).map_err(|e| e.at_key("root"))?;
        }
        Coding::check(self.options.icd_map.given(), self.options.group.given())
    }

    fn inputs(&self) -> Option<Inputs> {
        Some(Inputs { files: self.files().ok()?, seed: false })
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        self.check()?;
        let options = &self.options;
        Coding::published(context.compat, options.code_system, options.icd_map.given())?;
        let files = self.files()?;
        let mut coding = Coding::new(options.code_system, options.icd_map.given(), options.group.given())?;
        let results = match options.abnormal {
            Abnormal::None => Results::default(),
            Abnormal::Interval => self.results(&files, context.progress)?,
        };
        let named: BTreeMap<String, (f32, f32)> = results.intervals().into_iter().collect();
        let items: HashMap<&str, usize> = named.keys().map(String::as_str).zip(0..).collect();
        let intervals: Vec<(f32, f32)> = named.values().copied().collect();
        let (mut patients, mut codes, mut sets) = (Vec::new(), HashMap::new(), HashMap::new());
        let (mut patient_facts, mut facts) = (HashMap::new(), HashMap::new());
        let (mut ids, mut number, mut within, mut without) = (None, 0, 0, 0);
        let (last, mut waiting) = (Self::last_files(&files, &mut ids)?, HashMap::<i64, Subject>::new());
        let mut task = context.progress.begin("events", "files", Some(files.len() as u64));
        for (place, file) in files.iter().enumerate() {
            let table = Table::at(file, &COLUMNS)?;
            let rows = table.read()?;
            let subjects = Self::subjects(&rows, &mut ids)?;
            let mut found = self.events(&rows, &items, &mut coding, &subjects)?;
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
                let grouped = visits(&found.events, options.visits, &intervals);
                (within, without) = (within + grouped.within, without + grouped.without);
                let mut admissions = Vec::new();
                for visit in grouped.visits {
                    number += 1;
                    admissions.push(number);
                    codes.insert(number, visit.codes);
                    sets.insert(number, visit.items);
                    facts.insert(number, visit.facts);
                }
                if !admissions.is_empty() {
                    patients.push((subject, admissions));
                    patient_facts.insert(subject, found.facts);
                }
            }
            task.advance(1);
        }
        task.finish("");
        let (mut cohort, _) = Cohort::of_admissions(patients, &codes, coding.names());
        let read = Step::new("diagnoses in time", within + without).lost("before the first admission", without);
        cohort.flow_begins_with([coding.step("diagnoses"), read]);
        cohort.not_empty().map_err(|e| {
            e.at_file(options.root.as_path()).help(
                "the options admission, icd9 and icd10 say how the codes of these events begin; visits = \"day\" needs no \
                 admissions",
            )
        })?;
        cohort.set_names(&ids.unwrap_or_default(), &Ids::default());
        let patient = |id| patient_facts.get(&id).cloned().unwrap_or_default();
        cohort.set_facts(patient, |id| facts.get(&id).copied().unwrap_or_default());
        cohort.set_titles(|code| coding.title(code));
        if options.abnormal == Abnormal::Interval {
            let sets = cohort.admissions.values().iter().map(|visit| sets.remove(visit).unwrap_or_default()).collect();
            cohort.set_labs(sets, |item| LabItem { id: item as i64 + 1, category: Some(0) });
            cohort.lab_categories = vec!["laboratory".into()];
            let named: Vec<&String> = named.keys().collect();
            let prefix = options.lab.as_str();
            cohort.set_lab_names(|id| {
                let code = named.get(usize::try_from(id - 1).ok()?)?;
                Some(code.strip_prefix(prefix).unwrap_or(code).to_owned())
            });
        }
        Ok(cohort)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Folder, parse};
    use dualk_sdk::data::columns::{Values, write_parquet};

    type Row = (i64, Option<&'static str>, &'static str, Option<f32>);

    /// A file with the standard's columns and types: int64, timestamp in microseconds, string, float32.
    fn shard(folder: &Folder, name: &str, rows: &[Row]) {
        let path = folder.path().join("data").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let micros = |text: &str| -> i64 {
            let part = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
            // Days of 2016 alone.
            let days: i64 = 16_801 + [0, 31, 60, 91, 121][part(5..7) as usize - 1] + part(8..10) - 1;
            (days * 86_400 + part(11..13) * 3600 + part(14..16) * 60) * 1_000_000
        };
        let columns = [
            ("subject_id", Values::from(rows.iter().map(|row| row.0).collect::<Vec<_>>())),
            ("time", Values::times(rows.iter().map(|row| row.1.map(micros)).collect())),
            ("code", rows.iter().map(|row| row.2).collect::<Vec<_>>().into()),
            ("numeric_value", rows.iter().map(|row| row.3).collect::<Vec<_>>().into()),
        ];
        write_parquet(&path, columns.map(|(name, values)| (name.to_owned(), values)).into()).unwrap();
    }

    fn folder() -> Folder {
        let folder = Folder::new();
        let at = Some;
        let mut first: Vec<Row> = vec![
            (7, None, "GENDER//F", None),
            (7, at("2016-01-02 10:00"), "DIAGNOSIS//ICD//9//486", None),
            (7, at("2016-03-01 10:00"), "HOSPITAL_ADMISSION//EW EMER.", None),
            (7, at("2016-03-01 10:00"), "DIAGNOSIS//ICD//9//4280", None),
            (7, at("2016-03-09 10:00"), "DIAGNOSIS//ICD//10//E119", None),
            (7, at("2016-02-01 10:00"), "HOSPITAL_ADMISSION", None),
            (7, at("2016-02-02 10:00"), "DIAGNOSIS//ICD//10//I509", None),
            (7, at("2016-02-02 11:00"), "LAB//50931//mg/dL", Some(500.0)),
        ];
        first.extend((1..=200).map(|v| (7, at("2016-03-02 09:00"), "LAB//50931//mg/dL", Some(v as f32))));
        shard(&folder, "train/0.parquet", &first);
        let second = [
            (8, at("2016-04-01 00:00"), "HOSPITAL_ADMISSION", None),
            (9, at("2016-04-01 00:00"), "HOSPITAL_ADMISSION", None),
            (9, at("2016-04-01 05:00"), "DIAGNOSIS//ICD//9//4280", None),
        ];
        shard(&folder, "held_out/0.parquet", &second);
        folder.write("map.csv", "ICD10,ICD9\nI509,4280\n");
        folder
    }

    fn options(folder: &Folder) -> MedsOptions {
        let path = |name: &str| FilePath(folder.path().join(name));
        MedsOptions { root: path(""), icd_map: path("map.csv"), ..Default::default() }
    }

    fn codes(cohort: &Cohort) -> Vec<Vec<&str>> {
        let name = |&code: &u32| cohort.code_names[code as usize].as_str();
        cohort.codes.rows().map(|row| row.iter().map(name).collect()).collect()
    }

    #[test]
    fn a_subject_in_several_files_is_one_patient() {
        let at = Some;
        let rows: [Row; 7] = [
            (7, None, "GENDER//F", None),
            (7, at("2016-02-01 10:00"), "HOSPITAL_ADMISSION", None),
            (7, at("2016-02-02 10:00"), "DIAGNOSIS//ICD//9//4280", None),
            (7, at("2016-03-01 10:00"), "HOSPITAL_ADMISSION", None),
            (7, at("2016-03-02 10:00"), "DIAGNOSIS//ICD//9//25000", None),
            (7, at("2016-03-03 10:00"), "UNKNOWN", None),
            (8, at("2016-03-03 10:00"), "UNKNOWN", None),
        ];
        let whole = Folder::new();
        shard(&whole, "0.parquet", &rows);
        let one = MedsOptions { root: FilePath(whole.path().to_owned()), ..Default::default() };
        let one = parse(one, false).unwrap();
        assert_eq!((one.patients.as_slice(), codes(&one)), (&[7][..], vec![vec!["428.0"], vec!["250.00"]]));
        // Out of order, and with a last file that has nothing that counts.
        let parts = Folder::new();
        for (name, range) in [("0.parquet", 3..5), ("1.parquet", 0..3), ("2.parquet", 5..7)] {
            shard(&parts, name, &rows[range]);
        }
        let several = MedsOptions { root: FilePath(parts.path().to_owned()), ..Default::default() };
        let several = parse(several, false).unwrap();
        assert_eq!((&several.patients, codes(&several)), (&one.patients, codes(&one)));
        assert_eq!((several.patient_facts, several.admission_facts), (one.patient_facts, one.admission_facts));
    }

    #[test]
    fn events_become_visits_from_one_admission_to_the_next() {
        let cohort = parse(options(&folder()), false).unwrap();
        assert_eq!(cohort.patients, [9, 7], "8 has an admission without codes; files in the order of their paths");
        assert_eq!(codes(&cohort), [["428.0"], ["428.0"], ["428.0"]]);
        assert_eq!(cohort.lab_items, [LabItem { id: 1, category: Some(0) }]);
        assert_eq!(cohort.labs.rows().map(<[u32]>::len).collect::<Vec<_>>(), [0, 1, 1]);
        let lost: Vec<u64> = cohort.flow.iter().map(Step::lost_count).collect();
        assert_eq!(lost, [1, 1, 1, 1], "{:?}", cohort.flow);
        assert_eq!(cohort.patient_facts[1].sex, Some(Sex::Female));
        assert_eq!(cohort.admission_facts[1].start, seconds("2016-02-01 10:00"));
    }

    #[test]
    fn days_need_no_admissions_and_codes_may_stay_icd10() {
        let folder = folder();
        let days = MedsOptions { visits: Visits::Day, code_system: CodeSystem::Icd10, ..options(&folder) };
        let cohort = parse(days, false).unwrap();
        assert_eq!((cohort.patients.as_slice(), codes(&cohort)), (&[7][..], vec![vec!["I50.9"], vec!["E11.9"]]));
    }

    #[test]
    fn what_is_no_meds_data_set_is_refused() {
        let folder = Folder::new();
        let said = |options| parse(options, false).unwrap_err().to_string();
        assert!(said(options(&folder)).contains("no .parquet file"));
        folder.write("a.parquet", "text");
        assert!(said(options(&folder)).contains("a.parquet"));
        let folder = self::folder();
        let other = MedsOptions { admission: "VISIT".into(), ..options(&folder) };
        assert!(said(other).contains("no patient is left"));
        assert!(said(MedsOptions { lab: String::new(), ..options(&folder) }).starts_with("`lab`"));
    }

    #[test]
    fn it_is_a_sound_parser() {
        let folder = folder();
        dualk_sdk::testing::check_parser(options(&folder));
    }
}
