//! `i2b2`: the star schema of i2b2: its facts, and what its dimensions say of patients and visits.

mod dimensions;
mod encounters;
mod options;
mod results;
mod tables;

pub use options::{Flags, I2b2Options};

use dualk_sdk::component::Inputs;
use dualk_sdk::data::CodeTables;
use dualk_sdk::data::coding::Coding;
use dualk_sdk::data::hierarchy::Icd;
use dualk_sdk::data::tables::{Opened, files_in};
use dualk_sdk::prelude::*;
use std::sync::Arc;
use tables::Tables;

/// Reads the facts that are diagnoses: an encounter that has one is a visit, from its start_date in visit_dimension on, or else from
/// the earliest time of its diagnoses.
struct I2b2 {
    options: I2b2Options,
    tables: Opened<Tables>,
}

/// What is written in a cell. i2b2 has `@` for nothing, and exports of SQL databases write `NULL`.
fn given(text: &str) -> Option<&str> {
    let text = text.trim();
    (!text.is_empty() && text != "@" && !text.eq_ignore_ascii_case("null")).then_some(text)
}

/// What stands behind one of several beginnings.
fn after<'t>(concept: &'t str, beginnings: &[String]) -> Option<&'t str> {
    beginnings.iter().find_map(|beginning| concept.strip_prefix(beginning.as_str()))
}

impl I2b2 {
    fn tables(&self) -> Result<Arc<Tables>> {
        self.tables.get(files_in(self.options.root.as_path()), || self.open())
    }

    /// The tables, once all that can be known without reading them is as it should be.
    fn checked(&self) -> Result<Arc<Tables>> {
        let I2b2Options { icd_map, group, .. } = &self.options;
        let tables = CodeTables { icd_map: icd_map.given(), group: group.given(), drug_map: None };
        tables.checked(self.tables())
    }

    /// Edition and code of a concept that is a diagnosis.
    fn diagnosis<'c>(&self, concept: &'c str) -> Option<(Icd, &'c str)> {
        let I2b2Options { icd9, icd10, .. } = &self.options;
        let icd9 = after(concept, icd9).map(|code| (Icd::Icd9, code));
        icd9.or_else(|| after(concept, icd10).map(|code| (Icd::Icd10, code)))
    }
}

impl Parser for I2b2 {
    fn check(&self) -> Result<()> {
        self.checked().map(drop)
    }

    fn inputs(&self) -> Option<Inputs> {
        let tables = self.tables().ok()?;
        let split = tables.results.as_ref().is_some_and(|results| results.rule.cuts());
        Some(Inputs { files: tables.files(), split, ..Inputs::default() })
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        let tables = self.checked()?;
        let options = &self.options;
        Coding::published(context.compat, options.code_system, options.icd_map.given())?;
        let mut coding = Coding::new(options.code_system, options.icd_map.given(), options.group.given())?;
        let mut encounters = self.encounters(&tables.facts, context.progress)?;
        let codes = encounters.codes(self, &mut coding);
        let (stays, counted) = self.stays(&tables, &mut encounters)?;
        let steps = [encounters.step].into_iter().chain(counted).chain([coding.step("diagnoses")]);
        let cohort = stays.cohort(&codes, coding.names(), steps);
        let mut cohort = cohort.map_err(|e| {
            e.at_file(tables.facts.path()).help("the options icd9 and icd10 say how the concepts of diagnoses begin")
        })?;
        cohort.set_titles(|code| coding.title(code));
        self.add_results(&tables, &mut cohort, &stays.admission_ids, context)?;
        Ok(cohort)
    }
}

#[cfg(test)]
mod tests;
