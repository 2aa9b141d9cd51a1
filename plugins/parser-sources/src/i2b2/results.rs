//! Laboratory items: results that are abnormal, or parts of their values.

use super::encounters::{NO_ENCOUNTER, OTHER_CONCEPT, identifier};
use super::tables::{Results, Tables};
use super::{I2b2, after, given};
use crate::names::names;
use dualk_sdk::data::labs::{self, Rule};
use dualk_sdk::data::tables::{Fault, NOT_IN_COHORT, Pass, Row, Seen, Table};
use dualk_sdk::data::{Ids, LabItem};
use dualk_sdk::prelude::*;
use std::collections::{HashMap, HashSet};

/// Columns of results, in the order in which they are asked for; a flag stands for unit and value where flags count.
const ENCOUNTER: usize = 0;
const CONCEPT: usize = 1;
const FLAG: usize = 2;
const UNIT: usize = 2;
const VALUE: usize = 3;

/// What valueflag_cd has of abnormal results: high, low, abnormal, and much so.
const ABNORMAL: [&str; 6] = ["H", "L", "A", "HH", "LL", "AA"];

/// By which rules rows are left out.
const MODIFIED: &str = "with a modifier";
const NO_NUMBER: &str = "without a number";

/// A concept in a unit, which is empty where the source has none or flags count.
type Item = (String, String);

impl I2b2 {
    /// The table of facts as results, and what counts of them.
    pub fn results(&self, rule: Rule) -> Result<Results> {
        let columns: &[&str] = match rule {
            Rule::Said => &["encounter_num", "concept_cd", "valueflag_cd"],
            _ => &["encounter_num", "concept_cd", "units_cd", "nval_num"],
        };
        let opened = Table::open_any_case(self.options.root.as_path(), "observation_fact", columns);
        let opened = opened.and_then(|mut table| {
            let modifier = table.also("modifier_cd")?.and_then(|column| table.place(&column));
            Ok(Results { table, rule, modifier })
        });
        opened.map_err(|e| {
            e.at_key("root").help("abnormal = \"none\" reads no results, and \"flag\" neither values nor units")
        })
    }

    /// Adds the items: concepts that are flagged, or concepts in a unit by their values. There is one category.
    pub fn add_results(
        &self,
        tables: &Tables,
        cohort: &mut Cohort,
        ids: &Ids,
        context: &ParserContext<'_>,
    ) -> Result<()> {
        let Some(results) = &tables.results else { return Ok(()) };
        let (rule, places) = (results.rule, cohort.places());
        let cut_from = context.cut_from(cohort, rule);
        let pass = Pass {
            table: &results.table,
            rows: "results of observation_fact".into(),
            on_bad_row: self.options.on_bad_row,
            losses: &[NO_ENCOUNTER],
            rules: &[OTHER_CONCEPT, MODIFIED, NO_NUMBER, NOT_IN_COHORT],
            progress: context.progress,
        };
        let mut concepts = HashSet::<String>::new();
        let (sets, step) = labs::read(rule, &cut_from, |show| {
            pass.each(
                |row| self.result(row, results, &places, ids),
                |at, (item, value): (Item, f32)| {
                    if !concepts.contains(&item.0) {
                        concepts.insert(item.0.clone());
                    }
                    show(at, item, value);
                },
            )
        })?;
        let names = names(tables.concepts.as_ref(), &concepts)?;
        sets.add_to(cohort, rule, |item| (LabItem { id: 0, category: Some(0) }, called(item, &names)));
        // Concepts are texts: items are numbered in their order.
        cohort.lab_items.iter_mut().zip(1..).for_each(|(item, number)| item.id = number);
        cohort.lab_categories = vec!["laboratory".into()];
        cohort.flow.push(step);
        Ok(())
    }

    /// The item of a row and its value: what is flagged, or all, as the rule wants it.
    fn result(
        &self,
        row: &Row<'_>,
        results: &Results,
        places: &HashMap<i64, usize>,
        ids: &Ids,
    ) -> Result<Seen<(Item, f32)>, Fault> {
        let concept = row.text(CONCEPT);
        if after(concept, &self.options.lab).is_none() {
            return Ok(Seen::LeftOut(OTHER_CONCEPT));
        }
        // Under a modifier stands something else of the result, such as its limits.
        if results.modifier.is_some_and(|column| given(row.text(column)).is_some()) {
            return Ok(Seen::LeftOut(MODIFIED));
        }
        let Some(encounter) = identifier(row.text(ENCOUNTER)) else { return Ok(Seen::Lost(NO_ENCOUNTER)) };
        let encounter = ids.find(results.table.called("encounter_num"), Some(encounter));
        let encounter = encounter.map_err(|message| row.fault(ENCOUNTER, message))?;
        let Some(&at) = encounter.and_then(|encounter| places.get(&encounter)) else {
            return Ok(Seen::LeftOut(NOT_IN_COHORT));
        };
        if results.rule == Rule::Said {
            let is_abnormal = ABNORMAL.iter().any(|flag| flag.eq_ignore_ascii_case(row.text(FLAG)));
            let item = (concept.to_owned(), String::new());
            return Ok(if is_abnormal { Seen::Of(at, (item, 0.0)) } else { Seen::Nothing });
        }
        let value = match given(row.text(VALUE)) {
            Some(_) => row.number::<f32>(VALUE)?,
            None => None,
        };
        let item = || (concept.to_owned(), given(row.text(UNIT)).unwrap_or_default().to_owned());
        Ok(value.map_or(Seen::LeftOut(NO_NUMBER), |value| Seen::Of(at, (item(), value))))
    }
}

/// What an item is called: the name of its concept, where there is one, the concept, and the unit.
fn called((concept, unit): &Item, names: &HashMap<String, String>) -> String {
    let name = names.get(concept).filter(|name| !name.is_empty());
    match (name, unit.as_str()) {
        (None, "") => concept.clone(),
        (None, unit) => format!("{concept} ({unit})"),
        (Some(name), "") => format!("{name} ({concept})"),
        (Some(name), unit) => format!("{name} ({concept}, {unit})"),
    }
}
