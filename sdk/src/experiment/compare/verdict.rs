//! One line that says which row to believe, and why. It tells the best of several rows on test, so that its p-values are corrected
//! over those that this one was picked from.

use super::columns::{Columns, Resampled};
use super::{Comparison, Kind, LEVEL, holm};
use crate::train::metrics::lower_is_better;

/// The line of a comparison.
pub fn of(table: &Comparison, resampled: &Option<Resampled>, columns: &Columns) -> String {
    let metric = table.metrics.iter().position(|m| *m == table.primary).unwrap_or(0);
    let sign = if lower_is_better(&table.primary) { -1.0 } else { 1.0 };
    Judge { table, resampled, columns, metric, sign }.verdict()
}

/// A comparison, looked at by its primary metric.
struct Judge<'a> {
    table: &'a Comparison,
    resampled: &'a Option<Resampled>,
    columns: &'a Columns,
    metric: usize,
    /// The factor that makes higher values better.
    sign: f64,
}

impl Judge<'_> {
    fn verdict(&self) -> String {
        let on_valid = chosen(self.table, self.sign).filter(|&row| !self.mean(row).is_nan());
        let Some(chosen) = on_valid.or_else(|| self.best(Kind::Configuration, None)) else {
            return format!("nothing to believe: {} is undefined on the test examples", self.table.primary);
        };
        let mut text = self.against_rules(chosen, on_valid.is_none());
        if let Some(next) = self.best(Kind::Configuration, Some(chosen)) {
            text += &self.against_next(chosen, next);
        }
        if let Some(oracle) = self.best(Kind::Oracle, None) {
            text += &format!("; {} reaches {:.4}", self.name(oracle), self.mean(oracle));
        }
        format!("{} ({})", text, self.table.primary)
    }

    /// The chosen row, which may be `picked` on test, beside the best baseline: a simple one, or a regression.
    fn against_rules(&self, chosen: usize, picked: bool) -> String {
        let (name, mean) = (self.name(chosen), self.mean(chosen));
        let Some(rule) = self.best(Kind::Reference, None) else {
            return format!("{name}: no simple baseline stands beside it, so nothing says whether {mean:.4} is much");
        };
        let rules = self.rows(Kind::Reference, Some(rule)).map(|other| (chosen, other));
        let rows = self.rows(Kind::Configuration, Some(chosen)).filter(|_| picked).map(|other| (other, rule));
        let (gap, rule) = (self.gap((chosen, rule), rules.chain(rows)), self.name(rule));
        match gap.direction() {
            Some(true) => format!("believe {name}: better than {rule} by {gap}"),
            Some(false) => format!("believe {rule}: better than {name} by {}", gap.turned()),
            None if gap.interval.is_none() => format!("{name} less {rule}: {gap}"),
            None => format!("{name} is not told apart from {rule}: difference {gap}"),
        }
    }

    /// The chosen row beside the best other configuration.
    fn against_next(&self, chosen: usize, next: usize) -> String {
        let others = self.rows(Kind::Configuration, Some(chosen)).filter(|&other| other != next);
        let (gap, next) = (self.gap((chosen, next), others.map(|other| (chosen, other))), self.name(next));
        match gap.direction() {
            Some(true) => format!("; better than the next, {next}, by {gap}"),
            Some(false) => format!("; {next} is better on test by {}, and was not chosen on valid", gap.turned()),
            None if gap.interval.is_none() => format!("; less {next}: {gap}"),
            None => format!("; not told apart from {next}: difference {gap}"),
        }
    }

    /// The best row of a kind, but for one.
    fn best(&self, kind: Kind, but: Option<usize>) -> Option<usize> {
        self.rows(kind, but).max_by(|&a, &b| (self.sign * self.mean(a)).total_cmp(&(self.sign * self.mean(b))))
    }

    /// The rows of a kind that have the metric, but for one.
    fn rows(&self, kind: Kind, but: Option<usize>) -> impl Iterator<Item = usize> {
        self.table.of_kind(kind).map(|(i, _)| i).filter(move |&i| Some(i) != but && !self.mean(i).is_nan())
    }

    fn name(&self, row: usize) -> &str {
        &self.table.rows[row].name
    }

    fn mean(&self, row: usize) -> f64 {
        self.table.rows[row].metrics[self.metric].1.mean
    }

    /// By how much a row is better than another one. This pair was picked from it and `others`, and its p-value is corrected over
    /// those that have one (Holm).
    fn gap(&self, (row, other): (usize, usize), others: impl Iterator<Item = (usize, usize)>) -> Gap {
        let resampled = self.resampled.as_ref();
        let p = |(row, other): (usize, usize)| resampled.and_then(|r| r.p(self.columns, row, other, self.metric));
        let corrected = |own: f64| holm(&std::iter::once(own).chain(others.filter_map(p)).collect::<Vec<f64>>())[0];
        Gap {
            mean: self.sign * (self.mean(row) - self.mean(other)),
            interval: resampled.and_then(|r| r.difference(self.columns, row, other, self.metric)),
            p: p((row, other)).map(corrected),
            lacks: self.without_interval(),
        }
    }

    /// Why there is no interval, where there is none.
    fn without_interval(&self) -> &'static str {
        match (self.table.unpaired, self.table.patients) {
            (Some(_), _) => "the runs of a row are on different patients",
            (None, Some(1)) => "there is one test patient alone",
            (None, _) => "the runs have no values of it by patient",
        }
    }
}

/// The configuration that is best on valid, where all have that.
fn chosen(table: &Comparison, sign: f64) -> Option<usize> {
    let valid = |row: usize| table.rows[row].valid.iter().find(|(m, _)| *m == table.primary).map(|(_, v)| sign * v);
    // What is undefined there is no best.
    let valid = |row: usize| valid(row).filter(|v| !v.is_nan());
    let rows: Option<Vec<(usize, f64)>> =
        table.of_kind(Kind::Configuration).map(|(i, _)| valid(i).map(|v| (i, v))).collect();
    // The first of equal ones.
    rows?.into_iter().rev().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i)
}

/// Whether 0 is outside of an interval.
pub(super) fn is_apart((low, high): (f64, f64)) -> bool {
    low > 0.0 || high < 0.0
}

/// By how much one row is better than another.
struct Gap {
    mean: f64,
    interval: Option<(f64, f64)>,
    /// After Holm's correction over the pairs that this one was picked from.
    p: Option<f64>,
    /// Why there is no interval, where there is none.
    lacks: &'static str,
}

impl Gap {
    /// Whether it is better (`true`) or worse; `None` where that cannot be said: where the p-value is not below the level, 0 is
    /// inside of the interval, which knows of seeds where the p-value does not, or there is neither.
    fn direction(&self) -> Option<bool> {
        let apart = self.interval.map(is_apart);
        let real = self.p.map_or(apart == Some(true), |p| p < LEVEL && apart != Some(false));
        real.then_some(self.mean > 0.0)
    }

    fn turned(&self) -> String {
        Self { mean: -self.mean, ..*self }.to_string()
    }
}

/// Written as the tables do: ± is half a 95 % interval over patients, and over runs where both rows have several.
impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.interval {
            Some((low, high)) => write!(f, "{:.4} ±{:.3}", self.mean, (high - low) / 2.0),
            None => write!(f, "{:.4}, without an interval: {}", self.mean, self.lacks),
        }
    }
}
