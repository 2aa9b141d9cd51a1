//! diagnoses_icd → dotted ICD-9 codes of each admission.

use dualk_sdk::data::codes::{IcdMap, dotted};
use dualk_sdk::data::tables::Table;
use dualk_sdk::prelude::*;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Codes by admission.
#[derive(Default)]
pub struct Diagnoses {
    /// Per admission its codes as indices into the names, in file order, repeats kept.
    pub codes: HashMap<i64, Vec<u32>>,
    /// Dotted ICD-9 codes, each once.
    pub names: Vec<String>,
    /// ICD-10 codes without an ICD-9 equivalent.
    pub unmapped: u64,
}

/// What is written in the table stands for this.
#[derive(Clone, Copy)]
enum Meaning {
    Nothing,
    Unmapped,
    Code(u32),
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
    let mut read = Diagnoses::default();
    // Millions of rows hold some ten thousand codes: each is translated once.
    let mut meanings = HashMap::new();
    let mut numbers = HashMap::new();
    for (i, text) in rows.texts("icd_code")?.enumerate() {
        let version = versions[i];
        if version != 9 && version != 10 {
            return Err(rows.error(i, format!("the column `icd_version` must hold 9 or 10, found {version}")));
        }
        if !patients.contains(&subjects[i]) {
            continue;
        }
        let code = text.map_or("", str::trim_end);
        let meaning = *meanings.entry((version, code)).or_insert_with(|| {
            match if version == 9 { Some(code) } else { map.icd9(code) } {
                Some("") => Meaning::Nothing,
                None => Meaning::Unmapped,
                Some(code) => Meaning::Code(*numbers.entry(dotted(code)).or_insert_with_key(|name| {
                    read.names.push(name.clone());
                    read.names.len() as u32 - 1
                })),
            }
        });
        match meaning {
            Meaning::Nothing => {}
            Meaning::Unmapped => read.unmapped += 1,
            Meaning::Code(code) => read.codes.entry(admissions[i]).or_default().push(code),
        }
    }
    Ok(read)
}
