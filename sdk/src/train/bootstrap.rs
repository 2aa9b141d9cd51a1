//! How far a measure would move with other patients.

use super::derive_seed;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Resamples of a bootstrap.
pub const RESAMPLES: usize = 1000;

/// Spread of a measure over resamples of the patients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Name of the measure.
    pub name: String,
    /// Standard error: the standard deviation over resamples.
    pub error: f64,
    /// The 2.5th percentile of the resamples.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

/// Patients drawn with replacement, as many as there are, [`RESAMPLES`] times. The draws depend on the seed and the
/// number of patients alone, so that measures and models are resampled alike.
#[derive(Debug)]
pub struct Resamples {
    patients: usize,
    /// How often each patient was drawn, resample after resample.
    counts: Vec<u8>,
}

impl Resamples {
    /// Draws.
    pub fn new(patients: usize, seed: u64) -> Self {
        let mut counts = vec![0u8; patients * RESAMPLES];
        counts.par_chunks_exact_mut(patients.max(1)).enumerate().for_each(|(resample, counts)| {
            let mut random = ChaCha8Rng::seed_from_u64(derive_seed(seed, &[resample as u64]));
            for _ in 0..patients {
                let patient = ((u128::from(random.next_u64()) * patients as u128) >> 64) as usize;
                counts[patient] = counts[patient].saturating_add(1);
            }
        });
        Self { patients, counts }
    }

    /// The interval of a measure of resampled patients, which are told as how often each was drawn. `None` when fewer than
    /// two resamples have a number.
    pub fn interval(&self, name: &str, measure: impl Fn(&[u8]) -> f64 + Sync + Send) -> Option<Interval> {
        let resamples = self.counts.par_chunks_exact(self.patients.max(1));
        let mut values: Vec<f64> = resamples.map(measure).filter(|v| !v.is_nan()).collect();
        if values.len() < 2 {
            return None;
        }
        values.sort_unstable_by(f64::total_cmp);
        let number = values.len() as f64;
        let mean = values.iter().sum::<f64>() / number;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (number - 1.0);
        let at = |part: f64| values[(part * (number - 1.0)).round() as usize];
        Some(Interval { name: name.to_owned(), error: variance.sqrt(), low: at(0.025), high: at(0.975) })
    }

    /// Intervals of means over patients, of the values that are numbers. What fewer than two patients have is left out.
    pub fn of_means(&self, each: &[(String, Vec<f64>)]) -> Vec<Interval> {
        let of = |(name, values): &(String, Vec<f64>)| {
            let known: Vec<(u32, f64)> =
                (0..).zip(values.iter().copied()).filter(|(_, value): &(u32, f64)| !value.is_nan()).collect();
            if known.len() < 2 {
                return None;
            }
            self.interval(name, |counts| {
                let (mut sum, mut number) = (0.0, 0.0);
                for &(patient, value) in &known {
                    let count = f64::from(counts[patient as usize]);
                    (sum, number) = (sum + count * value, number + count);
                }
                sum / number
            })
        };
        each.iter().filter_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_mean_is_that_of_the_textbook() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i * 7919 % 400) / 400.0).collect();
        let mean = values.iter().sum::<f64>() / 400.0;
        let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 399.0).sqrt();
        let error = deviation / 400f64.sqrt();
        let mut with_gaps = values.clone();
        with_gaps[7] = f64::NAN;
        let each = [("a".into(), values), ("b".into(), with_gaps), ("c".into(), vec![f64::NAN; 400])];
        let found = Resamples::new(400, 1).of_means(&each);
        assert_eq!(found.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        for interval in found {
            assert!((interval.error / error - 1.0).abs() < 0.1, "{interval:?}, {error} by the formula");
            assert!((interval.low - (mean - 1.96 * error)).abs() < 0.3 * error, "{interval:?}");
            assert!((interval.high - (mean + 1.96 * error)).abs() < 0.3 * error, "{interval:?}");
        }
    }

    #[test]
    fn the_same_patients_are_drawn_for_every_measure() {
        let (a, b) = (Resamples::new(50, 3), Resamples::new(50, 3));
        assert_eq!(a.counts, b.counts);
        assert_ne!(a.counts, Resamples::new(50, 4).counts);
        assert!(a.counts.chunks(50).all(|c| c.iter().map(|&n| usize::from(n)).sum::<usize>() == 50));
    }
}
