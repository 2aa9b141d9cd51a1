//! `omop`: tables of the OMOP common data model, version 5.

use dualk_sdk::component::Inputs;
use dualk_sdk::data::coding::{CodeSystem, Coding};
use dualk_sdk::data::hierarchy::Icd;
use dualk_sdk::data::tables::{OnBadRow, Row, Table};
use dualk_sdk::data::{AdmissionFacts, Ids, LabItem, PatientFacts, Sex, Step, seconds, year_of};
use dualk_sdk::prelude::*;
use dualk_sdk::schemars::JsonSchema;
use dualk_sdk::serde::{Deserialize, Serialize};
use std::collections::HashMap;

options! {
    /// Options of `omop`.
    pub struct OmopOptions {
        /// Folder with visit_occurrence, condition_occurrence and, for laboratory items, measurement as `.csv`, `.csv.gz`
        /// or `.parquet`.
        pub root: FilePath = FilePath::default(),
        /// What a condition's code is: `icd10` or `icd9`, the edition in which condition_source_value is written, or
        /// `concept` for condition_concept_id.
        pub codes: OmopCodes = OmopCodes::Icd10,
        /// Edition of the cohort's codes, unless they are concepts: `icd9`, `icd10`, or `ccsr` for categories of ICD-10.
        pub code_system: CodeSystem = CodeSystem::Icd9,
        /// Table of ICD-10-CM → ICD-9-CM equivalences with the columns ICD10 and ICD9, in place of the mapping of the CMS,
        /// which is part of the program and goes both ways; needed with `compat`.
        pub icd_map: FilePath = FilePath::default(),
        /// Table of codes and their groups, such as CCS, with the columns code and group; the groups become the codes.
        pub group: FilePath = FilePath::default(),
        /// Concepts of the visits that count, such as 9201 for inpatient visits; all when empty.
        pub visit_concepts: Vec<i64> = Vec::new(),
        /// Whether to read measurements.
        pub labs: bool = true,
        /// What becomes of a row of measurement that cannot be used: `error`, or `skip`, which counts it.
        pub on_bad_row: OnBadRow = OnBadRow::Error,
    }
}

/// What a condition's code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum OmopCodes {
    /// condition_source_value, written in ICD-10-CM.
    #[default]
    Icd10,
    /// condition_source_value, written in ICD-9-CM.
    Icd9,
    /// condition_concept_id, as it is.
    Concept,
}

impl Component for OmopOptions {
    const NAME: &'static str = "omop";
    const ABOUT: &'static str = "OMOP common data model: visits, conditions, measurements";
    const CITATION: &'static str = "Observational Health Data Sciences and Informatics, OMOP CDM v5.4";
}

impl BuildParser for OmopOptions {
    fn build(self) -> Result<Box<dyn Parser>> {
        self.root.required("root")?;
        if self.codes == OmopCodes::Concept && self.group.given().is_some() {
            let error = Error::user("groups are of ICD codes, and codes = \"concept\" has none").at_key("group");
            return Err(error.help("leave one of the two out"));
        }
        Ok(Box::new(Omop { options: self }))
    }
}

/// Reads OMOP tables: visits of a person in the order of their start dates, then of the file.
struct Omop {
    options: OmopOptions,
}

struct Tables {
    visits: Table,
    /// Columns of visit_occurrence that need not be there: beginning with its time, end, and end with its time.
    times: [Option<String>; 3],
    conditions: Table,
    measurements: Option<Table>,
    /// Sex, birth and race, and who died when: needed by none.
    persons: Option<Table>,
    deaths: Option<Table>,
}

const MEASUREMENT: [&str; 5] =
    ["visit_occurrence_id", "measurement_concept_id", "value_as_number", "range_low", "range_high"];

/// The standard concept of males, and of females.
const MALE: &str = "8507";
const FEMALE: &str = "8532";

/// Persons in the order of their first row, with their visits in the order of time.
struct Visits {
    patients: Vec<(i64, Vec<i64>)>,
    ids: [Ids; 2],
    facts: HashMap<i64, AdmissionFacts>,
    /// Visits of other concepts.
    left_out: u64,
}

/// What is known of a person.
#[derive(Default, Clone)]
struct Person {
    facts: PatientFacts,
    /// Year of birth.
    birth: Option<i64>,
    /// Seconds since 1970.
    death: Option<i64>,
}

/// Codes of each visit, and what was lost on the way to them.
type Conditions = (HashMap<i64, Vec<u32>>, [Step; 2]);

impl Omop {
    fn open(&self) -> Result<Tables> {
        let root = self.options.root.as_path();
        let open = |name: &str, columns: &[&str]| Table::open(root, name, columns);
        let mut columns = vec!["visit_occurrence_id", "person_id", "visit_start_date"];
        columns.extend((!self.options.visit_concepts.is_empty()).then_some("visit_concept_id"));
        let mut visits = open("visit_occurrence", &columns)?;
        let persons = ["person_id", "gender_concept_id", "year_of_birth", "race_source_value"];
        Ok(Tables {
            times: ["visit_start_datetime", "visit_end_date", "visit_end_datetime"].map(|column| visits.also(column)),
            visits,
            conditions: open("condition_occurrence", &["visit_occurrence_id", self.code_column()])?,
            measurements: self.options.labs.then(|| open("measurement", &MEASUREMENT)).transpose()?,
            persons: open("person", &persons).ok(),
            deaths: open("death", &["person_id", "death_date"]).ok(),
        })
    }

    fn code_column(&self) -> &'static str {
        match self.options.codes {
            OmopCodes::Concept => "condition_concept_id",
            _ => "condition_source_value",
        }
    }

    fn visits(&self, tables: &Tables) -> Result<Visits> {
        let rows = tables.visits.read()?;
        let (visit_ids, ids) = Ids::of(&rows, "visit_occurrence_id")?;
        let (person_ids, persons) = Ids::of(&rows, "person_id")?;
        visit_ids.each_once(&rows, &ids, "visit")?;
        let concepts = match self.options.visit_concepts.is_empty() {
            true => None,
            false => Some(rows.optional_integers("visit_concept_id")?),
        };
        let [start_times, end_dates, end_times] = &tables.times;
        let start_times = rows.texts_if(start_times.as_deref())?;
        let (end_dates, end_times) = (rows.texts_if(end_dates.as_deref())?, rows.texts_if(end_times.as_deref())?);
        let (mut place, mut facts, mut left_out) = (HashMap::new(), HashMap::new(), 0);
        let mut patients: Vec<(i64, Vec<(String, i64)>)> = Vec::new();
        for (i, text) in rows.texts("visit_start_date")?.enumerate() {
            if concepts.as_ref().is_some_and(|c| c[i].is_none_or(|c| !self.options.visit_concepts.contains(&c))) {
                left_out += 1;
                continue;
            }
            let Some(date) = text.and_then(date) else {
                return Err(rows.error(i, "the column `visit_start_date` must hold a date such as 2016-05-20"));
            };
            let start = start_times[i].and_then(seconds).or_else(|| seconds(&date));
            let end = end_times[i].and_then(seconds).or_else(|| end_dates[i].and_then(seconds));
            facts.insert(ids[i], AdmissionFacts { start, end, ..AdmissionFacts::default() });
            let at = *place.entry(persons[i]).or_insert_with(|| {
                patients.push((persons[i], Vec::new()));
                patients.len() - 1
            });
            patients[at].1.push((date, ids[i]));
        }
        let ordered = |(person, mut visits): (i64, Vec<(String, i64)>)| {
            visits.sort_by(|a, b| a.0.cmp(&b.0));
            (person, visits.into_iter().map(|visit| visit.1).collect())
        };
        let patients: Vec<(i64, Vec<i64>)> = patients.into_iter().map(ordered).collect();
        Ok(Visits { patients, ids: [person_ids, visit_ids], facts, left_out })
    }

    /// What is known of persons, by identifier.
    fn persons(&self, tables: &Tables, ids: &Ids) -> Result<HashMap<i64, Person>> {
        let mut persons = HashMap::<i64, Person>::new();
        if let Some(table) = &tables.persons {
            let rows = table.read()?;
            let columns = rows.texts("gender_concept_id")?.zip(rows.texts("year_of_birth")?);
            let columns = columns.zip(rows.texts("race_source_value")?);
            for (id, ((sex, birth), race)) in ids.column(&rows, "person_id")?.into_iter().zip(columns) {
                let sex = match sex.map(str::trim) {
                    Some(MALE) => Some(Sex::Male),
                    Some(FEMALE) => Some(Sex::Female),
                    _ => None,
                };
                let facts = PatientFacts { sex, ethnicity: race.map(str::to_owned) };
                let birth = birth.and_then(|year| year.trim().parse().ok());
                persons.extend(id.map(|id| (id, Person { facts, birth, death: None })));
            }
        }
        if let Some(table) = &tables.deaths {
            let rows = table.read()?;
            for (id, date) in ids.column(&rows, "person_id")?.into_iter().zip(rows.texts("death_date")?) {
                if let Some(id) = id {
                    persons.entry(id).or_default().death = date.and_then(seconds);
                }
            }
        }
        Ok(persons)
    }

    /// Per visit its codes, in the order of the file.
    fn conditions(&self, table: &Table, coding: &mut Coding, visits: &Visits) -> Result<Conditions> {
        let rows = table.read()?;
        let of = visits.ids[1].column(&rows, "visit_occurrence_id")?;
        let (mut codes, mut without, mut not_kept) = (HashMap::<i64, Vec<u32>>::new(), 0, 0);
        for (visit, text) in of.into_iter().zip(rows.texts(self.code_column())?) {
            let Some(visit) = visit else {
                without += 1;
                continue;
            };
            if !visits.facts.contains_key(&visit) {
                not_kept += 1;
                continue;
            }
            let of_visit = codes.entry(visit).or_default();
            match (self.options.codes, text.unwrap_or("").trim()) {
                (OmopCodes::Icd9, text) => of_visit.extend_from_slice(coding.codes(Icd::Icd9, text)),
                (OmopCodes::Icd10, text) => of_visit.extend_from_slice(coding.codes(Icd::Icd10, text)),
                // 0 stands for what has no concept.
                (OmopCodes::Concept, "0") => of_visit.extend(coding.other("")),
                (OmopCodes::Concept, concept) => of_visit.extend(coding.other(concept)),
            }
        }
        let step = Step::new("rows of condition_occurrence", rows.len() as u64).lost("of no visit", without);
        let step = match self.options.visit_concepts.is_empty() {
            true => step.lost("of a visit that visit_occurrence lacks", not_kept),
            false => step.by_rule("of visits left out above", not_kept),
        };
        Ok((codes, [step, coding.step("conditions")]))
    }
}

/// A date of ten characters, perhaps with a time after it.
fn date(text: &str) -> Option<String> {
    let date = text.get(..10)?;
    let fits = |(i, b): (usize, u8)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() };
    date.bytes().enumerate().all(fits).then(|| date.to_owned())
}

impl Parser for Omop {
    fn check(&self) -> Result<()> {
        self.open().map_err(|e| e.at_key("root"))?;
        Coding::check(self.options.icd_map.given(), self.options.group.given())
    }

    fn inputs(&self) -> Option<Inputs> {
        let Tables { visits, conditions, measurements, persons, deaths, .. } = self.open().ok()?;
        let tables = [Some(visits), Some(conditions), measurements, persons, deaths].into_iter().flatten();
        Some(Inputs { files: tables.map(|table| table.path().to_owned()).collect(), seed: false })
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        self.check()?;
        let options = &self.options;
        if options.codes == OmopCodes::Icd10 {
            Coding::published(context.compat, options.code_system, options.icd_map.given())?;
        }
        let tables = self.open()?;
        let mut coding = Coding::new(options.code_system, options.icd_map.given(), options.group.given())?;
        let task = context.progress.begin("visits", "tables", None);
        let visits = self.visits(&tables)?;
        let persons = self.persons(&tables, &visits.ids[0])?;
        task.finish("");
        let task = context.progress.begin("conditions", "tables", None);
        let (codes, steps) = self.conditions(&tables.conditions, &mut coding, &visits)?;
        task.finish("");
        let (mut cohort, _) = Cohort::of_admissions(visits.patients.clone(), &codes, coding.names());
        let all = visits.facts.len() as u64 + visits.left_out;
        let read = Step::new("rows of visit_occurrence", all).by_rule("of other concepts", visits.left_out);
        cohort.flow_begins_with([read].into_iter().chain(steps));
        cohort.not_empty().map_err(|e| {
            e.at_file(options.root.as_path())
                .help("visit_concepts = [9201] reads inpatient visits alone, which is often what has diagnoses")
        })?;
        describe(&mut cohort, &visits, &persons, tables.deaths.is_some());
        if options.codes != OmopCodes::Concept {
            cohort.set_titles(|code| coding.title(code));
        }
        if let Some(table) = &tables.measurements {
            measurements(table, &mut cohort, &visits.ids[1], options.on_bad_row, context.progress)?;
        }
        Ok(cohort)
    }
}

/// Gives names and facts to a cohort of these visits.
fn describe(cohort: &mut Cohort, visits: &Visits, persons: &HashMap<i64, Person>, deaths_are_known: bool) {
    cohort.set_names(&visits.ids[0], &visits.ids[1]);
    let person_of: HashMap<i64, &Person> = visits
        .patients
        .iter()
        .filter_map(|(person, visits)| Some((visits, persons.get(person)?)))
        .flat_map(|(visits, person)| visits.iter().map(move |&visit| (visit, person)))
        .collect();
    let patient = |id| persons.get(&id).map(|person| person.facts.clone()).unwrap_or_default();
    cohort.set_facts(patient, |id| {
        let facts = visits.facts.get(&id).copied().unwrap_or_default();
        let Some(person) = person_of.get(&id) else { return facts };
        let age = person.birth.zip(facts.start).map(|(birth, start)| (year_of(start) - birth) as f32);
        // A death has a date alone, and the day on which a visit ends is its own.
        let within = |(start, end): (i64, i64)| {
            person.death.is_some_and(|death| death >= start.div_euclid(86_400) * 86_400 && death <= end)
        };
        let died = facts.start.zip(facts.end).filter(|_| deaths_are_known).map(within);
        AdmissionFacts { age, died, ..facts }
    });
}

/// Adds the abnormal items: concepts with a value below range_low or above range_high. There is one category.
fn measurements(
    table: &Table,
    cohort: &mut Cohort,
    ids: &Ids,
    on_bad_row: OnBadRow,
    progress: &dyn Progress,
) -> Result<()> {
    let place: HashMap<i64, usize> = cohort.admissions.values().iter().copied().zip(0..).collect();
    let number = |row: &Row<'_>, column: usize| match row.text(column) {
        "" => Ok(None),
        text => match text.parse::<f64>() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(row.fault(column, format!("the column `{}` must hold a number", MEASUREMENT[column]))),
        },
    };
    let mut task = progress.begin("measurements", "rows", None);
    let (mut sets, mut without) = (vec![Vec::new(); place.len()], 0);
    let scanned = table.scan(
        on_bad_row,
        |(found, without): &mut (Vec<(usize, i64)>, u64), row| {
            let (visit, value) = (row.id(0, ids)?, number(row, 2)?);
            *without += u64::from(row.bytes(0).is_empty());
            let (low, high) = (number(row, 3)?, number(row, 4)?);
            let (Some(&at), Some(value)) = (visit.and_then(|visit| place.get(&visit)), value) else { return Ok(()) };
            if low.is_some_and(|low| value < low) || high.is_some_and(|high| value > high) {
                found.push((at, row.integer(1)?));
            }
            Ok(())
        },
        |(found, without_here), rows| {
            without += without_here;
            found.into_iter().for_each(|(at, item)| sets[at].push(item));
            task.advance(rows);
            Ok(())
        },
    )?;
    task.finish("");
    cohort.set_labs(sets, |id| LabItem { id, category: Some(0) });
    cohort.lab_categories = vec!["laboratory".into()];
    cohort.flow.push(
        Step::new("rows of measurement", scanned.rows)
            .lost("that cannot be used", scanned.bad)
            .lost("of no visit", without),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Folder, parse};

    fn folder() -> Folder {
        let folder = Folder::new();
        folder.write(
            "visit_occurrence.csv",
            "visit_occurrence_id,person_id,visit_concept_id,visit_start_date\n\
             11,1,9201,2016-05-21\n12,1,9201,2016-05-20\n13,1,9202,2016-06-01\n21,2,9201,2015-01-01\n",
        );
        folder.write(
            "condition_occurrence.csv",
            "visit_occurrence_id,condition_concept_id,condition_source_value\n\
             11,316139,I50.9\n12,316139,I509\n12,0,Z99.9\n21,201826,E11.9\n,201826,E11.9\n",
        );
        folder.write(
            "measurement.csv",
            "visit_occurrence_id,measurement_concept_id,value_as_number,range_low,range_high\n\
             11,3004501,200,70,100\n11,3004501,90,70,100\n11,3000963,7.5,12,\n21,3004501,60,,100\n,3004501,1,70,100\n\
             12,3004501,,70,100\n11,3004501,210,70,100\n",
        );
        folder.write("map.csv", "ICD10,ICD9\nI509,4280\nE119,25000\n");
        folder
    }

    fn options(folder: &Folder) -> OmopOptions {
        let path = |name: &str| FilePath(folder.path().join(name));
        OmopOptions { root: path(""), icd_map: path("map.csv"), visit_concepts: vec![9201], ..Default::default() }
    }

    #[test]
    fn visits_conditions_and_measurements_follow_the_rules() {
        let cohort = parse(options(&folder()), false).unwrap();
        assert_eq!(cohort.patients, [1, 2]);
        assert_eq!(cohort.admissions.row(0), [12, 11], "by date");
        assert_eq!(cohort.code_names, ["428.0", "250.00"]);
        let item = |id| LabItem { id, category: Some(0) };
        assert_eq!(cohort.lab_items, [item(3_000_963), item(3_004_501)]);
        assert_eq!(cohort.labs.rows().collect::<Vec<_>>(), [&[][..], &[0, 1], &[]]);
        let lost: Vec<u64> = cohort.flow.iter().map(Step::lost_count).collect();
        assert_eq!(lost, [0, 1, 1, 0, 0, 1], "{:?}", cohort.flow);
    }

    #[test]
    fn codes_may_be_icd10_or_concepts() {
        let folder = folder();
        let icd10 = OmopOptions { code_system: CodeSystem::Icd10, icd_map: FilePath::default(), ..options(&folder) };
        assert_eq!(parse(icd10, false).unwrap().code_names, ["I50.9", "Z99.9", "E11.9"]);
        let concepts = OmopOptions { codes: OmopCodes::Concept, ..options(&folder) };
        assert_eq!(parse(concepts, false).unwrap().code_names, ["316139", "201826"]);
    }

    #[test]
    fn all_visits_count_unless_concepts_are_named() {
        let folder = folder();
        let all = OmopOptions { visit_concepts: vec![], ..options(&folder) };
        assert_eq!(parse(all, false).unwrap().patients, [2], "the outpatient visit of 1 has no codes");
    }

    #[test]
    fn broken_tables_and_options_are_refused() {
        let text = "visit_occurrence_id,measurement_concept_id,value_as_number,range_low,range_high\n11,1,2,3,high\n";
        for (file, content, says) in [
            ("measurement.csv", text, "measurement.csv:2"),
            ("measurement.csv", "measurement_id\n", "is missing"),
            (
                "visit_occurrence.csv",
                "visit_occurrence_id,person_id,visit_concept_id,visit_start_date\n1,1,9201,May\n",
                ":2",
            ),
            ("map.csv", "ICD10\n", "`icd_map`"),
        ] {
            let folder = folder();
            folder.write(file, content);
            let error = parse(options(&folder), false).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        let folder = folder();
        let published = OmopOptions { icd_map: FilePath::default(), ..options(&folder) };
        let error = parse(published.clone(), true).unwrap_err();
        assert!(error.to_string().starts_with("`icd_map`"), "{error}");
        assert_eq!(
            parse(published, false).unwrap().code_names,
            ["428.0", "250.00"],
            "by the mapping of the CMS, which has none for Z99.9"
        );
        let none = OmopOptions { visit_concepts: vec![1], ..options(&folder) };
        assert!(parse(none, false).unwrap_err().to_string().contains("no patient is left"));
    }

    #[test]
    fn it_is_a_sound_parser() {
        let folder = folder();
        dualk_sdk::testing::check_parser(options(&folder));
    }
}
