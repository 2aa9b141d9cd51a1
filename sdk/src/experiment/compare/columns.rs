//! The values by patient that the rows of a comparison are made of.

use super::record::Record;
use super::{ByPatient, CompareOptions, ComparedRow, Draws, Estimate, Kind, mean_and_sd};

/// Values by patient of every row and metric, averaged over the runs of the row.
pub(super) struct Columns {
    metrics: Vec<String>,
    columns: Vec<Vec<f64>>,
    /// Of each row and metric, its column.
    index: Vec<Vec<Option<usize>>>,
}

impl Columns {
    pub(super) fn new(metrics: &[String]) -> Self {
        Self { metrics: metrics.to_vec(), columns: Vec::new(), index: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn row(
        &mut self,
        name: String,
        kind: Kind,
        group: &[&Record],
        of_run: impl Fn(&&Record) -> Vec<f64>,
        by_patient: impl Fn(&&Record, &str) -> Option<Vec<f64>>,
    ) -> ComparedRow {
        let runs: Vec<Vec<f64>> = group.iter().map(&of_run).collect();
        let estimate = |m: usize| {
            let (mean, sd) = mean_and_sd(&runs.iter().map(|r| r[m]).collect::<Vec<_>>());
            Estimate { mean, sd, low: None, high: None }
        };
        let metrics = self.metrics.iter().enumerate().map(|(m, name)| (name.clone(), estimate(m))).collect();
        let mut index = Vec::new();
        for metric in &self.metrics {
            let values: Option<Vec<Vec<f64>>> = group.iter().map(|r| by_patient(r, metric)).collect();
            index.push(values.filter(|v| !v.is_empty()).map(|values| {
                let mean = |p: usize| values.iter().map(|run| run[p]).sum::<f64>() / values.len() as f64;
                self.columns.push((0..values[0].len()).map(mean).collect());
                self.columns.len() - 1
            }));
        }
        self.index.push(index);
        let valid_names = group.first().map(|r| r.valid.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>());
        let valid = valid_names.unwrap_or_default();
        let valid = valid.into_iter().map(|name| {
            let values: Vec<f64> =
                group.iter().filter_map(|r| r.valid.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)).collect();
            (name, mean_and_sd(&values).0)
        });
        ComparedRow {
            name,
            kind,
            runs: group.len(),
            folders: group.iter().map(|r| r.path.clone()).collect(),
            metrics,
            difference: Vec::new(),
            best: Vec::new(),
            valid: if kind == Kind::Configuration { valid.collect() } else { Vec::new() },
            parameters: if kind == Kind::Configuration { group.first().map_or(0, |r| r.outcome.parameters) } else { 0 },
            seconds: group.iter().map(|r| r.outcome.seconds).sum::<f64>() / group.len().max(1) as f64,
        }
    }

    pub(super) fn resample(&self, options: &CompareOptions) -> Option<Resampled> {
        let patients = self.columns.first()?.len();
        if patients == 0 || self.columns.iter().any(|c| c.len() != patients) {
            return None;
        }
        let by_patient = ByPatient::of_columns(&self.columns);
        let means = by_patient.bootstrap(options.draws, options.seed);
        let signs = by_patient.signs(options.draws, options.seed);
        Some(Resampled { sums: (0..self.columns.len()).map(|c| by_patient.sum(c)).collect(), means, signs })
    }
}

/// The draws of all rows and metrics.
pub(super) struct Resampled {
    means: Draws,
    signs: Draws,
    sums: Vec<f64>,
}

impl Resampled {
    pub(super) fn interval(&self, columns: &Columns, row: usize, metric: usize) -> Option<(f64, f64)> {
        columns.index[row][metric].map(|c| self.means.interval(c))
    }

    pub(super) fn difference(&self, columns: &Columns, row: usize, other: usize, metric: usize) -> Option<(f64, f64)> {
        let (a, b) = (columns.index[row][metric]?, columns.index[other][metric]?);
        Some(self.means.interval_of_difference(a, b))
    }

    pub(super) fn p(&self, columns: &Columns, row: usize, other: usize, metric: usize) -> Option<f64> {
        let (a, b) = (columns.index[row][metric]?, columns.index[other][metric]?);
        Some(self.signs.p_value(a, b, self.sums[a] - self.sums[b]))
    }
}
