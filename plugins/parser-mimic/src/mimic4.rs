//! The tables of MIMIC-IV → a cohort.

use crate::events::{self, Edition};
use crate::{Mimic4Options, admissions, diagnoses, labs};
use dualk_sdk::component::Inputs;
use dualk_sdk::data::coding::Coding;
use dualk_sdk::data::tables::{Opened, Table, check_folder, files_in};
use dualk_sdk::data::{CodeTables, Dates};
use dualk_sdk::error::Mistakes;
use dualk_sdk::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;

/// Reads MIMIC-IV.
pub struct Mimic4 {
    options: Mimic4Options,
    tables: Opened<Tables>,
}

/// The tables that are needed.
struct Tables {
    admissions: admissions::Tables,
    diagnoses: Table,
    labs: labs::Tables,
    events: events::Tables,
}

impl Tables {
    fn files(&self) -> Vec<PathBuf> {
        let tables = self.admissions.tables().into_iter().chain([&self.diagnoses]).chain(self.labs.tables());
        let tables = tables.chain(self.events.tables());
        tables.map(|table| table.path().to_owned()).collect()
    }
}

impl Mimic4 {
    pub(crate) fn new(options: Mimic4Options) -> Self {
        Self { options, tables: Opened::default() }
    }

    fn tables(&self) -> Result<Arc<Tables>> {
        self.tables.get(files_in(self.options.root.as_path()), || self.open())
    }

    fn open(&self) -> Result<Tables> {
        let options = &self.options;
        let root = options.root.as_path();
        check_folder(root).map_err(|e| e.at_key("root"))?;
        let dates = Dates::of_option(&options.date_format)?;
        let mut mistakes = Mistakes::default();
        let admissions = mistakes.note(admissions::Tables::open(root, dates).map_err(|e| e.at_key("root")));
        let diagnoses = mistakes.note(diagnoses::open(root).map_err(|e| e.at_key("root")));
        let labs = mistakes.note(labs::Tables::open(root, options.quantiles));
        let asked = (&options.events[..], &options.event_tables[..]);
        let events = mistakes.note(events::Tables::open(root, Edition::Written, asked, &options.drug));
        let found = admissions.zip(diagnoses).zip(labs).zip(events);
        let (((admissions, diagnoses), labs), events) = mistakes.finish(found)?;
        Ok(Tables { admissions, diagnoses, labs, events })
    }

    /// The tables, once all that can be known without reading them is as it should be.
    fn checked(&self) -> Result<Arc<Tables>> {
        let Mimic4Options { icd_map, group, drug_map, .. } = &self.options;
        let tables = CodeTables { icd_map: icd_map.given(), group: group.given(), drug_map: drug_map.given() };
        tables.checked(self.tables())
    }
}

impl Parser for Mimic4 {
    fn check(&self) -> Result<()> {
        self.checked().map(drop)
    }

    fn inputs(&self) -> Option<Inputs> {
        let tables = self.tables().ok()?;
        Some(Inputs { files: tables.files(), split: tables.labs.cuts(), ..Inputs::default() })
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        let tables = self.checked()?;
        let options = &self.options;
        Coding::published(context.compat, options.code_system, options.icd_map.given())?;
        let mut coding = Coding::new(options.code_system, options.icd_map.given(), options.group.given())?;
        let task = context.progress.begin("patients and admissions", "tables", None);
        let (visits, read) = tables.admissions.read()?;
        task.finish("");
        let task = context.progress.begin("diagnoses", "tables", None);
        let (codes, steps) = diagnoses::read(&tables.diagnoses, &mut coding, &visits)?;
        task.finish("");
        let cohort = visits.stays.cohort(&codes, coding.names(), read.into_iter().chain(steps));
        let mut cohort = cohort.map_err(|e| e.at_file(options.root.as_path()))?;
        cohort.set_titles(|code| coding.title(code));
        let (ids, progress) = (&visits.stays.admission_ids, context.progress);
        tables.events.add_to(&mut cohort, ids, options.drug_map.given(), options.on_bad_row, progress)?;
        tables.labs.add_to(&mut cohort, ids, options.on_bad_row, context)?;
        Ok(cohort)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dualk_sdk::data::events::EventKind;
    use dualk_sdk::data::{Demographics, Sex, Step};
    use dualk_sdk::progress::Silent;
    use std::fs;
    use tempfile::TempDir;

    const CONTEXT: ParserContext<'static> = ParserContext { progress: &Silent, compat: false, seed: 0, learns: None };

    /// A folder with these tables, and one abnormal result of the admission 10.
    fn tables(patients: &str, admissions: &str, diagnoses: &str) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("patients.csv", patients),
            ("admissions.csv", admissions),
            ("diagnoses_icd.csv", diagnoses),
            ("labevents.csv", "hadm_id,itemid,flag\n10,1,abnormal\n"),
            ("d_labitems.csv", "itemid,category\n1,Chemistry\n"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    /// The cohort of these tables, by default.
    fn cohort(patients: &str, admissions: &str, diagnoses: &str) -> Cohort {
        let folder = tables(patients, admissions, diagnoses);
        let options = Mimic4Options { root: FilePath(folder.path().to_owned()), ..Default::default() };
        options.build().unwrap().parse(&CONTEXT).unwrap()
    }

    #[test]
    fn procedures_have_the_titles_of_their_edition() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("patients.csv", "subject_id,gender,anchor_age,anchor_year,anchor_year_group\n1,F,60,2150,2014 - 2016\n");
        write("admissions.csv", "subject_id,hadm_id,admittime\n1,10,2150-11-12 10:00\n");
        write("diagnoses_icd.csv", "subject_id,hadm_id,icd_code,icd_version\n1,10,4280,9\n");
        write("labevents.csv", "hadm_id,itemid,flag\n10,1,abnormal\n");
        write("d_labitems.csv", "itemid,category\n1,Chemistry\n");
        write(
            "procedures_icd.csv",
            "subject_id,hadm_id,icd_code,icd_version\n1,10,3893,9\n1,10,02HV33Z,10\n1,10,3893,10\n",
        );
        let titles =
            "icd_code,icd_version,long_title\n3893,9,\"Venous catheterization, not elsewhere\"\n02HV33Z,10,Insertion\n";
        write("d_icd_procedures.csv", titles);
        let root = FilePath(folder.path().to_owned());
        let options = Mimic4Options { root, events: vec![EventKind::Procedures], ..Default::default() };
        let parser = options.build().unwrap();
        assert!(parser.inputs().unwrap().files.iter().any(|file| file.ends_with("d_icd_procedures.csv")));
        let cohort = parser.parse(&CONTEXT).unwrap();
        let procedures = cohort.events("procedures").unwrap();
        assert_eq!(procedures.names, ["ICD9:3893", "ICD10:02HV33Z", "ICD10:3893"]);
        assert_eq!(procedures.titles, ["Venous catheterization, not elsewhere", "Insertion", ""]);
        fs::remove_file(folder.path().join("d_icd_procedures.csv")).unwrap();
        let cohort = parser.parse(&CONTEXT).unwrap();
        let titles = [
            "Venous catheterization, not elsewhere classified",
            "Insertion of Infusion Device into Superior Vena Cava, Percutaneous Approach",
            "",
        ];
        assert_eq!(cohort.events("procedures").unwrap().titles, titles);
    }

    #[test]
    fn all_that_is_missing_is_named_and_a_folder_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = FilePath(folder.path().to_owned());
        let options = Mimic4Options { root, events: vec![EventKind::Drugs], ..Default::default() };
        let said = |options: &Mimic4Options| options.clone().build().unwrap().check().unwrap_err().to_string();
        fs::write(folder.path().join("patients.csv"), "subject_id,year,group\n").unwrap();
        fs::write(folder.path().join("d_labitems.csv"), "itemid,category\n").unwrap();
        let error = said(&options);
        for missing in ["anchor_year", "anchor_year_group", "admissions", "diagnoses_icd", "labevents", "prescriptions"]
        {
            let of = [format!("the column `{missing}` is missing"), format!("the table `{missing}` is missing")];
            assert!(of.iter().any(|text| error.contains(text.as_str())), "{missing}: {error}");
        }
        assert_eq!(error.matches("is missing").count(), 6, "{error}");
        let nowhere = Mimic4Options { root: FilePath(folder.path().join("none")), ..options };
        assert_eq!(said(&nowhere).matches("there is no such folder").count(), 1);
    }

    #[test]
    fn patients_without_an_admission_of_the_period_are_counted() {
        // Dates of 2 and 3 are moved by 139 years: 2150 is 2011. 4 and 5 were never admitted.
        let patients = "subject_id,anchor_year,anchor_year_group\n1,2150,2014 - 2016\n2,2150,2011 - 2013\n\
                        3,2150,2011 - 2013\n4,2150,2014 - 2016\n5,2150,2014 - 2016\n";
        let admissions = "subject_id,hadm_id,admittime\n1,10,2150-11-12 10:00\n2,20,2150-01-01 10:00\n3,30,2150-01-01 10:00\n\
             3,31,2152-01-01 10:00\n";
        let diagnoses = "subject_id,hadm_id,icd_code,icd_version\n1,10,4280,9\n3,31,4280,9\n";
        let cohort = cohort(patients, admissions, diagnoses);
        assert_eq!(cohort.patients, [1, 3]);
        let left_out = |step: &Step| step.left_out.iter().map(|l| (l.why.clone(), l.count)).collect::<Vec<_>>();
        let [patients, admissions] = &cohort.flow[..2] else { panic!("{:?}", cohort.flow) };
        assert_eq!((patients.what.as_str(), patients.total, patients.lost_count()), ("rows of patients", 5, 0));
        let expected = [("without an admission".to_owned(), 2), ("without an admission after 2012".to_owned(), 1)];
        assert_eq!(left_out(patients), expected);
        assert_eq!((admissions.total, left_out(admissions)), (4, vec![("before 2013".to_owned(), 2)]));
    }

    /// Codes of somebody else became those of the admission, or counted as left out by rule.
    #[test]
    fn diagnoses_of_another_patient_than_their_admission_are_lost() {
        let patients = "subject_id,anchor_year,anchor_year_group\n1,2150,2014 - 2016\n2,2150,2014 - 2016\n";
        let diagnoses = "subject_id,hadm_id,icd_code,icd_version\n1,10,4280,9\n2,10,25000,9\n,10,486,9\n9,10,486,9\n\
                         2,20,4280,9\n2,30,486,9\n";
        let admissions = "subject_id,hadm_id,admittime\n1,10,2150-11-12 10:00\n2,20,2150-01-01 10:00\n";
        let cohort = cohort(patients, admissions, diagnoses);
        assert_eq!(cohort.codes.rows().map(<[u32]>::len).collect::<Vec<_>>(), [1, 1]);
        let step = cohort.flow.iter().find(|step| step.what == "rows of diagnoses_icd").unwrap();
        let why = step.left_out.iter().filter(|l| l.count > 0).map(|l| (l.why.as_str(), l.count));
        let why: Vec<_> = why.collect();
        let expected = [("of an admission that admissions lacks", 1), ("of another patient than their admission", 3)];
        assert_eq!((why.as_slice(), step.lost_count()), (&expected[..], 4));
    }

    #[test]
    fn age_is_that_in_the_anchor_year_and_the_years_since() {
        let patients = "subject_id,gender,anchor_age,anchor_year,anchor_year_group\n1,F,60,2150,2014 - 2016\n\
                        2,M,,2150,2014 - 2016\n";
        let admissions = "subject_id,hadm_id,admittime\n1,10,2150-11-12 10:00\n1,11,2153-01-01 10:00\n\
                          2,20,2150-01-01 10:00\n";
        let diagnoses = "subject_id,hadm_id,icd_code,icd_version\n1,10,4280,9\n1,11,4280,9\n2,20,4280,9\n";
        let cohort = cohort(patients, admissions, diagnoses);
        let known = [(0, 0), (0, 1), (1, 2)].map(|(p, row)| cohort.demographics(p, row));
        let of = |age, sex| Demographics { age, sex: Some(sex) };
        assert_eq!(known, [of(Some(60.0), Sex::Female), of(Some(63.0), Sex::Female), of(None, Sex::Male)]);
    }

    #[test]
    fn what_cannot_be_read_of_patients_and_visits_is_counted() {
        let patients = "subject_id,gender,anchor_age,anchor_year,anchor_year_group\n1,2,sixty,2150,2014 - 2016\n\
                        2,M,60.0,2150,2014 - 2016\n";
        let admissions = "subject_id,hadm_id,admittime,dischtime,hospital_expire_flag\n1,10,2150-11-12 10:00,later,1.0\n\
                          2,20,2150-01-01 10:00,2150-01-02 10:00,maybe\n2,21,2150-02-01 10:00,,\n";
        let diagnoses = "subject_id,hadm_id,icd_code,icd_version\n1,10,4280,9\n2,20,4280,9\n2,21,4280,9\n";
        let cohort = cohort(patients, admissions, diagnoses);
        let facts: Vec<_> = cohort.admission_facts.iter().map(|f| (f.end.is_some(), f.age, f.died)).collect();
        assert_eq!(facts, [(false, None, Some(true)), (true, Some(60.0), None), (false, Some(60.0), None)]);
        for (what, total) in [("sexes", 2), ("ages", 2), ("deaths", 2), ("ends of visits", 2)] {
            let step = cohort.flow.iter().find(|step| step.what == what).unwrap();
            assert_eq!((step.total, step.lost_count()), (total, 1), "{what}");
        }
    }

    #[test]
    fn an_end_before_its_start_is_unknown_and_counted() {
        let admissions = "subject_id,hadm_id,admittime,dischtime\n1,10,2150-11-12 10:00,2150-11-12 09:00\n\
                          1,11,2150-12-12 10:00,2150-12-13 10:00\n";
        let patients = "subject_id,anchor_year,anchor_year_group\n1,2150,2014 - 2016\n";
        let diagnoses = "subject_id,hadm_id,icd_code,icd_version\n1,10,4280,9\n1,11,4280,9\n";
        let cohort = cohort(patients, admissions, diagnoses);
        let facts: Vec<_> = cohort.admission_facts.iter().map(|f| (f.start.is_some(), f.end.is_some())).collect();
        assert_eq!(facts, [(true, false), (true, true)]);
        let step = cohort.flow.iter().find(|step| step.what == "ends of visits").unwrap();
        assert_eq!((step.total, step.lost_count()), (2, 1));
    }

    #[test]
    fn times_may_be_written_in_any_format() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("patients.csv", "subject_id,gender,anchor_age,anchor_year,anchor_year_group\n1,F,60,2150,2014 - 2016\n");
        write("diagnoses_icd.csv", "subject_id,hadm_id,icd_code,icd_version\n1,10,4280,9\n1,11,25000,9\n");
        write("labevents.csv", "hadm_id,itemid,flag\n10,1,abnormal\n");
        write("d_labitems.csv", "itemid,category\n1,Chemistry\n");
        let times = |times: [&str; 4]| {
            let [a, a_end, b, b_end] = times;
            let text = format!("subject_id,hadm_id,admittime,dischtime\n1,10,{a},{a_end}\n1,11,{b},{b_end}\n");
            write("admissions.csv", &text);
        };
        let with = |format: &str| {
            let root = FilePath(folder.path().to_owned());
            let options = Mimic4Options { root, date_format: format.into(), ..Default::default() };
            options.build()?.parse(&CONTEXT)
        };
        times(["2150-11-12 10:00", "2150-11-13 10:00", "2150-10-12 10:00", ""]);
        let expected = with("").unwrap();
        assert_eq!(expected.admissions.row(0), [11, 10]);
        times(["11/12/2150 10:00", "11/13/2150 10:00", "10/12/2150 10:00", ""]);
        assert_eq!(with("%m/%d/%Y %H:%M").unwrap(), expected);
        let error = with("").unwrap_err().to_string();
        assert!(error.contains("admissions.csv:2") && error.contains("date_format"), "{error}");
    }
}
