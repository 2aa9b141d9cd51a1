//! diagnoses_icd → dotted ICD-9 codes of each admission.

use dualk_sdk::data::codes::{IcdMap, dotted};
use dualk_sdk::data::tables::Table;
use dualk_sdk::prelude::*;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Codes by admission.
pub struct Diagnoses {
    /// Per admission its codes in file order, repeats kept.
    pub codes: HashMap<i64, Vec<String>>,
    /// ICD-10 codes without an ICD-9 equivalent.
    pub unmapped: u64,
}

/// Finds the table and checks its columns.
pub fn open(root: &Path) -> Result<Table> {
    Table::open(root, "diagnoses_icd", &["subject_id", "hadm_id", "icd_code", "icd_version"])
}

/// Reads the codes of the given patients.
pub fn read(table: &Table, map: &IcdMap, patients: &HashSet<i64>) -> Result<Diagnoses> {
    let rows = table.read()?;
    let subjects = rows.integers("subject_id")?;
    let admissions = rows.integers("hadm_id")?;
    let versions = rows.integers("icd_version")?;
    let mut codes: HashMap<i64, Vec<String>> = HashMap::new();
    let mut unmapped = 0;
    for (i, text) in rows.texts("icd_code")?.enumerate() {
        let code = text.map_or("", str::trim_end);
        let code = match versions[i] {
            9 => Some(code),
            10 => map.icd9(code),
            version => {
                return Err(rows.error(i, format!("the column `icd_version` must hold 9 or 10, found {version}")));
            }
        };
        if !patients.contains(&subjects[i]) {
            continue;
        }
        match code {
            Some("") => {}
            Some(code) => codes.entry(admissions[i]).or_default().push(dotted(code)),
            None => unmapped += 1,
        }
    }
    Ok(Diagnoses { codes, unmapped })
}
