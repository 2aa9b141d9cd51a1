//! The values by example that the rows of a comparison are made of.

use super::record::Record;
use super::resample::shifts;
use super::{ByPatient, CompareOptions, ComparedRow, Draws, Estimate, Kind, mean_and_sd};
use crate::experiment::patients::{SCORE, TRUTH, area};
use crate::train::{RESAMPLES, Ranked, Resamples, derive_seed};

/// Values by example of every row and metric, averaged over the runs of the row.
pub(super) struct Columns {
    metrics: Vec<String>,
    /// The patient of each example.
    patients: Vec<usize>,
    columns: Vec<Vec<f64>>,
    /// The column of each row and metric.
    index: Vec<Vec<Option<usize>>>,
    /// Values over the runs of each row and metric.
    runs: Vec<Vec<Vec<f64>>>,
    /// The examples of the runs of each row, where the question is one of yes and no.
    ranked: Vec<Option<Vec<Ranked>>>,
}

impl Columns {
    pub(super) fn new(metrics: &[String], patients: Vec<usize>) -> Self {
        let (columns, index, runs, ranked) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { metrics: metrics.to_vec(), patients, columns, index, runs, ranked }
    }

    /// Adds a row.
    pub(super) fn row(
        &mut self,
        name: String,
        kind: Kind,
        group: &[&Record],
        of_run: impl Fn(&&Record) -> Vec<f64>,
        by_example: impl Fn(&&Record, &str) -> Option<Vec<f64>>,
    ) -> ComparedRow {
        let values: Vec<Vec<f64>> = group.iter().map(&of_run).collect();
        let runs: Vec<Vec<f64>> = (0..self.metrics.len()).map(|m| values.iter().map(|run| run[m]).collect()).collect();
        let estimate = |runs: &Vec<f64>| {
            let (mean, sd) = mean_and_sd(runs);
            Estimate { mean, sd, low: None, high: None }
        };
        let metrics = self.metrics.iter().cloned().zip(runs.iter().map(estimate)).collect();
        self.runs.push(runs);
        self.add_examples(group, by_example);
        let is_trained = kind == Kind::Configuration;
        ComparedRow {
            name,
            kind,
            tuned: None,
            caption: String::new(),
            runs: group.len(),
            folders: group.iter().map(|r| r.path.clone()).collect(),
            metrics,
            difference: Vec::new(),
            best: Vec::new(),
            valid: if is_trained { mean_on_valid(group) } else { Vec::new() },
            parameters: if is_trained { group.first().map_or(0, |r| r.outcome.parameters) } else { 0 },
            seconds: group.iter().map(|r| r.outcome.seconds).sum::<f64>() / group.len().max(1) as f64,
        }
    }

    /// Values by example of a row, means over its runs, and its examples by score where the question is yes or no.
    fn add_examples(&mut self, group: &[&Record], by_example: impl Fn(&&Record, &str) -> Option<Vec<f64>>) {
        let mut index = Vec::new();
        for metric in &self.metrics {
            let values: Option<Vec<Vec<f64>>> = group.iter().map(|r| by_example(r, metric)).collect();
            index.push(values.filter(|v| !v.is_empty()).map(|values| {
                let mean = |i: usize| values.iter().map(|run| run[i]).sum::<f64>() / values.len() as f64;
                self.columns.push((0..values[0].len()).map(mean).collect());
                self.columns.len() - 1
            }));
        }
        self.index.push(index);
        let ranked = |run: &&Record| {
            let (scores, truth) = (by_example(run, SCORE)?, by_example(run, TRUTH)?);
            Ranked::new(scores.into_iter().zip(truth.into_iter().map(|truth| truth > 0.5)))
        };
        self.ranked.push(group.iter().map(ranked).collect::<Option<Vec<_>>>().filter(|runs| !runs.is_empty()));
    }

    pub(super) fn resample(&self, options: &CompareOptions) -> Option<Resampled> {
        let ranked = self.ranked.iter().flatten().flatten().map(Ranked::len);
        let lengths: Vec<usize> = self.columns.iter().map(Vec::len).chain(ranked).collect();
        if lengths.is_empty() || lengths.iter().any(|&length| length == 0 || length != self.patients.len()) {
            return None;
        }
        // One patient alone is the same in every draw.
        if self.patients.iter().all(|patient| Some(patient) == self.patients.first()) {
            return None;
        }
        let any = self.ranked.iter().any(Option::is_some);
        // As the tables of the runs are drawn, so that both have the same intervals.
        let areas = any.then(|| Resamples::new(&self.patients, derive_seed(options.seed, &[])));
        let by_patient = ByPatient::of_columns(&self.columns, &self.patients);
        let means = by_patient.bootstrap(options.draws, options.seed);
        let signs = by_patient.signs(options.draws, options.seed);
        let sums = (0..self.columns.len()).map(|c| by_patient.sum(c)).collect();
        Some(Resampled { sums, means, signs, areas, draws: options.draws, seed: options.seed })
    }
}

/// Metrics on valid, means over runs.
fn mean_on_valid(group: &[&Record]) -> Vec<(String, f64)> {
    let names = group.first().map(|r| r.valid.iter().map(|(name, _)| name.clone())).into_iter().flatten();
    let mean = |name: String| {
        let of_run = |r: &&Record| r.valid.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        let values: Vec<f64> = group.iter().filter_map(of_run).collect();
        (name, mean_and_sd(&values).0)
    };
    names.map(mean).collect()
}

impl Columns {
    /// The area of a resample, as a mean over the runs of a row, where the metric is one.
    fn area(&self, row: usize, metric: usize) -> Option<impl Fn(&[u8]) -> f64 + Sync + Send> {
        let (runs, area) = (self.ranked[row].as_deref()?, area(&self.metrics[metric])?);
        Some(move |counts: &[u8]| runs.iter().map(|run| area(run, counts)).sum::<f64>() / runs.len() as f64)
    }

    /// Draws of what other seeds would change in the difference of two rows; nothing where one of them has a single run.
    fn shifts(&self, row: usize, other: usize, metric: usize, draws: usize, seed: u64) -> Vec<f64> {
        let runs = |row: usize| {
            Some(&self.runs[row][metric]).filter(|runs| runs.len() > 1 && runs.iter().all(|v| v.is_finite()))
        };
        let (Some(a), Some(b)) = (runs(row), runs(other)) else { return Vec::new() };
        // 1 and 2 are draws and signs of patients.
        shifts(a, b, draws, derive_seed(seed, &[3, row as u64, other as u64]))
    }
}

/// The draws of all rows and metrics.
pub(super) struct Resampled {
    means: Draws,
    signs: Draws,
    sums: Vec<f64>,
    /// For areas, which are no means over patients.
    areas: Option<Resamples>,
    draws: usize,
    seed: u64,
}

impl Resampled {
    pub(super) fn interval(&self, columns: &Columns, row: usize, metric: usize) -> Option<(f64, f64)> {
        if let Some(column) = columns.index[row][metric] {
            return Some(self.means.interval(column));
        }
        let area = columns.area(row, metric)?;
        self.area(|_, counts| area(counts))
    }

    /// Of patients who are the same for both rows; and of their runs, where both have several.
    pub(super) fn difference(&self, columns: &Columns, row: usize, other: usize, metric: usize) -> Option<(f64, f64)> {
        if let (Some(a), Some(b)) = (columns.index[row][metric], columns.index[other][metric]) {
            let shifts = columns.shifts(row, other, metric, self.draws, self.seed);
            return Some(self.means.interval_of_difference(a, b, &shifts));
        }
        let (a, b) = (columns.area(row, metric)?, columns.area(other, metric)?);
        let shifts = columns.shifts(row, other, metric, RESAMPLES, self.seed);
        let shift = |resample: usize| shifts.get(resample).copied().unwrap_or(0.0);
        self.area(|resample, counts| a(counts) - b(counts) + shift(resample))
    }

    fn area(&self, measure: impl Fn(usize, &[u8]) -> f64 + Sync + Send) -> Option<(f64, f64)> {
        self.areas.as_ref()?.interval_of_each("", measure).map(|interval| (interval.low, interval.high))
    }

    pub(super) fn p(&self, columns: &Columns, row: usize, other: usize, metric: usize) -> Option<f64> {
        let (a, b) = (columns.index[row][metric]?, columns.index[other][metric]?);
        Some(self.signs.p_value(a, b, self.sums[a] - self.sums[b]))
    }
}
