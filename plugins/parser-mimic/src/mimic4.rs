//! The tables of MIMIC-IV → a cohort.

use crate::events::Source;
use crate::{Mimic4Options, admissions, diagnoses, labs};
use dualk_sdk::component::Inputs;
use dualk_sdk::data::Step;
use dualk_sdk::data::coding::Coding;
use dualk_sdk::prelude::*;

/// Reads MIMIC-IV.
#[derive(Debug, Clone)]
pub struct Mimic4 {
    pub(crate) options: Mimic4Options,
}

impl Mimic4 {
    /// The tables of further kinds of codes.
    fn events(&self) -> Result<Vec<Source>> {
        self.options.events.iter().map(|kind| kind.open(self.options.root.as_path(), true)).collect()
    }
}

impl Parser for Mimic4 {
    fn check(&self) -> Result<()> {
        let root = self.options.root.as_path();
        admissions::Tables::open(root).map_err(|e| e.at_key("root"))?;
        diagnoses::open(root).map_err(|e| e.at_key("root"))?;
        labs::Tables::open(root).map_err(|e| e.at_key("root"))?;
        self.events().map_err(|e| e.at_key("events"))?;
        Coding::check(self.options.icd_map.given(), self.options.group.given())
    }

    fn inputs(&self) -> Option<Inputs> {
        let root = self.options.root.as_path();
        let admissions = admissions::Tables::open(root).ok()?;
        let (diagnoses, labs) = (diagnoses::open(root).ok()?, labs::Tables::open(root).ok()?);
        let events = self.events().ok()?;
        let tables = admissions.tables().into_iter().chain([&diagnoses]).chain(labs.tables());
        let tables = tables.chain(events.iter().map(Source::table));
        Some(Inputs { files: tables.map(|table| table.path().to_owned()).collect(), seed: false })
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        self.check()?;
        let options = &self.options;
        Coding::published(context.compat, options.code_system, options.icd_map.given())?;
        let root = options.root.as_path();
        let labs = labs::Tables::open(root)?;
        let mut coding = Coding::new(options.code_system, options.icd_map.given(), options.group.given())?;
        let task = context.progress.begin("patients and admissions", "tables", None);
        let visits = admissions::Tables::open(root)?.read()?;
        task.finish("");
        let task = context.progress.begin("diagnoses", "tables", None);
        let (codes, steps) = diagnoses::read(&diagnoses::open(root)?, &mut coding, &visits)?;
        task.finish("");
        let all = visits.admissions.len() as u64;
        let read = Step::new("rows of admissions", all).by_rule("before 2013", visits.left_out);
        let (mut cohort, _) = Cohort::of_admissions(visits.patients.clone(), &codes, coding.names());
        cohort.flow_begins_with([read].into_iter().chain(steps));
        cohort.not_empty().map_err(|e| e.at_file(root))?;
        visits.describe(&mut cohort);
        cohort.set_titles(|code| coding.title(code));
        for source in self.events()? {
            source.add_to(&mut cohort, &visits.ids[1], options.on_bad_row, context.progress)?;
        }
        let admissions = cohort.admissions.values();
        labs.read(admissions, &visits.ids[1], options.on_bad_row, context.progress)?.add_to(&mut cohort);
        Ok(cohort)
    }
}
