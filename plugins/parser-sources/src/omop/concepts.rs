//! Names of concepts.

use super::tables::Tables;
use super::{Omop, OmopCodes};
use crate::names::names;
use dualk_sdk::data::events::EventKind;
use dualk_sdk::prelude::*;
use std::collections::HashSet;

/// Stands for what has no concept.
pub const NO_CONCEPT: &str = "0";

impl Omop {
    /// The further kinds whose codes are concepts.
    fn kinds_of_concepts(&self) -> Vec<&str> {
        let options = &self.options;
        let known = options.events.iter().map(|&kind| match kind {
            EventKind::Procedures => (kind.name(), &options.procedure),
            EventKind::Drugs => (kind.name(), &options.drug),
        });
        let others = options.event_tables.iter().map(|table| (table.kind.as_str(), &table.code));
        let all = known.chain(others).filter(|(_, column)| column.to_lowercase().ends_with("_concept_id"));
        all.map(|(kind, _)| kind).collect()
    }

    /// Gives concepts their names, where the table of concepts is there.
    pub fn name_concepts(&self, tables: &Tables, cohort: &mut Cohort) -> Result<()> {
        let of_codes = (self.options.codes == OmopCodes::Concept).then_some(&cohort.code_names);
        // An item is called by its concept until here, and by its unit behind a blank where values are cut.
        let concept = |name: &String| name.split([' ', ',']).next().unwrap_or("").to_owned();
        let kinds = self.kinds_of_concepts();
        let events = cohort.events.iter().filter(|events| kinds.contains(&events.kind.as_str()));
        let events = events.flat_map(|events| events.names.iter().cloned());
        let items = cohort.lab_names.iter().map(concept);
        let wanted: HashSet<String> = of_codes.into_iter().flatten().cloned().chain(items).chain(events).collect();
        let names = names(tables.concepts.as_ref(), &wanted)?;
        if of_codes.is_some() {
            cohort.set_titles(|code| names.get(code).cloned());
        }
        for kind in kinds {
            cohort.set_event_titles(kind, |code| names.get(code).cloned());
        }
        for item in &mut cohort.lab_names {
            if let Some(name) = names.get(&concept(item)) {
                *item = format!("{name}{}", &item[concept(item).len()..]);
            }
        }
        if cohort.lab_names.iter().zip(&cohort.lab_items).all(|(name, item)| *name == item.id.to_string()) {
            cohort.lab_names.clear();
        }
        Ok(())
    }
}
