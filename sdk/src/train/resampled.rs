//! Measures of a resample of the patients that are no means over examples.

use super::assess::{mean, predicted_means};
use super::metrics::{Counts, marked};
use crate::component::Link;
use crate::data::Ragged;
use std::sync::Arc;

/// A measure of a resample, which is told as how often each example is there.
pub type Drawn = Box<dyn Fn(&[u8]) -> f64 + Sync + Send>;

/// The measures of [`assess_numbers`](super::assess_numbers) that are no means over examples: `RMSE` and `R2`; for times
/// `C-index`. With each example once they are what it has; NaN where one is undefined.
///
/// # Shapes
/// - `scores`, `numbers`: rows of `columns`, one an example
pub fn drawn_numbers(scores: &[f32], columns: usize, numbers: &[f32], link: Link) -> Vec<(&'static str, Drawn)> {
    if link == Link::LogHazard {
        let of = |all: &[f32], c: usize| -> Vec<f32> { all.iter().skip(c).step_by(columns).copied().collect() };
        let each: Vec<Times> = (0..columns).map(|c| Times::new(&of(scores, c), &of(numbers, c))).collect();
        let index: Drawn = Box::new(move |counts: &[u8]| {
            let each: Vec<f64> = each.iter().map(|times| times.concordance(counts)).collect();
            mean(&each)
        });
        return vec![("C-index", index)];
    }
    let truth: Vec<f64> = numbers.iter().map(|&y| f64::from(y)).collect();
    let squares = predicted_means(scores, link).iter().zip(&truth).map(|(p, y)| (p - y).powi(2)).collect();
    let errors = Arc::new(Errors { columns, squares, truth });
    let other = Arc::clone(&errors);
    let root: Drawn = Box::new(move |counts: &[u8]| errors.mean_square(counts).sqrt());
    let explained: Drawn = Box::new(move |counts: &[u8]| other.explained(counts));
    vec![("RMSE", root), ("R2", explained)]
}

/// [`f1_weighted`](super::metrics::f1_weighted) of a resample. Each draw adds up what the examples mark and what they truly have,
/// and no scores.
///
/// # Shapes
/// - `scores`: `positives.len()` rows of `columns`
pub fn drawn_f1(scores: &[f32], columns: usize, positives: &Ragged<u32>) -> Drawn {
    let (marked, positives) = (marked(scores, columns, positives), positives.clone());
    let both = |(marked, row): (&Vec<u32>, &[u32])| -> Vec<u32> {
        marked.iter().copied().filter(|column| row.binary_search(column).is_ok()).collect()
    };
    let both: Ragged<u32> = marked.iter().zip(positives.rows()).map(both).collect();
    let marked: Ragged<u32> = marked.into_iter().collect();
    Box::new(move |counts: &[u8]| {
        let [positive, marked, both] = [&positives, &marked, &both].map(|rows| by_column(rows, columns, counts));
        Counts::of(positive, marked, both).f1_weighted()
    })
}

/// How often each column is in rows that are each there as often as `counts` says.
fn by_column(rows: &Ragged<u32>, columns: usize, counts: &[u8]) -> Vec<u64> {
    let mut sums = vec![0u64; columns];
    for (row, &count) in rows.rows().zip(counts).filter(|(_, count)| **count > 0) {
        row.iter().for_each(|&column| sums[column as usize] += u64::from(count));
    }
    sums
}

/// Squared errors and numbers, rows of `columns`.
struct Errors {
    columns: usize,
    squares: Vec<f64>,
    truth: Vec<f64>,
}

impl Errors {
    /// The sum over entries of a value, as often as their example is there.
    fn sum(&self, counts: &[u8], of: impl Fn(usize) -> f64) -> f64 {
        let drawn = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let entries = |example: usize| example * self.columns..(example + 1) * self.columns;
        drawn.map(|(example, &count)| f64::from(count) * entries(example).map(&of).sum::<f64>()).sum()
    }

    fn mean_square(&self, counts: &[u8]) -> f64 {
        self.sum(counts, |entry| self.squares[entry]) / self.sum(counts, |_| 1.0)
    }

    /// The part of the variance that is explained.
    fn explained(&self, counts: &[u8]) -> f64 {
        let mut drawn = (0..self.truth.len()).filter(|entry| counts[entry / self.columns] > 0).map(|e| self.truth[e]);
        let first = drawn.next();
        if drawn.all(|number| Some(number) == first) {
            return f64::NAN;
        }
        let centre = self.sum(counts, |entry| self.truth[entry]) / self.sum(counts, |_| 1.0);
        let all = self.sum(counts, |entry| (self.truth[entry] - centre).powi(2));
        1.0 - self.sum(counts, |entry| self.squares[entry]) / all
    }
}

/// When an example had its event, or was last seen without one.
struct Time {
    example: usize,
    time: f32,
    event: bool,
    /// How many different scores are below its own.
    rank: usize,
}

/// The times of examples, the latest first, so that Harrell's C of a resample is one pass: who comes before outlives who comes
/// after.
struct Times {
    order: Vec<Time>,
    ranks: usize,
}

impl Times {
    /// From scores and times, as [`concordance`](super::metrics::concordance) takes them.
    fn new(scores: &[f32], times: &[f32]) -> Self {
        let mut distinct = scores.to_vec();
        distinct.sort_unstable_by(f32::total_cmp);
        distinct.dedup_by(|a, b| a.total_cmp(b).is_eq());
        let rank = |score: f32| distinct.partition_point(|other| other.total_cmp(&score).is_lt());
        let time = |(example, (&score, &time)): (usize, (&f32, &f32))| Time {
            example,
            time: time.abs(),
            event: time > 0.0,
            rank: rank(score),
        };
        let mut order: Vec<Time> = scores.iter().zip(times).enumerate().map(time).collect();
        order.sort_by(|a, b| b.time.total_cmp(&a.time));
        Self { order, ranks: distinct.len() }
    }

    /// Harrell's C where each example is there as often as `counts` says; NaN without pairs.
    fn concordance(&self, counts: &[u8]) -> f64 {
        let (mut later, mut seen) = (Counted(vec![0; self.ranks + 1]), 0);
        let (mut twice, mut pairs) = (0u64, 0u64);
        for group in self.order.chunk_by(|a, b| a.time == b.time) {
            let of = |event: bool| group.iter().filter(move |time| time.event == event);
            let count = |time: &Time| u64::from(counts[time.example]);
            // Who is last seen at the time of an event outlives it; of two events at one time none came first.
            of(false).for_each(|time| later.add(time.rank, count(time)));
            seen += of(false).map(count).sum::<u64>();
            for time in of(true).filter(|time| count(time) > 0) {
                twice += count(time) * (later.below(time.rank) + later.below(time.rank + 1));
                pairs += count(time) * seen;
            }
            of(true).for_each(|time| later.add(time.rank, count(time)));
            seen += of(true).map(count).sum::<u64>();
        }
        if pairs > 0 { twice as f64 / (2 * pairs) as f64 } else { f64::NAN }
    }
}

/// Counts by rank, whose sums below a rank cost the logarithm of the ranks (Fenwick 1994).
struct Counted(Vec<u64>);

impl Counted {
    fn add(&mut self, rank: usize, count: u64) {
        let mut at = rank + 1;
        while at < self.0.len() {
            self.0[at] += count;
            at += at & at.wrapping_neg();
        }
    }

    fn below(&self, rank: usize) -> u64 {
        let (mut at, mut sum) = (rank, 0);
        while at > 0 {
            sum += self.0[at];
            at &= at - 1;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::super::assess_numbers;
    use super::super::metrics::f1_weighted;
    use super::*;

    const SCORES: [f32; 9] = [0.3, -0.2, 1.0, 0.5, 2.0, -1.0, 0.0, 0.5, 0.3];
    const TIMES: [f32; 9] = [5.0, 3.0, -3.0, 8.0, 1.0, -8.0, 2.5, 5.0, 3.0];

    fn of(found: &[(&str, Drawn)], name: &str, counts: &[u8]) -> f64 {
        found.iter().find(|(n, _)| *n == name).unwrap().1(counts)
    }

    /// The values of the tests of `metrics`: sklearn.metrics, and lifelines.utils.concordance_index.
    #[test]
    fn with_each_example_once_they_are_those_of_scikit_learn_and_lifelines() {
        let found = drawn_numbers(&[0.5, -1.0, 2.0, 0.0, 7.0], 1, &[1.0, -2.0, 5.5, 0.25, 90.0], Link::Mean);
        let counts = [1, 1, 1, 1, 0];
        assert!((of(&found, "RMSE", &counts) - 1.841_364_982_832_029_3).abs() < 1e-12);
        assert!((of(&found, "R2", &counts) - 0.542_917_324_907_846_3).abs() < 1e-12);
        assert!(of(&found, "R2", &[0, 0, 7, 0, 0]).is_nan() && of(&found, "RMSE", &[0; 5]).is_nan());
        let found = drawn_numbers(&SCORES[..7], 1, &TIMES[..7], Link::LogHazard);
        assert!((of(&found, "C-index", &[1; 7]) - 0.611_111_111_111_111_2).abs() < 1e-12);
        assert!(of(&found, "C-index", &[0, 0, 1, 0, 0, 1, 0]).is_nan(), "nobody had the event");
    }

    /// By hand: column 0 is positive 1 + 2 times, marked 1 + 2 + 3 times and both 3 times, column 1 positive 2 + 3 times and never
    /// marked. `sklearn.metrics.f1_score(truth, marked, average="weighted", sample_weight=[1, 2, 3], zero_division=1)` is
    /// (3 · 6 / 9 + 5 · 0) / 8, with `truth` the rows of `positives` and `marked` {0}, {0, 2} and {0}.
    #[test]
    fn the_f1_of_a_resample_is_that_of_scikit_learn_with_weights() {
        let scores = [2.0, 1.0, 0.0, 2.0, 0.0, 1.0, 2.0, 1.0, 0.0];
        let positives: Ragged<u32> = [vec![0], vec![0, 1], vec![1]].into_iter().collect();
        let f1 = drawn_f1(&scores, 3, &positives);
        assert!((f1(&[1, 2, 3]) - 0.25).abs() < 1e-12);
        // Of the first alone, which is right, and of the last alone, which is wrong.
        assert_eq!((f1(&[7, 0, 0]), f1(&[0, 0, 2])), (1.0, 0.0));
        assert_eq!(f1(&[1; 3]), f1_weighted(&scores, 3, &positives));
    }

    #[test]
    fn the_f1_of_a_resample_is_that_of_copies() {
        let (rows, columns) = (23, 11);
        let hash = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 20;
        let scores: Vec<f32> = (0..rows * columns).map(|i| (hash(i) % 37) as f32).collect();
        let is_true = |i: usize, c: u32| hash(i * 31 + c as usize) % 7 < (i % 8) as u32;
        let of_row = |i: usize| -> Vec<u32> { (0..columns as u32).filter(|&c| is_true(i, c)).collect() };
        let truth: Vec<Vec<u32>> = (0..rows).map(of_row).collect();
        let f1 = drawn_f1(&scores, columns, &truth.iter().cloned().collect());
        for seed in 0..20u64 {
            let count = |i: usize| (crate::train::derive_seed(seed, &[i as u64]) % 4) as u8;
            let counts: Vec<u8> = (0..rows).map(count).collect();
            let copied = || (0..rows).flat_map(|i| std::iter::repeat_n(i, usize::from(counts[i])));
            let copies: Vec<f32> = copied().flat_map(|i| scores[i * columns..][..columns].to_vec()).collect();
            let positives: Ragged<u32> = copied().map(|i| truth[i].clone()).collect();
            assert_eq!(f1(&counts), f1_weighted(&copies, columns, &positives));
        }
    }

    /// An example that is drawn twice is there twice.
    #[test]
    fn counts_are_copies_of_examples() {
        for (link, names) in
            [(Link::Mean, &["RMSE", "R2"][..]), (Link::LogMean, &["RMSE", "R2"]), (Link::LogHazard, &["C-index"])]
        {
            for columns in [1, 3] {
                let found = drawn_numbers(&SCORES, columns, &TIMES, link);
                for seed in 0..20u64 {
                    let examples = SCORES.len() / columns;
                    let counts: Vec<u8> =
                        (0..examples as u64).map(|i| (crate::train::derive_seed(seed, &[i]) % 4) as u8).collect();
                    let copies = |all: &[f32]| -> Vec<f32> {
                        let rows = all.chunks(columns).zip(&counts);
                        rows.flat_map(|(row, &count)| row.repeat(usize::from(count))).collect()
                    };
                    let expected = assess_numbers(&copies(&SCORES), columns, &copies(&TIMES), link);
                    for name in names {
                        let (ours, theirs) = (of(&found, name, &counts), expected.get(name).unwrap());
                        let same = (ours - theirs).abs() <= 1e-9 * theirs.abs() || ours.is_nan() && theirs.is_nan();
                        // All drawn are alike: 0 examples, too, have no root of a mean.
                        let none = counts.iter().all(|&count| count == 0);
                        assert!(same || none, "{name}, {columns} columns, {counts:?}: {ours} and {theirs}");
                    }
                }
            }
        }
    }
}
