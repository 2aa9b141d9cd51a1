//! How far a measure would move with other patients.

use super::derive_seed;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

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

/// Group ids: equal things have the same, from 0 in the order in which they come first. Of examples, those of their patients.
///
/// ```
/// assert_eq!(dualk_sdk::train::group_ids(["b", "a", "b"]), [0, 1, 0]);
/// ```
pub fn group_ids<T: Eq + Hash>(things: impl IntoIterator<Item = T>) -> Vec<usize> {
    let mut ids = HashMap::new();
    let id = |thing| {
        let next = ids.len();
        *ids.entry(thing).or_insert(next)
    };
    things.into_iter().map(id).collect()
}

/// Patients drawn with replacement, as many as there are, [`RESAMPLES`] times; each brings all of its examples, which are
/// not independent of one another (the cluster bootstrap; Field and Welsh, JRSS B 2007). The draws depend on the seed and
/// the number of patients alone, so that measures and models are resampled alike.
#[derive(Debug)]
pub struct Resamples {
    examples: usize,
    /// The patient of each example.
    patients: Vec<usize>,
    /// How often each example is there, resample after resample.
    counts: Vec<u8>,
}

impl Resamples {
    /// Draws, where example `i` is one of patient `patients[i]`, as [`group_ids`] counts them.
    pub fn new(patients: &[usize], seed: u64) -> Self {
        let (examples, number) = (patients.len(), patients.iter().max().map_or(0, |last| last + 1));
        let mut counts = vec![0u8; examples * RESAMPLES];
        counts.par_chunks_exact_mut(examples.max(1)).enumerate().for_each(|(resample, counts)| {
            let mut random = ChaCha8Rng::seed_from_u64(derive_seed(seed, &[resample as u64]));
            let mut drawn = vec![0u8; number];
            for _ in 0..number {
                let patient = ((u128::from(random.next_u64()) * number as u128) >> 64) as usize;
                drawn[patient] = drawn[patient].saturating_add(1);
            }
            counts.iter_mut().zip(patients).for_each(|(count, &patient)| *count = drawn[patient]);
        });
        Self { examples, patients: patients.to_vec(), counts }
    }

    /// How many patients some examples are of.
    pub fn patients_of(&self, examples: impl IntoIterator<Item = usize>) -> usize {
        let patients: HashSet<usize> = examples.into_iter().map(|example| self.patients[example]).collect();
        patients.len()
    }

    /// The interval of a measure of resampled patients, told as how often each example is there. `None` when fewer than two
    /// resamples have a number, and where there is one patient alone, who is the same in every draw.
    pub fn interval(&self, name: &str, measure: impl Fn(&[u8]) -> f64 + Sync + Send) -> Option<Interval> {
        self.interval_of_each(name, |_, counts| measure(counts))
    }

    /// The same of a measure that is told the number of the resample, from 0, too.
    pub fn interval_of_each(
        &self,
        name: &str,
        measure: impl Fn(usize, &[u8]) -> f64 + Sync + Send,
    ) -> Option<Interval> {
        let first = self.patients.first()?;
        if self.patients.iter().all(|patient| patient == first) {
            return None;
        }
        let resamples = self.counts.par_chunks_exact(self.examples.max(1)).enumerate();
        let values = resamples.map(|(resample, counts)| measure(resample, counts));
        let mut values: Vec<f64> = values.filter(|v| !v.is_nan()).collect();
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

    /// Intervals of means over examples, of the values that are numbers. What examples of fewer than two patients have is left out.
    pub fn of_means(&self, each: &[(String, Vec<f64>)]) -> Vec<Interval> {
        let of = |(name, values): &(String, Vec<f64>)| {
            let known = (0u32..).zip(values).filter(|(_, value)| !value.is_nan());
            self.of_ratio(name, &known.map(|(example, &value)| (example, value, 1.0)).collect::<Vec<_>>())
        };
        each.iter().filter_map(of).collect()
    }

    /// The interval of a ratio of two sums over examples. A term is the number of an example and what it adds to each sum.
    /// `None` where all terms are of one patient: these are the same in every draw.
    pub fn of_ratio(&self, name: &str, terms: &[(u32, f64, f64)]) -> Option<Interval> {
        let patient = |term: &(u32, f64, f64)| self.patients[term.0 as usize];
        let first = patient(terms.first()?);
        if terms.iter().all(|term| patient(term) == first) {
            return None;
        }
        self.interval(name, |counts| {
            let (mut above, mut below) = (0.0, 0.0);
            for &(example, a, b) in terms {
                let count = f64::from(counts[example as usize]);
                (above, below) = (above + count * a, below + count * b);
            }
            above / below
        })
    }
}

/// The examples of a yes/no question by descending score, so that the area under a curve of a resample is one pass.
#[derive(Debug, Clone)]
pub struct Ranked {
    order: Vec<(f64, bool, usize)>,
}

impl Ranked {
    /// Orders examples by their score, each with its class; `None` where a score is no number.
    pub fn new(examples: impl IntoIterator<Item = (f64, bool)>) -> Option<Self> {
        let examples = examples.into_iter().enumerate().map(|(i, (score, class))| (score, class, i));
        let mut order: Vec<(f64, bool, usize)> = examples.collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        order.iter().all(|example| !example.0.is_nan()).then_some(Self { order })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Positives and negatives of each group of equal score, from the highest, where each example is there as often as `counts`
    /// says.
    fn groups<'a>(&'a self, counts: &'a [u8]) -> impl Iterator<Item = (f64, f64)> + 'a {
        self.order.chunk_by(|a, b| a.0 == b.0).map(move |group| {
            let of = |class: bool| group.iter().filter(|e| e.1 == class).map(|e| f64::from(counts[e.2])).sum::<f64>();
            (of(true), of(false))
        })
    }

    /// The area under the ROC curve where each example is there as often as `counts` says; NaN without one of both classes.
    pub fn area(&self, counts: &[u8]) -> f64 {
        let (mut positives, mut negatives, mut twice_above) = (0f64, 0f64, 0f64);
        for (p, n) in self.groups(counts) {
            twice_above += n * (2.0 * positives + p);
            (positives, negatives) = (positives + p, negatives + n);
        }
        twice_above / (2.0 * positives * negatives)
    }

    /// The average precision, which is the area under the precision-recall curve, where each example is there as often as
    /// `counts` says; NaN without positives.
    pub fn precision(&self, counts: &[u8]) -> f64 {
        let (mut positives, mut seen, mut sum) = (0f64, 0f64, 0f64);
        for (p, n) in self.groups(counts).filter(|(p, n)| p + n > 0.0) {
            (positives, seen) = (positives + p, seen + p + n);
            sum += p * positives / seen;
        }
        sum / positives
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_of_a_resample_counts_pairs() {
        // Of 3 × 3 pairs of a positive (twice .8, once .4) and a negative (once .4, twice .1) one is tied, and none is wrong.
        let ranked = Ranked::new([(0.1, false), (0.8, true), (0.4, true), (0.4, false), (0.9, false)]).unwrap();
        assert!((ranked.area(&[2, 2, 1, 1, 0]) - 8.5 / 9.0).abs() < 1e-12);
        assert!(ranked.area(&[1, 0, 0, 1, 1]).is_nan());
        assert!(Ranked::new([(f64::NAN, true)]).is_none());
    }

    /// sklearn.metrics.average_precision_score([1,1,1,0,0,0], [.8,.8,.4,.4,.1,.1]): precision is 1 at .8 and ¾ at .4.
    #[test]
    fn the_average_precision_of_a_resample_counts_copies() {
        let ranked = Ranked::new([(0.1, false), (0.8, true), (0.4, true), (0.4, false), (0.9, false)]).unwrap();
        assert!((ranked.precision(&[2, 2, 1, 1, 0]) - (2.0 + 0.75) / 3.0).abs() < 1e-12);
        assert_eq!(ranked.precision(&[0, 1, 1, 0, 0]), 1.0);
        assert!(ranked.precision(&[1, 0, 0, 1, 1]).is_nan());
    }

    /// Patients with one example each.
    fn one_each(patients: usize) -> Vec<usize> {
        (0..patients).collect()
    }

    /// Cochran, Sampling Techniques (1977), section 3.12: the mean over examples is a ratio of totals by patient, with the
    /// variance n / (n − 1) Σ (s_i − r m_i)² / (Σ m_i)² of n patients with m_i examples that sum up to s_i.
    #[test]
    fn the_error_of_a_mean_over_clusters_is_that_of_the_textbook() {
        let visits = |patient: usize| 1 + patient % 5;
        let patients: Vec<usize> = (0..300).flat_map(|p| std::iter::repeat_n(p, visits(p))).collect();
        let of_patient = |p: usize| (p * 7919 % 300) as f64 / 300.0;
        let values: Vec<f64> =
            patients.iter().enumerate().map(|(i, &p)| of_patient(p) + (i * 31 % 10) as f64 / 50.0).collect();
        let (number, ratio) = (values.len() as f64, values.iter().sum::<f64>() / values.len() as f64);
        let mut left = vec![0.0; 300];
        patients.iter().zip(&values).for_each(|(&p, value)| left[p] += value - ratio);
        let squares: f64 = left.iter().map(|l| l * l).sum();
        let error = (300.0 / 299.0 * squares).sqrt() / number;
        let each = [("a".to_owned(), values)];
        let found = &Resamples::new(&patients, 1).of_means(&each)[0];
        assert!((found.error / error - 1.0).abs() < 0.1, "{found:?}, {error} by the formula");
        // As if they were as many patients, it is far too small.
        let alone = &Resamples::new(&one_each(patients.len()), 1).of_means(&each)[0];
        assert!(alone.error < 0.7 * error, "{alone:?}, {error} by the formula");
    }

    /// Cochran, Sampling Techniques (1977), section 2.11: of n patients with a_i of b_i labels the part found, r = Σ a / Σ b, has the
    /// variance n / (n − 1) Σ (a_i − r b_i)² / (Σ b_i)². Those without a label are drawn, too, and add nothing.
    #[test]
    fn the_error_of_a_ratio_is_that_of_the_textbook() {
        let labels = |patient: u32| f64::from(patient % 4);
        let found = |patient: u32| (labels(patient) * f64::from(patient * 7919 % 300) / 300.0).round();
        let terms: Vec<_> = (0..300).map(|p| (p, found(p), labels(p))).filter(|term| term.2 > 0.0).collect();
        let (above, below) = terms.iter().fold((0.0, 0.0), |(a, b), term| (a + term.1, b + term.2));
        let squares: f64 = terms.iter().map(|term| (term.1 - above / below * term.2).powi(2)).sum();
        let error = (300.0 / 299.0 * squares).sqrt() / below;
        let drawn = Resamples::new(&one_each(300), 1);
        let interval = drawn.of_ratio("a", &terms).unwrap();
        assert!((interval.error / error - 1.0).abs() < 0.1, "{interval:?}, {error} by the formula");
        assert!(interval.low < above / below && above / below < interval.high, "{interval:?}");
        assert!(drawn.of_ratio("a", &terms[..1]).is_none() && drawn.of_ratio("a", &[]).is_none());
    }

    #[test]
    fn all_examples_of_a_patient_are_drawn_together() {
        let patients = group_ids(["b", "a", "b", "c"]);
        assert_eq!(patients, [0, 1, 0, 2]);
        let (examples, alone) = (Resamples::new(&patients, 3), Resamples::new(&one_each(3), 3));
        for (counts, drawn) in examples.counts.chunks(4).zip(alone.counts.chunks(3)) {
            assert_eq!(counts, [drawn[0], drawn[1], drawn[0], drawn[2]]);
        }
        assert!(Resamples::new(&[], 3).of_means(&[("a".to_owned(), Vec::new())]).is_empty());
        assert!(Resamples::new(&[0, 0], 3).interval("a", |_| 1.0).is_none(), "nothing is known of others");
    }

    /// What `Resamples` drew before examples had patients: the first two of seed 3, by the formula of `new` for each.
    #[test]
    fn patients_with_one_example_are_drawn_as_ever() {
        let found = Resamples::new(&one_each(50), 3);
        for (resample, counts) in found.counts.chunks(50).take(2).enumerate() {
            let mut random = ChaCha8Rng::seed_from_u64(derive_seed(3, &[resample as u64]));
            let mut expected = vec![0u8; 50];
            (0..50).for_each(|_| expected[((u128::from(random.next_u64()) * 50) >> 64) as usize] += 1);
            assert_eq!(counts, expected);
        }
    }

    #[test]
    fn the_error_of_a_mean_is_that_of_the_textbook() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i * 7919 % 400) / 400.0).collect();
        let mean = values.iter().sum::<f64>() / 400.0;
        let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 399.0).sqrt();
        let error = deviation / 400f64.sqrt();
        let mut with_gaps = values.clone();
        with_gaps[7] = f64::NAN;
        let each = [("a".into(), values), ("b".into(), with_gaps), ("c".into(), vec![f64::NAN; 400])];
        let found = Resamples::new(&one_each(400), 1).of_means(&each);
        assert_eq!(found.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        for interval in found {
            assert!((interval.error / error - 1.0).abs() < 0.1, "{interval:?}, {error} by the formula");
            assert!((interval.low - (mean - 1.96 * error)).abs() < 0.3 * error, "{interval:?}");
            assert!((interval.high - (mean + 1.96 * error)).abs() < 0.3 * error, "{interval:?}");
        }
    }

    #[test]
    fn the_same_patients_are_drawn_for_every_measure() {
        let (a, b) = (Resamples::new(&one_each(50), 3), Resamples::new(&one_each(50), 3));
        assert_eq!(a.counts, b.counts);
        assert_ne!(a.counts, Resamples::new(&one_each(50), 4).counts);
        assert!(a.counts.chunks(50).all(|c| c.iter().map(|&n| usize::from(n)).sum::<usize>() == 50));
    }
}
