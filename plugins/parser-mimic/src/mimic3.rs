//! The tables of MIMIC-III → a cohort.

use crate::events::{self, Edition};
use crate::visits::{Columns, Identified, Listed, Visits};
use crate::{Mimic3Options, diagnoses, labs};
use dualk_sdk::component::Inputs;
use dualk_sdk::data::coding::Coding;
use dualk_sdk::data::hierarchy::Icd;
use dualk_sdk::data::tables::{Opened, Table, check_folder, files_in};
use dualk_sdk::data::{CodeTables, Dates, Ids, Readings, Sex, Step, years_between};
use dualk_sdk::error::Mistakes;
use dualk_sdk::prelude::*;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads MIMIC-III: all admissions, in the order of their times; a patient stands where its first admission does.
pub struct Mimic3 {
    options: Mimic3Options,
    tables: Opened<Tables>,
}

/// The table of patients with its columns of sex and date of birth, which need not be there.
type Patients = (Table, [Option<String>; 2]);

/// The tables that are needed.
struct Tables {
    admissions: (Table, Columns),
    /// Needed by none.
    patients: Option<Patients>,
    diagnoses: Table,
    labs: Option<labs::Tables>,
    /// Further kinds of codes.
    events: events::Tables,
}

impl Tables {
    fn files(&self) -> Vec<PathBuf> {
        let labs = self.labs.iter().flat_map(labs::Tables::tables);
        let patients = self.patients.iter().map(|(table, _)| table);
        let named = [&self.admissions.0, &self.diagnoses].into_iter().chain(patients).chain(labs);
        let tables = named.chain(self.events.tables());
        tables.map(|table| table.path().to_owned()).collect()
    }
}

impl Mimic3 {
    pub(crate) fn new(options: Mimic3Options) -> Self {
        Self { options, tables: Opened::default() }
    }

    fn tables(&self) -> Result<Arc<Tables>> {
        self.tables.get(files_in(self.options.root.as_path()), || self.open())
    }

    fn open(&self) -> Result<Tables> {
        #[cfg(test)]
        tests::count_opening();
        let options = &self.options;
        let root = options.root.as_path();
        let open =
            |name: &str, columns: &[&str]| Table::open_any_case(root, name, columns).map_err(|e| e.at_key("root"));
        check_folder(root).map_err(|e| e.at_key("root"))?;
        let dates = Dates::of_option(&options.date_format)?;
        let names = ["subject_id", "hadm_id", "admittime"];
        let mut mistakes = Mistakes::default();
        let admissions = mistakes.note(open("admissions", &names));
        let diagnoses = mistakes.note(open("diagnoses_icd", &["subject_id", "hadm_id", "icd9_code"]));
        let patients = mistakes.note(patients(root));
        let labs = options.labs.then(|| labs::Tables::open(root, options.quantiles)).transpose();
        let labs = mistakes.note(labs.map_err(|e| {
            e.help("labs = false reads diagnoses alone, for the demo, which comes without laboratory tables")
        }));
        let asked = (&options.events[..], &options.event_tables[..]);
        let events = mistakes.note(events::Tables::open(root, Edition::Nine, asked, &options.drug));
        let found = admissions.zip(diagnoses.zip(patients)).zip(labs.zip(events));
        let ((mut admissions, (diagnoses, patients)), (labs, events)) = mistakes.finish(found)?;
        let columns = Columns::of(&mut admissions, names, dates).map_err(|e| e.at_key("root"))?;
        Ok(Tables { admissions: (admissions, columns), patients, diagnoses, labs, events })
    }

    /// The tables, once all that can be known without reading them is as it should be.
    fn checked(&self) -> Result<Arc<Tables>> {
        let Mimic3Options { group, drug_map, .. } = &self.options;
        let tables = CodeTables { icd_map: None, group: group.given(), drug_map: drug_map.given() };
        tables.checked(self.tables())
    }
}

impl Parser for Mimic3 {
    fn check(&self) -> Result<()> {
        self.checked().map(drop)
    }

    fn inputs(&self) -> Option<Inputs> {
        let tables = self.tables().ok()?;
        let split = tables.labs.as_ref().is_some_and(labs::Tables::cuts);
        Some(Inputs { files: tables.files(), split, ..Inputs::default() })
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        let tables = self.checked()?;
        let options = &self.options;
        let mut coding = Coding::new(options.code_system, None, options.group.given())?;
        let task = context.progress.begin("patients and admissions", "tables", None);
        let (visits, patients) = admissions(&tables, &Dates::of_option(&options.date_format)?)?;
        task.finish("");
        let task = context.progress.begin("diagnoses", "tables", None);
        let (rows, columns) = (tables.diagnoses.read()?, ["subject_id", "hadm_id", "icd9_code"]);
        let (codes, steps) = diagnoses::read_rows(&rows, columns, |_| Ok(Icd::Icd9), &mut coding, &visits)?;
        task.finish("");
        let cohort = visits.stays.cohort(&codes, coding.names(), patients.into_iter().chain(steps));
        let mut cohort = cohort.map_err(|e| e.at_file(options.root.as_path()))?;
        cohort.set_titles(|code| coding.title(code));
        let (ids, progress) = (&visits.stays.admission_ids, context.progress);
        tables.events.add_to(&mut cohort, ids, options.drug_map.given(), options.on_bad_row, progress)?;
        if let Some(labs) = &tables.labs {
            labs.add_to(&mut cohort, ids, options.on_bad_row, context)?;
        }
        Ok(cohort)
    }
}

/// The table of patients, where it is there. What is wrong with it is said: it is not taken for one that is not there.
fn patients(root: &Path) -> Result<Option<Patients>> {
    let open = || -> Result<Option<Patients>> {
        let Some(mut table) = Table::open_if_there(root, "patients", &["subject_id"])? else { return Ok(None) };
        let known = [table.also("gender")?, table.also("dob")?];
        Ok(Some((table, known)))
    };
    open().map_err(|e| e.at_key("root"))
}

/// Patients in the order of their first row, with their admissions in the order of time, and the step of the table of
/// patients where there is one.
fn admissions(tables: &Tables, dates: &Dates) -> Result<(Visits, Option<Step>)> {
    let (table, columns) = &tables.admissions;
    let rows = table.read()?;
    let mut identified = Identified::of(&rows, columns)?;
    let (ids, readings) = (&identified.ids[0], &mut identified.readings);
    let (subjects, listed) = match &tables.patients {
        Some(patients) => subjects(patients, dates, ids, readings).map(|(known, rows)| (known, Some(rows)))?,
        None => (HashMap::new(), None),
    };
    let sex = |subject| subjects.get(&subject).and_then(|known| known.0);
    // Births of people above 89 are moved by three centuries, to hide their age.
    let age = |subject, start| {
        let years = years_between(subjects.get(&subject)?.1?, start)?;
        Some(if years > 150.0 { 90.0 } else { years as f32 })
    };
    let visits = identified.visits(&rows, columns, |_, _, _| Ok(true), sex, age)?;
    let patients = listed.map(|listed| visits.patients(&listed, None));
    Ok((visits, patients))
}

/// Sex and date of birth, in seconds.
type Born = (Option<Sex>, Option<i64>);

/// Sex and date of birth of each subject, and the subject of every row.
fn subjects(patients: &Patients, dates: &Dates, ids: &Ids, readings: &mut Readings) -> Result<Listed<Born>> {
    let (table, [sex, birth]) = patients;
    let rows = table.read()?;
    let numbers = ids.column(&rows, "subject_id")?;
    ids.each_known_once(&rows, &numbers, "patient")?;
    let (sexes, births) = (rows.texts_if(sex.as_deref())?, rows.texts_if(birth.as_deref())?);
    let fact = |(i, number): (usize, &Option<i64>)| {
        let facts = (readings.sex(sexes[i]), readings.read("births", births[i], |birth| dates.read(birth)));
        // Without an admission, or without an identifier, it is nobody's.
        number.map(|number| (number, facts))
    };
    let known = numbers.iter().enumerate().filter_map(fact).collect();
    Ok((known, numbers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dualk_sdk::data::events::EventKind;
    use dualk_sdk::progress::Silent;
    use std::cell::Cell;
    use std::fs::{self, File};
    use std::path::Path;
    use std::time::SystemTime;

    thread_local! {
        /// How often this thread opened the tables of a parser.
        static OPENED: Cell<usize> = const { Cell::new(0) };
    }

    pub fn count_opening() {
        OPENED.set(OPENED.get() + 1);
    }

    /// Makes files look as if nobody had written to them for long.
    fn settle(folder: &Path) {
        for file in files_in(folder) {
            File::options().append(true).open(file).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
    }

    fn write(folder: &Path, name: &str, content: &str) {
        fs::write(folder.join(name), content).unwrap();
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let admissions = "\"ROW_ID\",\"SUBJECT_ID\",\"HADM_ID\",\"ADMITTIME\"\n1,7,12,2101-02-01 00:00:00\n\
                          2,5,21,2101-01-01 00:00:00\n3,7,11,2101-01-01 00:00:00\n4,6,31,2101-01-01 00:00:00\n";
        write(folder.path(), "ADMISSIONS.csv", admissions);
        let diagnoses = "\"ROW_ID\",\"SUBJECT_ID\",\"HADM_ID\",\"SEQ_NUM\",\"ICD9_CODE\"\n1,7,11,1,\"4280\"\n\
                         2,7,12,1,\"E8490\"\n3,7,12,2,\"4280\"\n4,5,21,1,\"25000\"\n5,6,31,,\n";
        write(folder.path(), "DIAGNOSES_ICD.csv", diagnoses);
        write(folder.path(), "D_LABITEMS.csv", "ITEMID,CATEGORY\n50912,Chemistry\n51222,HEMATOLOGY\n");
        let labs = "SUBJECT_ID,HADM_ID,ITEMID,FLAG\n7,11,50912,abnormal\n7,11,50912,abnormal\n7,12,51222,delta\n\
                    5,21,51222,abnormal\n5,,50912,abnormal\n";
        write(folder.path(), "LABEVENTS.csv", labs);
        folder
    }

    /// Each column is found by the heading of the file that is read.
    #[test]
    fn tables_are_opened_once_and_again_where_one_changed() {
        OPENED.set(0);
        let folder = folder();
        settle(folder.path());
        let parser = Mimic3Options { root: FilePath(folder.path().to_owned()), labs: false, ..Default::default() };
        let parser = parser.build().unwrap();
        let context = ParserContext { progress: &Silent, compat: false, seed: 0, learns: None };
        // As `dualk run` asks it.
        let patients = || {
            parser.check().unwrap();
            let before = parser.inputs().unwrap();
            let cohort = parser.parse(&context).unwrap();
            assert_eq!(before, parser.inputs().unwrap());
            (cohort.patients, before.files.len())
        };
        assert_eq!((patients(), OPENED.replace(0)), ((vec![7, 5], 2), 1));
        parser.check().unwrap();
        // The columns of patients and admissions change places, and nothing else.
        let admissions = "\"ROW_ID\",\"HADM_ID\",\"SUBJECT_ID\",\"ADMITTIME\"\n1,12,7,2101-02-01 00:00:00\n\
                          2,21,5,2101-01-01 00:00:00\n3,11,7,2101-01-01 00:00:00\n4,31,6,2101-01-01 00:00:00\n";
        write(folder.path(), "ADMISSIONS.csv", admissions);
        assert_eq!(parser.parse(&context).unwrap().patients, [7, 5]);
        // Whoever comes later is found, too.
        write(folder.path(), "PATIENTS.csv", "SUBJECT_ID,GENDER,DOB\n5,F,2041-01-03\n7,M,\n");
        settle(folder.path());
        OPENED.set(0);
        assert_eq!((patients(), OPENED.get()), ((vec![7, 5], 3), 1));
    }

    #[test]
    fn procedures_and_drugs_are_codes_of_further_kinds() {
        let folder = folder();
        write(folder.path(), "PROCEDURES_ICD.csv", "HADM_ID,ICD9_CODE\n11,3893\n11,3893\n21,9604\n99,1\n,2\n");
        write(
            folder.path(),
            "PRESCRIPTIONS.csv",
            "HADM_ID,DRUG\n12,Aspirin\n12,\"Insulin, regular\"\n21,Aspirin\n21,\n",
        );
        write(
            folder.path(),
            "D_ICD_PROCEDURES.csv",
            "ICD9_CODE,SHORT_TITLE,LONG_TITLE\n3893,Venous cath,Venous catheterization\n",
        );
        let options = Mimic3Options {
            root: FilePath(folder.path().to_owned()),
            events: vec![EventKind::Procedures, EventKind::Drugs],
            ..Default::default()
        };
        let context = ParserContext { progress: &Silent, compat: false, seed: 0, learns: None };
        let parser = options.build().unwrap();
        assert!(parser.inputs().unwrap().files.iter().any(|file| file.ends_with("D_ICD_PROCEDURES.csv")));
        let cohort = parser.parse(&context).unwrap();
        cohort.validate().unwrap();
        let [procedures, drugs] = &cohort.events[..] else { panic!("{:?}", cohort.events) };
        assert_eq!(
            (procedures.names.as_slice(), drugs.names.as_slice()),
            (
                &["ICD9:3893".to_owned(), "ICD9:9604".to_owned()][..],
                &["Aspirin".to_owned(), "Insulin, regular".to_owned()][..]
            )
        );
        assert_eq!(procedures.rows.rows().collect::<Vec<_>>(), [&[0][..], &[], &[1]]);
        assert_eq!(
            (procedures.titles.as_slice(), drugs.titles.len()),
            (&["Venous catheterization".to_owned(), "Insertion of endotracheal tube".to_owned()][..], 0),
            "the second is not in the table"
        );
        assert_eq!(drugs.rows.rows().collect::<Vec<_>>(), [&[][..], &[0, 1], &[0]]);
        let lost = |what: &str| cohort.flow.iter().find(|step| step.what == what).unwrap().lost_count();
        assert_eq!([lost("rows of procedures_icd"), lost("rows of prescriptions")], [1, 1]);
    }

    #[test]
    fn values_may_be_cut_and_drugs_mapped() {
        let folder = folder();
        let labs = "SUBJECT_ID,HADM_ID,ITEMID,VALUENUM\n7,11,50912,1.0\n7,12,50912,3.5\n5,21,50912,2\n5,21,1,7\n\
                    5,,50912,9\n7,12,50912,\n99,99,50912,100\n";
        write(folder.path(), "LABEVENTS.csv", labs);
        write(folder.path(), "PRESCRIPTIONS.csv", "HADM_ID,DRUG,NDC\n12,Aspirin,0001\n21,Other,0002\n");
        write(folder.path(), "atc.csv", "drug,code\n0001,B01AC06\n");
        let options = Mimic3Options {
            root: FilePath(folder.path().to_owned()),
            quantiles: 2,
            events: vec![EventKind::Drugs],
            drug: "ndc".into(),
            drug_map: FilePath(folder.path().join("atc.csv")),
            ..Default::default()
        };
        let context = ParserContext { progress: &Silent, compat: false, seed: 0, learns: None };
        let cohort = options.build().unwrap().parse(&context).unwrap();
        cohort.validate().unwrap();
        assert_eq!(cohort.lab_names, ["1, part 1 of 2", "50912, part 1 of 2", "50912, part 2 of 2"]);
        assert_eq!(cohort.labs.rows().collect::<Vec<_>>(), [&[1][..], &[2], &[0, 1]]);
        assert_eq!(cohort.lab_items.iter().map(|item| item.category).collect::<Vec<_>>(), [None, Some(1), Some(1)]);
        let lost = |what: &str| cohort.flow.iter().find(|step| step.what == what).unwrap().lost_count();
        assert_eq!([lost("rows of labevents"), lost("drugs")], [1, 1]);
        let rows = cohort.flow.iter().find(|step| step.what == "rows of labevents").unwrap();
        assert_eq!((rows.total, rows.kept()), (7, 5), "one has no admission, one an admission of nobody in the cohort");
        assert_eq!(cohort.events("drugs").unwrap().names, ["B01AC06"]);
    }

    fn parse(folder: &Path, labs: bool) -> Result<Cohort> {
        let options = Mimic3Options { root: FilePath(folder.to_owned()), labs, ..Default::default() };
        options.build()?.parse(&ParserContext { progress: &Silent, compat: false, seed: 0, learns: None })
    }

    #[test]
    fn tables_in_capitals_give_a_cohort() {
        let folder = folder();
        let cohort = parse(folder.path(), true).unwrap();
        cohort.validate().unwrap();
        assert_eq!(cohort.patients, [7, 5], "6 has an admission without codes");
        assert_eq!(cohort.admissions.row(0), [11, 12], "by time");
        assert_eq!(cohort.code_names, ["428.0", "E849.0", "250.00"]);
        assert_eq!(
            cohort.lab_items.iter().map(|item| (item.id, item.category)).collect::<Vec<_>>(),
            [(50912, Some(1)), (51222, Some(0))]
        );
        assert_eq!(cohort.labs.rows().collect::<Vec<_>>(), [&[0][..], &[], &[1]]);
        assert!(parse(folder.path(), false).unwrap().lab_items.is_empty());
    }

    #[test]
    fn patients_without_an_admission_are_counted_where_there_is_a_table_of_patients() {
        let folder = folder();
        let steps = |cohort: &Cohort| cohort.flow.iter().filter(|step| step.what == "rows of patients").count();
        assert_eq!(steps(&parse(folder.path(), false).unwrap()), 0);
        write(folder.path(), "PATIENTS.csv", "SUBJECT_ID,GENDER,DOB\n5,F,2041-01-03\n7,M,\n6,M,\n8,F,\n9,F,\n");
        let cohort = parse(folder.path(), false).unwrap();
        let step = &cohort.flow[0];
        assert_eq!((step.what.as_str(), step.total, step.kept(), step.lost_count()), ("rows of patients", 5, 3, 0));
    }

    #[test]
    fn age_and_sex_are_those_at_the_admission_and_hidden_ages_are_90() {
        let folder = folder();
        // 7 is 60 and a month later still 60; the birth of 5 was moved by three centuries.
        let births = "SUBJECT_ID,GENDER,DOB\n5,F,1801-01-01\n7,M,2040-12-01\n";
        write(folder.path(), "PATIENTS.csv", births);
        let cohort = parse(folder.path(), false).unwrap();
        assert_eq!(cohort.patients, [7, 5]);
        let known = |p: usize, admission| {
            let known = cohort.demographics(p, admission);
            (known.age.map(f32::floor), known.sex)
        };
        assert_eq!([known(0, 0), known(0, 1)], [(Some(60.0), Some(Sex::Male)); 2]);
        assert_eq!(known(1, 2), (Some(90.0), Some(Sex::Female)));
    }

    #[test]
    fn times_may_be_written_in_any_format() {
        let folder = folder();
        let write = |times: [&str; 5], birth: &str| {
            let [a, b, c, d, end] = times;
            let head = "SUBJECT_ID,HADM_ID,ADMITTIME,DISCHTIME";
            let rows = format!("7,12,{a},\n5,21,{b},{end}\n7,11,{c},\n6,31,{d},\n");
            write(folder.path(), "ADMISSIONS.csv", &format!("{head}\n{rows}"));
            write(folder.path(), "PATIENTS.csv", &format!("SUBJECT_ID,GENDER,DOB\n5,F,{birth}\n"));
        };
        let with = |format: &str| {
            let options = Mimic3Options {
                root: FilePath(folder.path().to_owned()),
                date_format: format.into(),
                ..Default::default()
            };
            options.build()?.parse(&ParserContext { progress: &Silent, compat: false, seed: 0, learns: None })
        };
        let times =
            ["2101-02-01 00:00", "2101-01-03 00:00", "2101-01-12 10:00", "2101-01-01 00:00", "2101-01-04 12:30"];
        write(times, "2041-01-03");
        let expected = with("").unwrap();
        let facts = &expected.admission_facts[2];
        assert_eq!(
            (facts.age.map(f32::round), facts.end.zip(facts.start).map(|(e, s)| e - s)),
            (Some(60.0), Some(131_400))
        );
        let times =
            ["01.02.2101 00:00", "03.01.2101 00:00", "12.01.2101 10:00", "01.01.2101 00:00", "04.01.2101 12:30"];
        write(times, "03.01.2041");
        assert_eq!(with("%d.%m.%Y %H:%M").unwrap(), expected);
        let error = with("").unwrap_err().to_string();
        assert!(error.contains("ADMISSIONS.csv:2") && error.contains("date_format"), "{error}");
        assert!(with("%d.%m").unwrap_err().to_string().starts_with("`date_format`"));
    }

    #[test]
    fn broken_tables_are_refused() {
        for (file, content, says) in [
            (
                "ADMISSIONS.csv",
                "SUBJECT_ID,HADM_ID,ADMITTIME\n7,11,2101-01-01 00:00:00\n7,11,2101-01-01 00:00:00\n",
                "ADMISSIONS.csv:3",
            ),
            ("ADMISSIONS.csv", "SUBJECT_ID,HADM_ID,ADMITTIME\n7,11,yesterday\n", "`ADMITTIME` must hold a time"),
            ("ADMISSIONS.csv", "SUBJECT_ID,ADMITTIME\n", "`hadm_id` is missing"),
            ("DIAGNOSES_ICD.csv", "SUBJECT_ID,HADM_ID,ICD9_CODE\nseven,11,4280\n", "--show-values"),
            // PATIENTS need not be there, and is not taken for absent where something is wrong with it.
            ("PATIENTS.csv", "SUBJECT_ID,GENDER,DOB,DOB\n5,F,2041-01-03,\n", "the column `DOB` occurs 2 times"),
            ("PATIENTS.csv", "SUBJECT_ID,GENDER,DOB,DOB\n5,F,2041-01-03,\n", "PATIENTS.csv:1"),
            ("PATIENTS.csv", "SUBJECT_ID,GENDER,Dob,DOB\n5,F,2041-01-03,\n", "the column `dob` occurs 2 times"),
            ("PATIENTS.csv", "ROW_ID,GENDER,DOB\n5,F,2041-01-03\n", "`subject_id` is missing"),
            ("PATIENTS.csv", "SUBJECT_ID,GENDER,DOB\n5,F,\n7,M,\n5,F,\n", "PATIENTS.csv:4"),
            ("PATIENTS.csv", "", "the file is empty"),
            ("patients.csv.gz", "SUBJECT_ID,GENDER,DOB\n5,F,\n", "the table `patients` is there twice"),
            (
                "PATIENTS.csv",
                "SUBJECT_ID,GENDER,DOB\n7,M,2040-12-01\n8,F,\n7,F,2040-12-01\n",
                "occurs twice, first on line 2",
            ),
        ] {
            let folder = folder();
            write(folder.path(), "PATIENTS.csv", "SUBJECT_ID,GENDER,DOB\n5,F,\n");
            write(folder.path(), file, content);
            let error = parse(folder.path(), true).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        let folder = folder();
        fs::remove_file(folder.path().join("LABEVENTS.csv")).unwrap();
        assert!(parse(folder.path(), true).unwrap_err().to_string().contains("labs = false"));
    }

    #[test]
    fn it_is_a_sound_parser() {
        let folder = folder();
        dualk_sdk::testing::check_parser(Mimic3Options {
            root: FilePath(folder.path().to_owned()),
            ..Default::default()
        });
    }
}
