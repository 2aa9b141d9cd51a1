//! Laboratory items: measurements that are out of their range, or parts of their values.

use super::{Omop, Ranges};
use crate::OF_NO_VISIT;
use dualk_sdk::data::labs::{self, Rule};
use dualk_sdk::data::tables::{Fault, NOT_IN_COHORT, OnBadRow, Pass, Row, Seen, Table};
use dualk_sdk::data::{Ids, LabItem};
use dualk_sdk::prelude::*;
use std::collections::HashMap;

/// Columns of measurement, in the order in which they are asked for; where values are cut the unit stands for the range.
const VISIT: usize = 0;
const CONCEPT: usize = 1;
const VALUE: usize = 2;
const UNIT: usize = 3;
const RANGE: [usize; 2] = [3, 4];

impl Omop {
    /// The table of measurements, and what counts of it.
    pub fn measurements(&self) -> Result<(Table, Rule)> {
        let options = &self.options;
        let otherwise = match options.abnormal {
            Ranges::Range => Rule::Said,
            Ranges::Interval => Rule::Interval,
        };
        let rule = Rule::of(options.quantiles, otherwise)?;
        let mut columns = vec!["visit_occurrence_id", "measurement_concept_id", "value_as_number"];
        match rule {
            Rule::Said => columns.extend(["range_low", "range_high"]),
            _ => columns.push("unit_concept_id"),
        }
        let table = Table::open_any_case(options.root.as_path(), "measurement", &columns).map_err(|e| {
            e.at_key("root").help("labs = false reads no measurements, and abnormal = \"interval\" needs no ranges")
        })?;
        Ok((table, rule))
    }
}

/// Adds the items: concepts with a value below range_low or above range_high, or concepts in a unit by their values. There is
/// one category.
pub fn add(
    table: &Table,
    rule: Rule,
    cohort: &mut Cohort,
    ids: &Ids,
    on_bad_row: OnBadRow,
    context: &ParserContext<'_>,
) -> Result<()> {
    let places = cohort.places();
    let cut_from = context.cut_from(cohort, rule);
    let (losses, progress) = (&[OF_NO_VISIT], context.progress);
    let pass =
        Pass { table, rows: "rows of measurement".into(), on_bad_row, losses, rules: &[NOT_IN_COHORT], progress };
    let (sets, step) = labs::read(rule, &cut_from, |show| {
        pass.each(|row| measured(row, rule, &places, ids), |at, (item, value)| show(at, item, value))
    })?;
    sets.add_to(cohort, rule, |&(concept, unit)| {
        let name = if unit == 0 { concept.to_string() } else { format!("{concept} in unit {unit}") };
        (LabItem { id: concept, category: Some(0) }, name)
    });
    if rule == Rule::Interval {
        // A concept in two units is two items.
        cohort.lab_items.iter_mut().zip(1..).for_each(|(item, number)| item.id = number);
    }
    cohort.lab_categories = vec!["laboratory".into()];
    cohort.flow.push(step);
    Ok(())
}

/// A concept in a unit; 0 stands for none.
type Item = (i64, i64);

/// The item of a row and its value: what is out of its range, or all, as the rule wants it.
fn measured(row: &Row<'_>, rule: Rule, places: &HashMap<i64, usize>, ids: &Ids) -> Result<Seen<(Item, f32)>, Fault> {
    let (visit, value) = (row.id(VISIT, ids)?, row.number::<f64>(VALUE)?);
    let (unit, counts) = match rule {
        Rule::Said => {
            let (low, high) = (row.number::<f64>(RANGE[0])?, row.number::<f64>(RANGE[1])?);
            (0, value.is_some_and(|v| low.is_some_and(|low| v < low) || high.is_some_and(|high| v > high)))
        }
        _ => (row.optional_integer(UNIT)?.unwrap_or(0), true),
    };
    Ok(match (visit.and_then(|visit| places.get(&visit)), value) {
        _ if row.bytes(VISIT).is_empty() => Seen::Lost(OF_NO_VISIT),
        (None, _) => Seen::LeftOut(NOT_IN_COHORT),
        (Some(&at), Some(value)) if counts => Seen::Of(at, ((row.integer(CONCEPT)?, unit), value as f32)),
        _ => Seen::Nothing,
    })
}
