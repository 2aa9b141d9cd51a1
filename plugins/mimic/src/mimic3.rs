//! The tables of MIMIC-III → a cohort.

use crate::time::Time;
use crate::{Mimic3Options, diagnoses, labs};
use dualk_sdk::component::Inputs;
use dualk_sdk::data::coding::{CodeSystem, Coding};
use dualk_sdk::data::hierarchy::Icd;
use dualk_sdk::data::tables::Table;
use dualk_sdk::error::value;
use dualk_sdk::prelude::*;
use std::collections::{HashMap, HashSet};

/// Reads MIMIC-III: all admissions, in the order of their times; a patient stands where its first admission does.
#[derive(Debug, Clone)]
pub struct Mimic3 {
    pub(crate) options: Mimic3Options,
}

/// The tables that are needed, with the names of their columns as the files have them.
struct Tables {
    admissions: (Table, Vec<String>),
    diagnoses: (Table, Vec<String>),
    labs: Option<labs::Tables>,
}

impl Mimic3 {
    fn open(&self) -> Result<Tables> {
        let root = self.options.root.as_path();
        Ok(Tables {
            admissions: Table::open_any_case(root, "admissions", &["subject_id", "hadm_id", "admittime"])?,
            diagnoses: Table::open_any_case(root, "diagnoses_icd", &["subject_id", "hadm_id", "icd9_code"])?,
            labs: self.options.labs.then(|| labs::Tables::open(root)).transpose().map_err(|e| {
                e.help("labs = false reads diagnoses alone, for the demo, which comes without laboratory tables")
            })?,
        })
    }
}

impl Parser for Mimic3 {
    fn check(&self) -> Result<()> {
        self.open().map_err(|e| e.at_key("root"))?;
        Coding::check(None, self.options.group.given())
    }

    fn inputs(&self) -> Option<Inputs> {
        let tables = self.open().ok()?;
        let labs = tables.labs.iter().flat_map(labs::Tables::tables);
        let tables = [&tables.admissions.0, &tables.diagnoses.0].into_iter().chain(labs);
        Some(Inputs { files: tables.map(|table| table.path().to_owned()).collect(), seed: false })
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        self.check()?;
        let root = self.options.root.as_path();
        let tables = self.open()?;
        let mut coding = Coding::new(CodeSystem::Icd9, None, self.options.group.given())?;
        let task = context.progress.begin("patients and admissions", "tables", None);
        let patients = admissions(&tables.admissions)?;
        task.finish("");
        let known: HashSet<i64> = patients.iter().map(|p| p.0).collect();
        let task = context.progress.begin("diagnoses", "tables", None);
        let (table, columns) = &tables.diagnoses;
        let rows = table.read()?;
        let columns = [columns[0].as_str(), columns[1].as_str(), columns[2].as_str()];
        let codes = diagnoses::read_rows(&rows, columns, |_| Ok(Icd::Icd9), &mut coding, &known)?;
        task.finish("");
        let (mut cohort, dropped) = Cohort::of_admissions(patients, &codes, coding.names());
        if cohort.patients.is_empty() {
            let left_out = format!("left out: {dropped} patients with an admission without codes");
            return Err(Error::user("no patient is left").at_file(root).help(left_out));
        }
        cohort.notes = vec![("patients left out for an admission without codes".into(), dropped)];
        cohort.notes.extend(self.options.group.given().map(|_| coding.notes()[1].clone()));
        if let Some(labs) = &tables.labs {
            let labs = labs.read(cohort.admissions.values(), self.options.on_bad_row, context.progress)?;
            let (unknown, bad_rows) = labs.add_to(&mut cohort);
            cohort.notes.extend([
                ("lab items that D_LABITEMS lacks, taken as uncategorised".into(), unknown),
                ("rows of LABEVENTS skipped because they cannot be used".into(), bad_rows),
            ]);
        }
        Ok(cohort)
    }
}

/// Patients in the order of their first row, with their admissions in the order of time.
fn admissions((table, columns): &(Table, Vec<String>)) -> Result<Vec<(i64, Vec<i64>)>> {
    let rows = table.read()?;
    let subjects = rows.integers(&columns[0])?;
    let ids = rows.integers(&columns[1])?;
    let (mut place, mut seen) = (HashMap::new(), HashSet::new());
    let mut patients: Vec<(i64, Vec<(Time, i64)>)> = Vec::new();
    for (i, text) in rows.texts(&columns[2])?.enumerate() {
        if !seen.insert(ids[i]) {
            return Err(rows.error(i, format!("the admission {} occurs twice", value(ids[i]))));
        }
        let Some(time) = text.and_then(Time::parse) else {
            let message = format!("the column `{}` must hold a time such as 2166-05-20 19:16:52", columns[2]);
            return Err(rows.error(i, message));
        };
        let at = *place.entry(subjects[i]).or_insert_with(|| {
            patients.push((subjects[i], Vec::new()));
            patients.len() - 1
        });
        patients[at].1.push((time, ids[i]));
    }
    let ordered = |(subject, mut admissions): (i64, Vec<(Time, i64)>)| {
        admissions.sort_by_key(|a| a.0);
        (subject, admissions.into_iter().map(|a| a.1).collect())
    };
    Ok(patients.into_iter().map(ordered).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dualk_sdk::progress::Silent;
    use std::fs;
    use std::path::Path;

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

    fn parse(folder: &Path, labs: bool) -> Result<Cohort> {
        let options = Mimic3Options { root: FilePath(folder.to_owned()), labs, ..Default::default() };
        options.build()?.parse(&ParserContext { progress: &Silent, compat: false, seed: 0 })
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
        ] {
            let folder = folder();
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
