//! `i2b2`: the table of facts of an i2b2 star schema.

use dualk_sdk::component::Inputs;
use dualk_sdk::data::coding::{CodeSystem, Coding};
use dualk_sdk::data::hierarchy::Icd;
use dualk_sdk::data::tables::{Opened, Rows, Table, files_in};
use dualk_sdk::data::{AdmissionFacts, CodeTables, Dates, Ids, Stays, Step};
use dualk_sdk::error::value;
use dualk_sdk::prelude::*;
use dualk_sdk::source_options;
use std::collections::HashMap;
use std::sync::Arc;

source_options! {
    /// Options of `i2b2`.
    pub struct I2b2Options {
        /// Folder with observation_fact as `.csv`, `.csv.gz` or `.parquet`; names of file and columns in upper or lower case.
        pub root: FilePath = FilePath::default(),
        /// Beginning of the concepts that are diagnoses in ICD-9-CM; the rest is the code.
        pub icd9: String = "ICD9:".into(),
        /// Beginning of the concepts that are diagnoses in ICD-10-CM; the rest is the code.
        pub icd10: String = "ICD10:".into(),
    }
    shares { code_system = CodeSystem::Icd9, icd_map, group, date_format, }
}

impl Component for I2b2Options {
    const NAME: &'static str = "i2b2";
    const ABOUT: &'static str = "i2b2 facts: encounters with a diagnosis are visits";
    const CITATION: &'static str = "Murphy et al., Serving the Enterprise and Beyond with i2b2, JAMIA 2010";
}

impl BuildParser for I2b2Options {
    fn build(self) -> Result<Box<dyn Parser>> {
        self.root.required("root")?;
        Dates::of_option(&self.date_format)?;
        for (key, beginning) in [("icd9", &self.icd9), ("icd10", &self.icd10)] {
            if beginning.is_empty() {
                return Err(Error::user("expected a prefix of concepts, found an empty text").at_key(key));
            }
        }
        Ok(Box::new(I2b2 { options: self, facts: Opened::default() }))
    }
}

/// Reads the facts that are diagnoses: an encounter that has one is a visit, from the earliest time of its diagnoses on.
struct I2b2 {
    options: I2b2Options,
    facts: Opened<Table>,
}

const COLUMNS: [&str; 4] = ["encounter_num", "patient_num", "concept_cd", "start_date"];

/// Why rows are lost, and by which rule they are left out.
const NO_PATIENT: &str = "without a patient";
const NO_ENCOUNTER: &str = "without an encounter";
const OTHER_CONCEPT: &str = "of other concepts";

/// An encounter with a diagnosis.
struct Encounter {
    number: i64,
    patient: i64,
    start: i64,
    /// Each once, in the order of the file.
    codes: Vec<u32>,
}

/// What the facts say.
struct Found {
    stays: Stays,
    codes: HashMap<i64, Vec<u32>>,
    step: Step,
}

impl I2b2 {
    fn facts(&self) -> Result<Arc<Table>> {
        let root = self.options.root.as_path();
        let open = || Table::open_any_case(root, "observation_fact", &COLUMNS).map_err(|e| e.at_key("root"));
        self.facts.get(files_in(root), open)
    }

    /// The table, once all that can be known without reading it is as it should be.
    fn checked(&self) -> Result<Arc<Table>> {
        let I2b2Options { icd_map, group, .. } = &self.options;
        let tables = CodeTables { icd_map: icd_map.given(), group: group.given(), drug_map: None };
        tables.checked(self.facts())
    }

    /// Edition and code of a concept that is a diagnosis.
    fn diagnosis<'c>(&self, concept: &'c str) -> Option<(Icd, &'c str)> {
        let I2b2Options { icd9, icd10, .. } = &self.options;
        let icd9 = concept.strip_prefix(icd9.as_str()).map(|code| (Icd::Icd9, code));
        icd9.or_else(|| concept.strip_prefix(icd10.as_str()).map(|code| (Icd::Icd10, code)))
    }

    /// Patients in the order of their first diagnosis, with their encounters.
    fn read(&self, rows: &Rows<'_>, coding: &mut Coding) -> Result<Found> {
        let (patient_ids, patients) = Ids::where_given(rows, "patient_num")?;
        let (encounter_ids, encounters) = Ids::where_given(rows, "encounter_num")?;
        let (dates, starts) = (Dates::of_option(&self.options.date_format)?, rows.texts_if(Some("start_date"))?);
        let (mut all, mut places) = (Vec::<Encounter>::new(), HashMap::new());
        let (mut others, mut no_patient, mut no_encounter) = (0, 0, 0);
        for (i, concept) in rows.texts("concept_cd")?.enumerate() {
            let Some((edition, code)) = self.diagnosis(concept.unwrap_or_default().trim()) else {
                others += 1;
                continue;
            };
            let Some(patient) = patients[i] else {
                no_patient += 1;
                continue;
            };
            let Some(number) = encounters[i] else {
                no_encounter += 1;
                continue;
            };
            let start = time(rows, i, starts[i], &dates)?;
            let at = *places.entry(number).or_insert_with(|| {
                all.push(Encounter { number, patient, start, codes: Vec::new() });
                all.len() - 1
            });
            let encounter = &mut all[at];
            if encounter.patient != patient {
                let found = value(encounter_ids.name(number));
                return Err(rows.error(i, format!("the encounter {found} has another patient in a row before")));
            }
            encounter.add(start, coding.codes(edition, code));
        }
        let step = Step::new("rows of observation_fact", rows.len() as u64).by_rule(OTHER_CONCEPT, others);
        let step = step.lost(NO_PATIENT, no_patient).lost(NO_ENCOUNTER, no_encounter);
        Ok(Found::of(Stays::new(patient_ids, encounter_ids), all, step))
    }
}

/// The time of a fact.
fn time(rows: &Rows<'_>, i: usize, cell: Option<&str>, dates: &Dates) -> Result<i64> {
    let wrong = || rows.error(i, dates.wrong(rows.called("start_date"), cell)).help(Dates::HELP);
    cell.and_then(|text| dates.read(text)).ok_or_else(wrong)
}

impl Encounter {
    fn add(&mut self, start: i64, codes: &[u32]) {
        self.start = self.start.min(start);
        for code in codes {
            if !self.codes.contains(code) {
                self.codes.push(*code);
            }
        }
    }
}

impl Found {
    fn of(mut stays: Stays, encounters: Vec<Encounter>, step: Step) -> Self {
        let mut of_encounter = HashMap::new();
        for Encounter { number, patient, start, codes } in encounters {
            let facts = AdmissionFacts { start: Some(start), ..AdmissionFacts::default() };
            stays.add(patient, number, start as f64, facts);
            of_encounter.insert(number, codes);
        }
        Self { stays, codes: of_encounter, step }
    }
}

impl Parser for I2b2 {
    fn check(&self) -> Result<()> {
        self.checked().map(drop)
    }

    fn inputs(&self) -> Option<Inputs> {
        let facts = self.facts().ok()?;
        Some(Inputs { files: vec![facts.path().to_owned()], ..Inputs::default() })
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        let facts = self.checked()?;
        let options = &self.options;
        Coding::published(context.compat, options.code_system, options.icd_map.given())?;
        let mut coding = Coding::new(options.code_system, options.icd_map.given(), options.group.given())?;
        let task = context.progress.begin("facts", "tables", None);
        let found = self.read(&facts.read()?, &mut coding)?;
        task.finish("");
        let steps = [found.step, coding.step("diagnoses")];
        let cohort = found.stays.cohort(&found.codes, coding.names(), steps);
        let mut cohort = cohort.map_err(|e| {
            e.at_file(facts.path()).help("the options icd9 and icd10 say how the concepts of diagnoses begin")
        })?;
        cohort.set_titles(|code| coding.title(code));
        Ok(cohort)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Folder, parse};
    use dualk_sdk::data::seconds;

    /// Encounters 13, without a diagnosis, and 22, without a patient, are no visits.
    fn folder() -> Folder {
        let folder = Folder::new();
        folder.write(
            "OBSERVATION_FACT.csv",
            "ENCOUNTER_NUM,PATIENT_NUM,CONCEPT_CD,START_DATE,MODIFIER_CD\n12,1,ICD10:I10,2020-05-02 10:00:00,@\n\
             12,1,ICD10:E11.9,2020-05-01 10:00:00,@\n12,1,ICD10:I10,2020-05-02 10:00:00,DX:2\n\
             11,1,ICD9:428.0,2019-01-31 10:00:00,@\n12,1,LOINC:2345-7,2020-04-01 10:00:00,@\n\
             13,1,LOINC:2345-7,2020-06-01 10:00:00,@\n21,2,ICD10:I10,2018-01-01 10:00:00,@\n\
             ,2,ICD10:I10,2018-01-01 10:00:00,@\n22,,ICD10:I10,2018-01-01 10:00:00,@\n",
        );
        folder
    }

    fn options(folder: &Folder) -> I2b2Options {
        let root = FilePath(folder.path().to_owned());
        I2b2Options { root, code_system: CodeSystem::Icd10, ..I2b2Options::default() }
    }

    #[test]
    fn encounters_with_a_diagnosis_are_visits() {
        let folder = folder();
        let cohort = parse(options(&folder), false).unwrap();
        assert_eq!((cohort.patients.as_slice(), cohort.admissions.values()), (&[1, 2][..], &[11, 12, 21][..]));
        let name = |&code: &u32| cohort.code_names[code as usize].as_str();
        let codes: Vec<Vec<&str>> = cohort.codes.rows().map(|row| row.iter().map(name).collect()).collect();
        assert_eq!(codes, [vec!["I50.9"], vec!["I10", "E11.9"], vec!["I10"]]);
        assert_eq!(cohort.code_titles[0], "Heart failure, unspecified");
        assert_eq!(cohort.admission_facts[1].start, seconds("2020-05-01 10:00:00"), "the earliest of its diagnoses");
        let step = &cohort.flow[0];
        let why: Vec<(&str, u64)> = step.left_out.iter().map(|left| (left.why.as_str(), left.count)).collect();
        assert_eq!((step.total, step.lost_count(), step.kept()), (9, 2, 5), "{why:?}");
        assert_eq!(why, [(OTHER_CONCEPT, 2), (NO_PATIENT, 1), (NO_ENCOUNTER, 1)]);
    }

    #[test]
    fn concepts_may_begin_otherwise() {
        let folder = Folder::new();
        folder.write(
            "observation_fact.csv",
            "encounter_num,patient_num,concept_cd,start_date\nE,P,ICD10CM:I10,03.02.2020\n",
        );
        let other = I2b2Options { icd10: "ICD10CM:".into(), date_format: "%d.%m.%Y".into(), ..options(&folder) };
        let cohort = parse(other, false).unwrap();
        assert_eq!(
            (cohort.patient_names.as_slice(), cohort.code_names.as_slice()),
            (&["P".to_owned()][..], &["I10".to_owned()][..])
        );
        let error = parse(I2b2Options { date_format: "%d.%m.%Y".into(), ..options(&folder) }, false).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("no patient is left") && error.contains("icd9 and icd10 say"), "{error}");
    }

    #[test]
    fn mistakes_name_the_place() {
        let folder = folder();
        let said = |options: I2b2Options| parse(options, false).unwrap_err().to_string();
        assert!(said(I2b2Options::default()).starts_with("`root`"));
        assert!(said(I2b2Options { icd9: String::new(), ..options(&folder) }).starts_with("`icd9`"));
        assert!(said(I2b2Options { date_format: "%d".into(), ..options(&folder) }).starts_with("`date_format`"));
        let head = "encounter_num,patient_num,concept_cd,start_date\n1,1,ICD10:I10,2020-01-01\n";
        for (rows, says) in [
            ("2,1,ICD10:I10,soon\n", "`start_date` must hold a time"),
            ("2,1,ICD10:I10,\n", "found nothing"),
            ("1,2,ICD10:I10,2020-01-01\n", "has another patient in a row before"),
        ] {
            let folder = Folder::new();
            folder.write("observation_fact.csv", &format!("{head}{rows}"));
            let error = said(options(&folder));
            assert!(error.contains("observation_fact.csv:3") && error.contains(says), "{error}");
            folder.write("observation_fact.csv", "encounter_num,concept_cd,start_date\n1,ICD10:I10,2020-01-01\n");
            assert!(said(options(&folder)).contains("the column `patient_num` is missing"));
        }
    }

    #[test]
    fn it_is_a_sound_parser() {
        dualk_sdk::testing::check_parser(options(&folder()));
    }
}
