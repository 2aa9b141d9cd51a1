//! The tables of MIMIC-IV → a cohort.

use crate::admissions::{self, Admissions};
use crate::labs;
use crate::{Mimic4Options, diagnoses};
use dualk_sdk::component::Inputs;
use dualk_sdk::data::coding::Coding;
use dualk_sdk::prelude::*;

/// Reads MIMIC-IV.
#[derive(Debug, Clone)]
pub struct Mimic4 {
    pub(crate) options: Mimic4Options,
}

impl Parser for Mimic4 {
    fn check(&self) -> Result<()> {
        let root = self.options.root.as_path();
        admissions::Tables::open(root).map_err(|e| e.at_key("root"))?;
        diagnoses::open(root).map_err(|e| e.at_key("root"))?;
        labs::Tables::open(root).map_err(|e| e.at_key("root"))?;
        Coding::check(self.options.icd_map.given(), self.options.group.given())
    }

    fn inputs(&self) -> Option<Inputs> {
        let root = self.options.root.as_path();
        let admissions = admissions::Tables::open(root).ok()?;
        let (diagnoses, labs) = (diagnoses::open(root).ok()?, labs::Tables::open(root).ok()?);
        let tables = admissions.tables().into_iter().chain([&diagnoses]).chain(labs.tables());
        Some(Inputs { files: tables.map(|table| table.path().to_owned()).collect(), seed: false })
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        self.check()?;
        let options = &self.options;
        let root = options.root.as_path();
        let labs = labs::Tables::open(root)?;
        let mut coding = Coding::new(options.code_system, options.icd_map.given(), options.group.given())?;
        let task = context.progress.begin("patients and admissions", "tables", None);
        let Admissions { patients, early } = admissions::Tables::open(root)?.read()?;
        task.finish("");
        let known = patients.iter().map(|p| p.0).collect();
        let task = context.progress.begin("diagnoses", "tables", None);
        let codes = diagnoses::read(&diagnoses::open(root)?, &mut coding, &known)?;
        task.finish("");
        let (mut cohort, dropped) = Cohort::of_admissions(patients, &codes, coding.names());
        if cohort.patients.is_empty() {
            let left_out =
                format!("left out: {early} admissions before 2013, {dropped} patients with an admission without codes");
            return Err(Error::user("no patient is left").at_file(root).help(left_out));
        }
        let labs = labs.read(cohort.admissions.values(), options.on_bad_row, context.progress)?;
        let (unknown, bad_rows) = labs.add_to(&mut cohort);
        let [other_edition, ungrouped] = coding.notes();
        cohort.notes = vec![
            ("admissions before 2013 left out".into(), early),
            ("patients left out for an admission without codes".into(), dropped),
            other_edition,
            ("lab items that d_labitems lacks, taken as uncategorised".into(), unknown),
            ("rows of labevents skipped because they cannot be used".into(), bad_rows),
        ];
        cohort.notes.extend(options.group.given().map(|_| ungrouped));
        Ok(cohort)
    }
}
