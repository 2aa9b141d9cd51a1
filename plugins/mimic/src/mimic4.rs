//! The tables of MIMIC-IV → a cohort.

use crate::admissions::{self, Admissions};
use crate::diagnoses::{self, Diagnoses};
use crate::labs;
use dualk_sdk::component::Inputs;
use dualk_sdk::data::codes::IcdMap;
use dualk_sdk::data::tables::{OnBadRow, Table};
use dualk_sdk::prelude::*;
use std::collections::HashMap;
use std::path::PathBuf;

/// Reads MIMIC-IV.
#[derive(Debug, Clone)]
pub struct Mimic4 {
    root: PathBuf,
    icd_map: PathBuf,
    on_bad_row: OnBadRow,
}

impl Mimic4 {
    /// A parser of the tables in the folder `root`, with the ICD-10 → ICD-9 table `icd_map`.
    pub fn new(root: PathBuf, icd_map: PathBuf) -> Self {
        Self { root, icd_map, on_bad_row: OnBadRow::Error }
    }

    /// The same, which deals so with rows of labevents that cannot be used.
    pub fn on_bad_row(self, on_bad_row: OnBadRow) -> Self {
        Self { on_bad_row, ..self }
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

    fn inputs(&self) -> Option<Inputs> {
        let admissions = admissions::Tables::open(&self.root).ok()?;
        let (diagnoses, labs) = (diagnoses::open(&self.root).ok()?, labs::Tables::open(&self.root).ok()?);
        let tables = admissions.tables().into_iter().chain([&diagnoses]).chain(labs.tables());
        let files = tables.map(|table| table.path().to_owned()).chain([self.icd_map.clone()]);
        Some(Inputs { files: files.collect(), seed: false })
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        self.check()?;
        let labs = labs::Tables::open(&self.root)?;
        let map = IcdMap::read(&self.icd_map)?;
        let task = context.progress.begin("patients and admissions", "tables", None);
        let Admissions { patients, early } = admissions::Tables::open(&self.root)?.read()?;
        task.finish("");
        let known = patients.iter().map(|p| p.0).collect();
        let task = context.progress.begin("diagnoses", "tables", None);
        let Diagnoses { codes, names, unmapped } = diagnoses::read(&diagnoses::open(&self.root)?, &map, &known)?;
        task.finish("");
        let all = patients.len();
        let kept: Vec<(i64, Vec<i64>)> =
            patients.into_iter().filter(|(_, admissions)| admissions.iter().all(|a| codes.contains_key(a))).collect();
        let dropped = all - kept.len();
        if kept.is_empty() {
            let left_out =
                format!("left out: {early} admissions before 2013, {all} patients with an admission without codes");
            return Err(Error::user("no patient is left").at_file(&self.root).help(left_out));
        }
        let mut cohort = with_codes(kept, &codes, &names);
        let labs = labs.read(cohort.admissions.values(), self.on_bad_row, context.progress)?;
        cohort.labs = labs.admissions;
        cohort.lab_items = labs.items;
        cohort.lab_categories = labs::CATEGORIES.map(str::to_owned).to_vec();
        let notes = [
            ("admissions before 2013 left out", early),
            ("patients left out for an admission without codes", dropped as u64),
            ("ICD-10 codes without an ICD-9 equivalent left out", unmapped),
            ("lab items that d_labitems lacks, taken as uncategorised", labs.unknown),
            ("rows of labevents skipped because they cannot be used", labs.bad_rows),
        ];
        cohort.notes = notes.map(|(what, n)| (what.to_owned(), n)).to_vec();
        Ok(cohort)
    }
}

/// Patients, admissions and codes; code names in the order of first appearance.
fn with_codes(patients: Vec<(i64, Vec<i64>)>, codes: &HashMap<i64, Vec<u32>>, names: &[String]) -> Cohort {
    let mut cohort = Cohort::default();
    let mut numbers = vec![None; names.len()];
    for (subject, admissions) in patients {
        for admission in &admissions {
            let code_names = &mut cohort.code_names;
            cohort.codes.push(codes[admission].iter().map(|&code| {
                *numbers[code as usize].get_or_insert_with(|| {
                    code_names.push(names[code as usize].clone());
                    code_names.len() as u32 - 1
                })
            }));
        }
        cohort.patients.push(subject);
        cohort.admissions.push(admissions);
    }
    cohort
}
