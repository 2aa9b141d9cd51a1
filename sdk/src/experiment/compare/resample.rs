//! Resampling of patients, the spread of runs, p-values by random signs, and Holm's correction.

use crate::train::derive_seed;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StudentT};
use rayon::prelude::*;

/// Values by patient: row-major, a row a patient and a column a (row of the table, metric).
#[derive(Debug, Clone, PartialEq)]
pub struct ByPatient {
    columns: usize,
    /// Sums over the examples of a patient; 0 where a metric is undefined for all.
    values: Vec<f64>,
    /// Number of examples for which it is defined.
    defined: Vec<f64>,
}

/// What the same draws give for every column, so that columns can be subtracted draw by draw.
#[derive(Debug, Clone, PartialEq)]
pub struct Draws {
    columns: usize,
    /// Row-major, a row a draw.
    values: Vec<f64>,
}

impl ByPatient {
    /// From columns of one value an example; NaN is undefined. Example `i` is one of patient `patients[i]`, by number from 0.
    pub fn of_columns(columns: &[Vec<f64>], patients: &[usize]) -> Self {
        let (width, number) = (columns.len(), patients.iter().max().map_or(0, |last| last + 1));
        let (mut values, mut defined) = (vec![0.0; number * width], vec![0.0; number * width]);
        for (c, column) in columns.iter().enumerate() {
            for (value, patient) in column.iter().zip(patients).filter(|(value, _)| !value.is_nan()) {
                values[patient * width + c] += value;
                defined[patient * width + c] += 1.0;
            }
        }
        Self { columns: width, values, defined }
    }

    fn patients(&self) -> usize {
        self.values.len() / self.columns.max(1)
    }

    /// The mean of each column over the examples for which it is defined.
    pub fn means(&self) -> Vec<f64> {
        let sums = |values: &[f64]| {
            values.chunks_exact(self.columns).fold(vec![0.0; self.columns], |mut sums, row| {
                add(&mut sums, row);
                sums
            })
        };
        sums(&self.values).iter().zip(sums(&self.defined)).map(|(sum, count)| sum / count).collect()
    }

    /// Means of the columns over the examples of patients drawn with replacement: as many patients as there are, `draws` times
    /// (Efron 1979; all examples of a patient at once, as they are not independent: Field and Welsh 2007).
    pub fn bootstrap(&self, draws: usize, seed: u64) -> Draws {
        let patients = self.patients();
        let whole = self.defined.iter().all(|&d| d == 1.0);
        let draw = |n: usize| {
            let mut random = ChaCha8Rng::seed_from_u64(derive_seed(seed, &[1, n as u64]));
            let (mut sums, mut counts) = (vec![0.0; self.columns], vec![0.0; self.columns]);
            for _ in 0..patients {
                // Of 2^32 numbers, each patient gets as many as another but for one.
                let patient = ((u64::from(random.next_u32()) * patients as u64) >> 32) as usize;
                add(&mut sums, self.row(&self.values, patient));
                if !whole {
                    add(&mut counts, self.row(&self.defined, patient));
                }
            }
            let count = |c: usize| if whole { patients as f64 } else { counts[c] };
            sums.iter().enumerate().map(|(c, sum)| sum / count(c)).collect::<Vec<_>>()
        };
        self.draws(draws, draw)
    }

    /// Sums of the columns over patients whose values got a random sign: what differences of columns would be, were it
    /// chance alone which of the two is better for a patient (Fisher's test of paired differences). A patient's difference is
    /// the sum over its examples, which get one sign. It is conditional on the trained models that the columns are of: it says
    /// nothing of other seeds.
    pub fn signs(&self, draws: usize, seed: u64) -> Draws {
        let draw = |n: usize| {
            let mut random = ChaCha8Rng::seed_from_u64(derive_seed(seed, &[2, n as u64]));
            let mut sums = vec![0.0; self.columns];
            let mut bits = 0u64;
            for (patient, row) in self.values.chunks_exact(self.columns.max(1)).enumerate() {
                if patient % 64 == 0 {
                    bits = random.next_u64();
                }
                let sign = if bits & 1 == 1 { 1.0 } else { -1.0 };
                bits >>= 1;
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += sign * value);
            }
            sums
        };
        self.draws(draws, draw)
    }

    /// The sum of a column.
    pub fn sum(&self, column: usize) -> f64 {
        self.values.chunks_exact(self.columns.max(1)).map(|row| row[column]).sum()
    }

    fn row<'a>(&self, values: &'a [f64], patient: usize) -> &'a [f64] {
        &values[patient * self.columns..][..self.columns]
    }

    fn draws(&self, draws: usize, draw: impl Fn(usize) -> Vec<f64> + Sync) -> Draws {
        let values = (0..draws).into_par_iter().flat_map_iter(&draw).collect();
        Draws { columns: self.columns, values }
    }
}

fn add(sums: &mut [f64], row: &[f64]) {
    sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
}

impl Draws {
    fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.columns.max(1))
    }

    /// The interval that holds 95 % of the draws of a column.
    pub fn interval(&self, column: usize) -> (f64, f64) {
        middle(self.rows().map(|row| row[column]).collect())
    }

    /// The same of the difference of two columns, to which each draw adds its number of `shifts`, where there are any.
    pub fn interval_of_difference(&self, column: usize, other: usize, shifts: &[f64]) -> (f64, f64) {
        let shifts = shifts.iter().copied().chain(std::iter::repeat(0.0));
        middle(self.rows().zip(shifts).map(|(row, shift)| row[column] - row[other] + shift).collect())
    }

    /// How often random signs give a sum of differences at least as far from 0 as `observed`; the observed one counts as
    /// one of the draws, so that it is never 0 (Phipson and Smyth 2010).
    pub fn p_value(&self, column: usize, other: usize, observed: f64) -> f64 {
        // Sums in another order differ in the last digits.
        let least = observed.abs() * (1.0 - 1e-9);
        let (mut draws, mut extreme) = (0usize, 0usize);
        for row in self.rows() {
            draws += 1;
            extreme += usize::from((row[column] - row[other]).abs() >= least);
        }
        (extreme + 1) as f64 / (draws + 1) as f64
    }
}

/// Draws of the error of the difference of two means over runs, `draws` of them, to be added to those of patients: Student's t with
/// the degrees of freedom of Welch (Biometrika 1947) and Satterthwaite, times the standard error. Of runs that are all the same, as
/// those of a simple baseline are, the mean has no error; where both rows are such there are no draws. Drawing runs with
/// replacement instead gives intervals that are too narrow by far for the two to five runs that there are.
pub fn shifts(a: &[f64], b: &[f64], draws: usize, seed: u64) -> Vec<f64> {
    let of_mean = |runs: &[f64]| mean_and_sd(runs).1.unwrap_or(0.0).powi(2) / runs.len() as f64;
    let part = |variance: f64, runs: &[f64]| variance.powi(2) / (runs.len() as f64 - 1.0);
    let (of_a, of_b) = (of_mean(a), of_mean(b));
    let variance = of_a + of_b;
    let Ok(t) = StudentT::new(variance.powi(2) / (part(of_a, a) + part(of_b, b))) else { return Vec::new() };
    let draw = |at: usize| {
        let mut random = ChaCha8Rng::seed_from_u64(derive_seed(seed, &[at as u64]));
        variance.sqrt() * t.sample(&mut random)
    };
    (0..draws).into_par_iter().map(draw).collect()
}

/// The 2.5 % and 97.5 % quantiles.
fn middle(mut values: Vec<f64>) -> (f64, f64) {
    values.retain(|v| !v.is_nan());
    values.sort_unstable_by(f64::total_cmp);
    (quantile(&values, 0.025), quantile(&values, 0.975))
}

/// A quantile of ascending values, between the two nearest as NumPy has it; NaN without values.
fn quantile(ascending: &[f64], q: f64) -> f64 {
    let Some(last) = ascending.len().checked_sub(1) else { return f64::NAN };
    let at = q * last as f64;
    let low = at.floor() as usize;
    let (a, b) = (ascending[low], ascending[(low + 1).min(last)]);
    a + (b - a) * (at - low as f64)
}

/// Holm's correction (1979): p-values such that the chance of one or more below a level, where no difference is real, is
/// at most that level.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut corrected = vec![0.0; p.len()];
    let mut highest = 0.0f64;
    for (rank, &i) in order.iter().enumerate() {
        highest = highest.max(p[i] * (p.len() - rank) as f64).min(1.0);
        corrected[i] = highest;
    }
    corrected
}

/// Mean and, for two or more values, the standard deviation with n − 1 below.
pub fn mean_and_sd(values: &[f64]) -> (f64, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()))
}

#[cfg(test)]
pub(super) mod tests;
