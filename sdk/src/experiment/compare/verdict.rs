//! One line that says which row to believe, and why.

use super::columns::{Columns, Resampled};
use super::{Comparison, Kind, LEVEL};
use crate::train::metrics::lower_is_better;

/// The line of a comparison.
pub fn of(table: &Comparison, resampled: &Option<Resampled>, columns: &Columns) -> String {
    let metric = table.metrics.iter().position(|m| *m == table.primary).unwrap_or(0);
    let sign = if lower_is_better(&table.primary) { -1.0 } else { 1.0 };
    let mean = |row: usize| table.rows[row].metrics[metric].1.mean;
    let best = |kind: Kind| {
        let rows = table.of_kind(kind).map(|(i, _)| i).filter(|&i| !mean(i).is_nan());
        rows.max_by(|&a, &b| (sign * mean(a)).total_cmp(&(sign * mean(b))))
    };
    let Some(chosen) = chosen(table, sign).or_else(|| best(Kind::Configuration)) else {
        return "nothing to believe: no row has this metric".to_owned();
    };
    let name = |row: usize| table.rows[row].name.as_str();
    let how = |row: usize, other: usize| Gap {
        mean: sign * (mean(row) - mean(other)),
        interval: resampled.as_ref().and_then(|r| r.difference(columns, row, other, metric)),
        p: resampled.as_ref().and_then(|r| r.p(columns, row, other, metric)),
    };
    let configurations = table.of_kind(Kind::Configuration).count();
    let mut text = match best(Kind::Reference) {
        None => format!(
            "{}: no rule of one line stands beside it, so nothing says whether {} is much",
            name(chosen),
            format_args!("{:.4}", mean(chosen))
        ),
        Some(rule) => {
            let gap = how(chosen, rule);
            match gap.direction() {
                Some(true) => format!("believe {}: better than {} by {gap}", name(chosen), name(rule)),
                Some(false) => format!("believe {}: better than {} by {}", name(rule), name(chosen), gap.turned()),
                None => format!("{} alone is as good as {}: difference {gap}", name(rule), name(chosen)),
            }
        }
    };
    if configurations > 1 {
        let others = table.of_kind(Kind::Configuration).map(|(i, _)| i).filter(|&i| i != chosen);
        let next = others.max_by(|&a, &b| (sign * mean(a)).total_cmp(&(sign * mean(b))));
        if let Some(next) = next {
            let gap = how(chosen, next);
            text += &match gap.direction() {
                Some(true) => format!("; better than the next, {}, by {gap}", name(next)),
                Some(false) => {
                    format!("; {} is better on test by {}, and was not chosen on valid", name(next), gap.turned())
                }
                None => format!("; not told apart from {}: difference {gap}", name(next)),
            };
        }
    }
    if let Some(oracle) = best(Kind::Oracle) {
        text += &format!("; {} reaches {:.4}", name(oracle), mean(oracle));
    }
    format!("{} ({})", text, table.primary)
}

/// The configuration that is best on valid, where all have that.
fn chosen(table: &Comparison, sign: f64) -> Option<usize> {
    let valid = |row: usize| table.rows[row].valid.iter().find(|(m, _)| *m == table.primary).map(|(_, v)| sign * v);
    let rows: Option<Vec<(usize, f64)>> =
        table.of_kind(Kind::Configuration).map(|(i, _)| valid(i).map(|v| (i, v))).collect();
    // The first of equal ones.
    rows?.into_iter().rev().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i)
}

/// By how much one row is better than another.
struct Gap {
    mean: f64,
    interval: Option<(f64, f64)>,
    p: Option<f64>,
}

impl Gap {
    /// Whether it is better (`true`) or worse; `None` where that cannot be said.
    fn direction(&self) -> Option<bool> {
        (self.p? < LEVEL).then_some(self.mean > 0.0)
    }

    fn turned(&self) -> String {
        Self { mean: -self.mean, interval: self.interval, p: self.p }.to_string()
    }
}

/// Written as the tables do: ± is half a 95 % interval over patients.
impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.interval {
            Some((low, high)) => write!(f, "{:.4} ±{:.3}", self.mean, (high - low) / 2.0),
            None => write!(f, "{:.4}, of unknown spread", self.mean),
        }
    }
}
