//! diagnoses_icd → codes of each admission.

use dualk_sdk::data::coding::Coding;
use dualk_sdk::data::hierarchy::Icd;
use dualk_sdk::data::tables::{Rows, Table};
use dualk_sdk::error::value;
use dualk_sdk::prelude::*;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Per admission the numbers of its codes, in file order, repeats kept.
pub type Codes = HashMap<i64, Vec<u32>>;

/// Finds the table of MIMIC-IV and checks its columns.
pub fn open(root: &Path) -> Result<Table> {
    Table::open(root, "diagnoses_icd", &["subject_id", "hadm_id", "icd_code", "icd_version"])
}

/// Reads the codes of the given patients in MIMIC-IV, which names the edition of each.
pub fn read(table: &Table, coding: &mut Coding, patients: &HashSet<i64>) -> Result<Codes> {
    let rows = table.read()?;
    let versions = rows.integers("icd_version")?;
    let edition = |i: usize| match versions[i] {
        9 => Ok(Icd::Icd9),
        10 => Ok(Icd::Icd10),
        other => Err(rows.error(i, format!("the column `icd_version` must hold 9 or 10, found {}", value(other)))),
    };
    read_rows(&rows, ["subject_id", "hadm_id", "icd_code"], edition, coding, patients)
}

/// Reads the codes of the given patients; `columns` are those of patients, admissions and codes.
pub fn read_rows(
    rows: &Rows<'_>,
    columns: [&str; 3],
    edition: impl Fn(usize) -> Result<Icd>,
    coding: &mut Coding,
    patients: &HashSet<i64>,
) -> Result<Codes> {
    let [subject, admission, code] = columns;
    let subjects = rows.integers(subject)?;
    let admissions = rows.integers(admission)?;
    let mut codes = Codes::new();
    for (i, text) in rows.texts(code)?.enumerate() {
        let edition = edition(i)?;
        if patients.contains(&subjects[i])
            && let Some(code) = coding.code(edition, text.unwrap_or(""))
        {
            codes.entry(admissions[i]).or_default().push(code);
        }
    }
    Ok(codes)
}
