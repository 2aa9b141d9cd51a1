//! The tables of MIMIC-IV → a cohort.

use crate::admissions::{self, Admissions};
use crate::diagnoses::{self, Diagnoses};
use crate::labs;
use dualk_sdk::data::codes::IcdMap;
use dualk_sdk::data::tables::Table;
use dualk_sdk::prelude::*;
use std::collections::HashMap;
use std::path::PathBuf;

/// Reads MIMIC-IV.
#[derive(Debug, Clone)]
pub struct Mimic4 {
    root: PathBuf,
    icd_map: PathBuf,
}

impl Mimic4 {
    /// A parser of the tables in the folder `root`, with the ICD-10 → ICD-9 table `icd_map`.
    pub fn new(root: PathBuf, icd_map: PathBuf) -> Self {
        Self { root, icd_map }
    }
}

impl Parser for Mimic4 {
    fn check(&self) -> Result<()> {
        admissions::Tables::open(&self.root).map_err(|e| e.at_key("root"))?;
        diagnoses::open(&self.root).map_err(|e| e.at_key("root"))?;
        labs::Tables::open(&self.root).map_err(|e| e.at_key("root"))?;
        Table::at(&self.icd_map, &["ICD10", "ICD9"]).map_err(|e| e.at_key("icd_map"))?;
        Ok(())
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        self.check()?;
        let labs = labs::Tables::open(&self.root)?;
        let map = IcdMap::read(&self.icd_map)?;
        let Admissions { patients, early } = admissions::Tables::open(&self.root)?.read()?;
        let known = patients.iter().map(|p| p.0).collect();
        let Diagnoses { codes, unmapped } = diagnoses::read(&diagnoses::open(&self.root)?, &map, &known)?;
        let all = patients.len();
        let kept: Vec<(i64, Vec<i64>)> =
            patients.into_iter().filter(|(_, admissions)| admissions.iter().all(|a| codes.contains_key(a))).collect();
        let dropped = all - kept.len();
        if kept.is_empty() {
            let left_out =
                format!("left out: {early} admissions before 2013, {all} patients with an admission without codes");
            return Err(Error::user("no patient is left").at_file(&self.root).help(left_out));
        }
        let mut cohort = with_codes(kept, &codes);
        let labs = labs.read(cohort.admissions.values(), context.progress)?;
        cohort.labs = labs.admissions;
        cohort.lab_items = labs.items;
        cohort.lab_categories = labs::CATEGORIES.map(str::to_owned).to_vec();
        let notes = [
            ("admissions before 2013 left out", early),
            ("patients left out for an admission without codes", dropped as u64),
            ("ICD-10 codes without an ICD-9 equivalent left out", unmapped),
            ("lab items that d_labitems lacks, taken as uncategorised", labs.unknown),
        ];
        cohort.notes = notes.map(|(what, n)| (what.to_owned(), n)).to_vec();
        Ok(cohort)
    }
}

/// Patients, admissions and codes; code names in the order of first appearance.
fn with_codes(patients: Vec<(i64, Vec<i64>)>, codes: &HashMap<i64, Vec<String>>) -> Cohort {
    let mut cohort = Cohort::default();
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    for (subject, admissions) in patients {
        for admission in &admissions {
            let row = codes[admission].iter().map(|code| {
                *numbers.entry(code).or_insert_with(|| {
                    cohort.code_names.push(code.clone());
                    cohort.code_names.len() as u32 - 1
                })
            });
            cohort.codes.push(row.collect::<Vec<_>>());
        }
        cohort.patients.push(subject);
        cohort.admissions.push(admissions);
    }
    cohort
}
