//! `omop`: tables of the OMOP common data model, version 5.

use dualk_sdk::component::Inputs;
use dualk_sdk::data::LabItem;
use dualk_sdk::data::coding::{CodeSystem, Coding};
use dualk_sdk::data::hierarchy::Icd;
use dualk_sdk::data::tables::{OnBadRow, Row, Table};
use dualk_sdk::prelude::*;
use dualk_sdk::schemars::JsonSchema;
use dualk_sdk::serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

options! {
    /// Options of `omop`.
    pub struct OmopOptions {
        /// Folder with visit_occurrence, condition_occurrence and, for laboratory items, measurement as `.csv`, `.csv.gz`
        /// or `.parquet`.
        pub root: FilePath = FilePath::default(),
        /// What a condition's code is: `icd10` or `icd9`, the edition in which condition_source_value is written, or
        /// `concept` for condition_concept_id.
        pub codes: OmopCodes = OmopCodes::Icd10,
        /// Edition of the cohort's codes, unless they are concepts.
        pub code_system: CodeSystem = CodeSystem::Icd9,
        /// Table of ICD-10-CM → ICD-9-CM equivalences with the columns ICD10 and ICD9, to make one of the other.
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
        if self.codes == OmopCodes::Icd10 && self.code_system == CodeSystem::Icd9 {
            self.icd_map.required("icd_map").map_err(|e| e.help("or keep the codes: code_system = \"icd10\""))?;
        }
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
    conditions: Table,
    measurements: Option<Table>,
}

const MEASUREMENT: [&str; 5] =
    ["visit_occurrence_id", "measurement_concept_id", "value_as_number", "range_low", "range_high"];

impl Omop {
    fn open(&self) -> Result<Tables> {
        let open = |name: &str, columns: &[&str]| Table::open(self.options.root.as_path(), name, columns);
        let mut visits = vec!["visit_occurrence_id", "person_id", "visit_start_date"];
        visits.extend((!self.options.visit_concepts.is_empty()).then_some("visit_concept_id"));
        Ok(Tables {
            visits: open("visit_occurrence", &visits)?,
            conditions: open("condition_occurrence", &["visit_occurrence_id", self.code_column()])?,
            measurements: self.options.labs.then(|| open("measurement", &MEASUREMENT)).transpose()?,
        })
    }

    fn code_column(&self) -> &'static str {
        match self.options.codes {
            OmopCodes::Concept => "condition_concept_id",
            _ => "condition_source_value",
        }
    }

    /// Persons in the order of their first row, with their visits in the order of time.
    fn visits(&self, table: &Table) -> Result<Vec<(i64, Vec<i64>)>> {
        let rows = table.read()?;
        let (ids, persons) = (rows.integers("visit_occurrence_id")?, rows.integers("person_id")?);
        let concepts = match self.options.visit_concepts.is_empty() {
            true => None,
            false => Some(rows.optional_integers("visit_concept_id")?),
        };
        let (mut place, mut seen) = (HashMap::new(), HashSet::new());
        let mut patients: Vec<(i64, Vec<(String, i64)>)> = Vec::new();
        for (i, text) in rows.texts("visit_start_date")?.enumerate() {
            if !seen.insert(ids[i]) {
                return Err(rows.error(i, format!("the visit {} occurs twice", ids[i])));
            }
            if concepts.as_ref().is_some_and(|c| c[i].is_none_or(|c| !self.options.visit_concepts.contains(&c))) {
                continue;
            }
            let Some(date) = text.and_then(date) else {
                return Err(rows.error(i, "the column `visit_start_date` must hold a date such as 2016-05-20"));
            };
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
        Ok(patients.into_iter().map(ordered).collect())
    }

    /// Per visit its codes, in the order of the file, and how many conditions belong to no visit.
    fn conditions(&self, table: &Table, coding: &mut Coding) -> Result<(HashMap<i64, Vec<u32>>, u64)> {
        let rows = table.read()?;
        let visits = rows.optional_integers("visit_occurrence_id")?;
        let (mut codes, mut without) = (HashMap::<i64, Vec<u32>>::new(), 0);
        for (visit, text) in visits.into_iter().zip(rows.texts(self.code_column())?) {
            let Some(visit) = visit else {
                without += 1;
                continue;
            };
            let code = match (self.options.codes, text.unwrap_or("").trim()) {
                (OmopCodes::Icd9, text) => coding.code(Icd::Icd9, text),
                (OmopCodes::Icd10, text) => coding.code(Icd::Icd10, text),
                // 0 stands for what has no concept.
                (OmopCodes::Concept, "" | "0") => None,
                (OmopCodes::Concept, concept) => coding.other(concept),
            };
            codes.entry(visit).or_default().extend(code);
        }
        Ok((codes, without))
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
        let Tables { visits, conditions, measurements } = self.open().ok()?;
        let tables = [Some(visits), Some(conditions), measurements].into_iter().flatten();
        Some(Inputs { files: tables.map(|table| table.path().to_owned()).collect(), seed: false })
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        self.check()?;
        let options = &self.options;
        let tables = self.open()?;
        let mut coding = Coding::new(options.code_system, options.icd_map.given(), options.group.given())?;
        let task = context.progress.begin("visits", "tables", None);
        let patients = self.visits(&tables.visits)?;
        task.finish("");
        let task = context.progress.begin("conditions", "tables", None);
        let (codes, without) = self.conditions(&tables.conditions, &mut coding)?;
        task.finish("");
        let (mut cohort, dropped) = Cohort::of_admissions(patients, &codes, coding.names());
        if cohort.patients.is_empty() {
            let left_out = format!("left out: {dropped} persons with a visit without codes");
            return Err(Error::user("no person is left")
                .at_file(options.root.as_path())
                .help(left_out)
                .help("visit_concepts = [9201] reads inpatient visits alone, which is often what has diagnoses"));
        }
        let [other_edition, ungrouped] = coding.notes();
        cohort.notes = vec![
            ("persons left out for a visit without codes".into(), dropped),
            ("conditions of no visit left out".into(), without),
        ];
        cohort.notes.extend((options.codes != OmopCodes::Concept).then_some(other_edition));
        cohort.notes.extend(options.group.given().map(|_| ungrouped));
        if let Some(table) = &tables.measurements {
            let bad = measurements(table, &mut cohort, options.on_bad_row, context.progress)?;
            cohort.notes.push(("rows of measurement skipped because they cannot be used".into(), bad));
        }
        Ok(cohort)
    }
}

/// Adds the abnormal items: concepts with a value below range_low or above range_high. There is one category.
fn measurements(table: &Table, cohort: &mut Cohort, on_bad_row: OnBadRow, progress: &dyn Progress) -> Result<u64> {
    let place: HashMap<i64, usize> = cohort.admissions.values().iter().copied().zip(0..).collect();
    let number = |row: &Row<'_>, column: usize| {
        let text = std::str::from_utf8(row.bytes(column)).unwrap_or("").trim();
        match text {
            "" => Ok(None),
            text => match text.parse::<f64>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(row.fault(column, format!("the column `{}` must hold a number", MEASUREMENT[column]))),
            },
        }
    };
    let mut task = progress.begin("measurements", "rows", None);
    let mut sets = vec![Vec::new(); place.len()];
    let scanned = table.scan(
        on_bad_row,
        |found: &mut Vec<(usize, i64)>, row| {
            let (visit, value) = (row.optional_integer(0)?, number(row, 2)?);
            let (low, high) = (number(row, 3)?, number(row, 4)?);
            let (Some(&at), Some(value)) = (visit.and_then(|visit| place.get(&visit)), value) else { return Ok(()) };
            if low.is_some_and(|low| value < low) || high.is_some_and(|high| value > high) {
                found.push((at, row.integer(1)?));
            }
            Ok(())
        },
        |found, rows| {
            found.into_iter().for_each(|(at, item)| sets[at].push(item));
            task.advance(rows);
            Ok(())
        },
    )?;
    task.finish("");
    cohort.set_labs(sets, |id| LabItem { id, category: Some(0) });
    cohort.lab_categories = vec!["laboratory".into()];
    Ok(scanned.bad)
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
        let notes: Vec<u64> = cohort.notes.iter().map(|note| note.1).collect();
        assert_eq!(notes, [0, 1, 1, 0], "{:?}", cohort.notes);
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
        let error = parse(OmopOptions { icd_map: FilePath::default(), ..options(&folder) }, false).unwrap_err();
        assert!(error.to_string().starts_with("`icd_map`"), "{error}");
        let none = OmopOptions { visit_concepts: vec![1], ..options(&folder) };
        assert!(parse(none, false).unwrap_err().to_string().contains("no person is left"));
    }

    #[test]
    fn it_is_a_sound_parser() {
        let folder = folder();
        dualk_sdk::testing::check_parser(options(&folder));
    }
}
