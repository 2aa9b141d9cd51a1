//! `omop`: tables of the OMOP common data model, version 5.

mod concepts;
mod measurements;
mod options;
mod persons;
mod tables;
mod visits;

pub use options::{OmopCodes, OmopOptions, Ranges};

use concepts::NO_CONCEPT;
use dualk_sdk::component::Inputs;
use dualk_sdk::data::coding::Coding;
use dualk_sdk::data::tables::{Opened, Row, files_in};
use dualk_sdk::data::{CodeTables, Step};
use dualk_sdk::prelude::*;
use std::sync::Arc;
use tables::Tables;

/// Reads OMOP tables: visits of a person in the order of their starts, then of the file.
struct Omop {
    options: OmopOptions,
    tables: Opened<Tables>,
}

impl Omop {
    fn tables(&self) -> Result<Arc<Tables>> {
        self.tables.get(files_in(self.options.root.as_path()), || self.open())
    }

    /// The tables, once all that can be known without reading them is as it should be.
    fn checked(&self) -> Result<Arc<Tables>> {
        let OmopOptions { icd_map, group, drug_map, .. } = &self.options;
        let tables = CodeTables { icd_map: icd_map.given(), group: group.given(), drug_map: drug_map.given() };
        tables.checked(self.tables())
    }
}

impl Parser for Omop {
    fn check(&self) -> Result<()> {
        self.checked().map(drop)
    }

    fn inputs(&self) -> Option<Inputs> {
        let tables = self.tables().ok()?;
        let split = tables.measurements.as_ref().is_some_and(|(_, rule)| rule.cuts());
        Some(Inputs { files: tables.files(), split, ..Inputs::default() })
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        let tables = self.checked()?;
        let options = &self.options;
        if options.codes == OmopCodes::Icd10 {
            Coding::published(context.compat, options.code_system, options.icd_map.given())?;
        }
        let mut coding = Coding::new(options.code_system, options.icd_map.given(), options.group.given())?;
        let task = context.progress.begin("visits", "tables", None);
        let visits = self.visits(&tables)?;
        task.finish("");
        let task = context.progress.begin("conditions", "tables", None);
        let (codes, steps) = self.conditions(&tables.conditions, &mut coding, &visits)?;
        task.finish("");
        let all = visits.stays.len() as u64 + visits.left_out;
        let read = Step::new("rows of visit_occurrence", all).by_rule("of other concepts", visits.left_out);
        let before = [read].into_iter().chain(visits.deaths.clone());
        let cohort = visits.stays.cohort(&codes, coding.names(), before.chain(steps));
        let mut cohort = cohort.map_err(|e| {
            e.at_file(options.root.as_path())
                .help("visit_concepts = [9201] reads inpatient visits alone, which is often what has diagnoses")
        })?;
        if options.codes != OmopCodes::Concept {
            cohort.set_titles(|code| coding.title(code));
        }
        let ids = &visits.stays.admission_ids;
        for source in &tables.events {
            let (drug_map, on_bad_row) = (options.drug_map.given(), options.on_bad_row);
            let code = |_: &Row<'_>, code: &str| (code != NO_CONCEPT).then(|| code.to_owned());
            source.add_to(&mut cohort, ids, drug_map, on_bad_row, context.progress, code)?;
        }
        if let Some((table, rule)) = &tables.measurements {
            measurements::add(table, *rule, &mut cohort, ids, options.on_bad_row, context)?;
        }
        self.name_concepts(&tables, &mut cohort)?;
        Ok(cohort)
    }
}

#[cfg(test)]
mod tests;
