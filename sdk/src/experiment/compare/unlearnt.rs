//! Runs that have learnt nothing, which means over seeds hide.

use super::groups::Group;
use super::record::{Record, is_oracle};
use crate::train::metrics::lower_is_better;

/// A run with less of the way from the weakest baseline to the strongest has learnt nothing.
const LEAST: f64 = 0.05;

/// A line that names the runs which are where the weakest baseline is.
pub(super) fn note(groups: &[Group<'_>], metric: &str) -> Option<String> {
    let rows: Vec<String> = groups.iter().filter_map(|group| of_row(group, metric)).collect();
    let weakest = groups.iter().flat_map(|group| &group.runs).find_map(|run| Some(way(run, metric)?.0))?;
    (!rows.is_empty()).then(|| format!("learnt nothing, as far as {metric} of {weakest} tells: {}", rows.join("; ")))
}

/// The row and the seeds of such runs.
fn of_row(group: &Group<'_>, metric: &str) -> Option<String> {
    let nothing = |run: &&&Record| way(run, metric).is_some_and(|(_, way)| way < LEAST);
    let seeds: Vec<String> = group.runs.iter().filter(nothing).map(|run| run.seed().to_string()).collect();
    match seeds.len() {
        0 => None,
        several if several == group.runs.len() => Some(format!("{}, all runs", group.name)),
        1 => Some(format!("{}, seed {}", group.name, seeds[0])),
        _ => Some(format!("{}, seeds {}", group.name, seeds.join(", "))),
    }
}

/// The weakest baseline of a run, and how much of the way from it to the strongest its model has; `None` where there are none
/// apart.
fn way<'a>(run: &'a Record, metric: &str) -> Option<(&'a str, f64)> {
    let sign = if lower_is_better(metric) { -1.0 } else { 1.0 };
    let value = |of: &[(String, f64)]| of.iter().find(|(name, _)| name == metric).map(|(_, value)| sign * value);
    let rules = run.references().filter(|(name, _)| !is_oracle(name));
    let mut rules: Vec<(&str, f64)> = rules.filter_map(|(name, metrics)| Some((name, value(metrics)?))).collect();
    rules.sort_by(|a, b| a.1.total_cmp(&b.1));
    let ((weakest, low), (_, high)) = (*rules.first()?, *rules.last()?);
    (high > low).then_some((weakest, (value(run.model())? - low) / (high - low)))
}
