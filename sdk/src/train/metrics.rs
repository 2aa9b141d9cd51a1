//! Metrics of rankings and of yes/no predictions.
//!
//! Ranking metrics take row-major scores, one row a patient and one column a code, and the positive columns of each
//! row. Equal scores rank by column, the lower first; NaN ranks last. Everything is deterministic, whatever the
//! number of threads.

use crate::data::Ragged;
use rayon::prelude::*;

/// Sorts ascending as scores sort descending, equal scores by `column`.
pub(super) fn rank_key(score: f32, column: usize) -> u64 {
    ((u32::MAX - sortable(score)) as u64) << 32 | column as u64
}

/// Sorts as the score does; both zeros are equal, NaN is lowest.
pub(super) fn sortable(score: f32) -> u32 {
    let bits = if score.is_nan() { return 0 } else { (score + 0.0).to_bits() };
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// The columns of the `k` highest scores of a row, in no particular order.
fn top(row: &[f32], k: usize) -> impl Iterator<Item = u32> {
    let mut keys: Vec<u64> = row.iter().enumerate().map(|(c, &s)| rank_key(s, c)).collect();
    if k > 0 && k < keys.len() {
        keys.select_nth_unstable(k - 1);
    }
    keys.truncate(k);
    keys.into_iter().map(|key| key as u32)
}

/// Number of positives among the `k` highest scores of each row; `positives` ascend in each row.
fn hits(scores: &[f32], columns: usize, positives: &Ragged<u32>, k: usize) -> Vec<usize> {
    let rows = scores.par_chunks_exact(columns.max(1)).enumerate();
    rows.map(|(i, row)| top(row, k).filter(|c| positives.row(i).binary_search(c).is_ok()).count()).collect()
}

/// Mean over rows of the share of positives among the `k` highest scores. 0 without rows.
///
/// # Shapes
/// - `scores`: `positives.len()` rows of `columns`
pub fn precision_at_k(scores: &[f32], columns: usize, positives: &Ragged<u32>, k: usize) -> f64 {
    let hits = hits(scores, columns, positives, k);
    mean(hits.iter().map(|&h| h as f64 / k.max(1) as f64))
}

/// Mean over rows of the positives among the `k` highest scores, divided by the smaller of `k` and the number of
/// positives. Rows without a positive do not count; 0 when no row counts.
///
/// # Shapes
/// - `scores`: `positives.len()` rows of `columns`
pub fn recall_at_k(scores: &[f32], columns: usize, positives: &Ragged<u32>, k: usize) -> f64 {
    let hits = hits(scores, columns, positives, k);
    let rows = hits.iter().zip(positives.rows()).filter(|(_, row)| !row.is_empty());
    mean(rows.map(|(&h, row)| h as f64 / row.len().min(k).max(1) as f64))
}

/// The mean; 0 without values.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = sum_and_count(values);
    sum / count.max(1) as f64
}

/// The mean; NaN without values, of which no error is known.
fn mean_error(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = sum_and_count(values);
    sum / count as f64
}

fn sum_and_count(values: impl Iterator<Item = f64>) -> (f64, usize) {
    values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1))
}

/// Per column: how often it is positive, marked, and both, when each row marks as many of its highest scores as it
/// has positives.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    positive: Vec<u64>,
    marked: Vec<u64>,
    both: Vec<u64>,
}

/// The columns that each row marks: as many of its highest scores as it has positives.
pub(super) fn marked(scores: &[f32], columns: usize, positives: &Ragged<u32>) -> Vec<Vec<u32>> {
    let rows = scores.par_chunks_exact(columns.max(1)).enumerate();
    rows.map(|(i, row)| top(row, positives.row(i).len()).collect()).collect()
}

impl Counts {
    fn new(scores: &[f32], columns: usize, positives: &Ragged<u32>) -> Self {
        let mut this = Self::default();
        this.widen(columns);
        let marked = marked(scores, columns, positives);
        marked.iter().zip(positives.rows()).for_each(|(marked, row)| this.add(columns, marked, row));
        this
    }

    /// From counts that were made elsewhere, one number a column each.
    pub(super) fn of(positive: Vec<u64>, marked: Vec<u64>, both: Vec<u64>) -> Self {
        Self { positive, marked, both }
    }

    fn widen(&mut self, columns: usize) {
        [&mut self.positive, &mut self.marked, &mut self.both].into_iter().for_each(|c| c.resize(columns, 0));
    }

    /// Counts a row of `columns`: the columns that are marked, and those that are positive, which ascend.
    pub(super) fn add(&mut self, columns: usize, marked: &[u32], positives: &[u32]) {
        if self.positive.len() < columns {
            self.widen(columns);
        }
        positives.iter().for_each(|&c| self.positive[c as usize] += 1);
        for c in marked {
            self.marked[*c as usize] += 1;
            self.both[*c as usize] += u64::from(positives.binary_search(c).is_ok());
        }
    }

    /// F1 of each column; 1 where a column is neither positive nor marked (scikit-learn's `zero_division = 1`).
    fn f1(&self) -> impl Iterator<Item = f64> {
        let columns = self.positive.iter().zip(&self.marked).zip(&self.both);
        columns.map(|((&positive, &marked), &both)| f1(both, positive + marked, 1.0))
    }

    /// F1 of each column, weighted by how often it is positive; 1 when nothing is.
    pub(super) fn f1_weighted(&self) -> f64 {
        let total: u64 = self.positive.iter().sum();
        let sum: f64 = self.f1().zip(&self.positive).map(|(f1, &n)| f1 * n as f64).sum();
        if total == 0 { 1.0 } else { sum / total as f64 }
    }
}

/// 2·both / (positive + marked), or `undefined` for 0 / 0.
fn f1(both: u64, positive_and_marked: u64, undefined: f64) -> f64 {
    match positive_and_marked {
        0 => undefined,
        total => 2.0 * both as f64 / total as f64,
    }
}

/// F1 of each column, weighted by how often it is positive. Each row marks as many of its highest scores as it has
/// positives. 1 when nothing is positive.
///
/// # Shapes
/// - `scores`: `positives.len()` rows of `columns`
pub fn f1_weighted(scores: &[f32], columns: usize, positives: &Ragged<u32>) -> f64 {
    Counts::new(scores, columns, positives).f1_weighted()
}

/// Mean F1 over all columns, marked as for [`f1_weighted`]; 1 for a column that is neither positive nor marked.
///
/// # Shapes
/// - `scores`: `positives.len()` rows of `columns`
pub fn f1_macro(scores: &[f32], columns: usize, positives: &Ragged<u32>) -> f64 {
    mean(Counts::new(scores, columns, positives).f1())
}

/// F1 over all entries at once, marked as for [`f1_weighted`]. 1 when nothing is positive.
///
/// # Shapes
/// - `scores`: `positives.len()` rows of `columns`
pub fn f1_micro(scores: &[f32], columns: usize, positives: &Ragged<u32>) -> f64 {
    let counts = Counts::new(scores, columns, positives);
    let sum = |values: &[u64]| values.iter().sum::<u64>();
    f1(sum(&counts.both), sum(&counts.positive) + sum(&counts.marked), 1.0)
}

/// Groups of equal score, from the highest: (positives, negatives).
fn groups(scores: &[f32], truth: &[bool]) -> Vec<(u64, u64)> {
    let mut order: Vec<(u32, bool)> = scores.iter().zip(truth).map(|(&s, &t)| (sortable(s), t)).collect();
    order.par_sort_unstable_by(|a, b| b.0.cmp(&a.0));
    let count = |group: &[(u32, bool)]| {
        let positives = group.iter().filter(|e| e.1).count();
        (positives as u64, (group.len() - positives) as u64)
    };
    order.chunk_by(|a, b| a.0 == b.0).map(count).collect()
}

/// Area under the ROC curve: how often a positive scores above a negative, ties counting half. NaN, which is no number,
/// when a class is missing: there is no such pair then.
///
/// # Shapes
/// - `scores`, `truth`: one entry an example
pub fn roc_auc(scores: &[f32], truth: &[bool]) -> f64 {
    let (mut positives, mut negatives, mut twice_above) = (0u64, 0u64, 0u128);
    for (p, n) in groups(scores, truth) {
        twice_above += u128::from(n) * u128::from(2 * positives + p);
        (positives, negatives) = (positives + p, negatives + n);
    }
    match positives * negatives {
        0 => f64::NAN,
        pairs => twice_above as f64 / (2.0 * pairs as f64),
    }
}

/// Average precision: Σ (R_i − R_{i−1}) P_i over thresholds between different scores. NaN without positives.
///
/// # Shapes
/// - `scores`, `truth`: one entry an example
pub fn average_precision(scores: &[f32], truth: &[bool]) -> f64 {
    let (mut positives, mut seen, mut sum) = (0u64, 0u64, 0.0);
    for (p, n) in groups(scores, truth) {
        (positives, seen) = (positives + p, seen + p + n);
        sum += p as f64 * positives as f64 / seen as f64;
    }
    if positives == 0 { f64::NAN } else { sum / positives as f64 }
}

/// F1 of the positive class when scores above 0.5 are marked. 0 when nothing is positive or marked.
///
/// # Shapes
/// - `scores`, `truth`: one entry an example
pub fn binary_f1_at_half(scores: &[f32], truth: &[bool]) -> f64 {
    let (mut both, mut total) = (0, 0);
    for (&score, &truth) in scores.iter().zip(truth) {
        both += u64::from(score > 0.5 && truth);
        total += u64::from(score > 0.5) + u64::from(truth);
    }
    f1(both, total, 0.0)
}

/// Whether smaller values of a metric are better, by a word of its name such as loss, error, off, MAE or RMSE.
pub fn lower_is_better(metric: &str) -> bool {
    let name = metric.to_lowercase();
    ["loss", "error", "brier", "ece", "calibration", "mse", "mae", "rmse", "mr", "off"]
        .iter()
        .any(|l| name.split(|c: char| !c.is_alphanumeric()).any(|word| word == *l))
}

/// A metric as tables head its column: one of which less is better has an arrow down.
///
/// ```
/// use dualk_sdk::train::metrics::column_head;
/// assert_eq!([column_head("MAE"), column_head("R@10")], ["MAE ↓", "R@10"]);
/// ```
pub fn column_head(metric: &str) -> String {
    if lower_is_better(metric) { format!("{metric} ↓") } else { metric.to_owned() }
}

/// Mean absolute error; NaN without examples.
pub fn mean_absolute_error(predicted: &[f64], truth: &[f32]) -> f64 {
    mean_error(predicted.iter().zip(truth).map(|(p, &y)| (p - f64::from(y)).abs()))
}

/// Root of the mean squared error; NaN without examples.
pub fn root_mean_squared_error(predicted: &[f64], truth: &[f32]) -> f64 {
    mean_error(predicted.iter().zip(truth).map(|(p, &y)| (p - f64::from(y)).powi(2))).sqrt()
}

/// The part of the variance that is explained, 1 − Σ (y − ŷ)² / Σ (y − mean)²; NaN where all numbers are the same.
pub fn r_squared(predicted: &[f64], truth: &[f32]) -> f64 {
    let centre = mean(truth.iter().map(|&y| f64::from(y)));
    let around =
        |of: &dyn Fn(usize) -> f64| (0..truth.len()).map(|i| (f64::from(truth[i]) - of(i)).powi(2)).sum::<f64>();
    let (left, all) = (around(&|i| predicted[i]), around(&|_| centre));
    if all > 0.0 { 1.0 - left / all } else { f64::NAN }
}

/// Harrell's C: of the pairs of which it is known whose event came first, the part in which that one has the higher score;
/// equal scores count half. Times above 0 are events, those below 0 the last moment without one. NaN without pairs.
pub fn concordance(scores: &[f32], times: &[f32]) -> f64 {
    let pairs = (0..times.len()).into_par_iter().filter(|&i| times[i] > 0.0).map(|i| {
        let mut counts = (0u64, 0u64);
        for (&score, &time) in scores.iter().zip(times) {
            if times[i] < time.abs() || (times[i] == time.abs() && time < 0.0) {
                let twice = match scores[i].total_cmp(&score) {
                    std::cmp::Ordering::Greater => 2,
                    std::cmp::Ordering::Equal => 1,
                    std::cmp::Ordering::Less => 0,
                };
                counts = (counts.0 + twice, counts.1 + 2);
            }
        }
        counts
    });
    let (twice, all) = pairs.reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    if all > 0 { twice as f64 / all as f64 } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ranks by hand: row 0 → columns 2, 0, 3, 1; row 1 → 0, 1, 2, 3 (all equal); row 2 → 3, 2, 1, 0.
    const SCORES: [f32; 12] = [0.3, -1.0, 0.9, 0.0, 0.5, 0.5, 0.5, 0.5, f32::NAN, -2.0, -0.0, 0.1];

    fn positives() -> Ragged<u32> {
        [vec![0, 1], vec![0], vec![]].into_iter().collect()
    }

    #[test]
    fn ranks_break_ties_by_column() {
        let top =
            |row: &[f32], k| top(row, k).collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>();
        assert_eq!(top(&SCORES[..4], 2), [0, 2]);
        assert_eq!(top(&SCORES[4..8], 3), [0, 1, 2]);
        assert_eq!(top(&SCORES[8..], 3), [1, 2, 3]);
        assert_eq!(top(&[0.0, -0.0, -0.0], 2), [0, 1]);
        assert!(top(&SCORES[..4], 0).is_empty());
        assert_eq!(top(&SCORES[..4], 9), [0, 1, 2, 3]);
    }

    #[test]
    fn precision_and_recall_by_hand() {
        let p = positives();
        assert_eq!(precision_at_k(&SCORES, 4, &p, 2), (0.5 + 0.5) / 3.0);
        assert_eq!(recall_at_k(&SCORES, 4, &p, 1), (0.0 + 1.0) / 2.0);
        assert_eq!(recall_at_k(&SCORES, 4, &p, 2), (0.5 + 1.0) / 2.0);
        assert_eq!(recall_at_k(&SCORES, 4, &p, 4), 1.0);
        assert_eq!(recall_at_k(&[], 4, &Ragged::new(), 4), 0.0);
    }

    #[test]
    fn f1_by_hand() {
        // Marked: row 0 {2, 0}, row 1 {0}, row 2 {}. Column 0: 2·2/4, 1: 0/1, 2: 0/1, 3: 0/0 → 1.
        let p = positives();
        assert_eq!(f1_macro(&SCORES, 4, &p), 0.5);
        assert_eq!(f1_weighted(&SCORES, 4, &p), 2.0 / 3.0);
        assert_eq!(f1_micro(&SCORES, 4, &p), 2.0 * 2.0 / 6.0);
        let none: Ragged<u32> = [vec![], vec![], vec![]].into_iter().collect();
        assert_eq!((f1_weighted(&SCORES, 4, &none), f1_micro(&SCORES, 4, &none)), (1.0, 1.0));
    }

    #[test]
    fn binary_metrics_by_hand() {
        // Positives 0.9, 0.5; negatives 0.5, 0.1: pairs won 1 + 1 + 1/2 + 1 of 4.
        let (scores, truth) = ([0.9, 0.5, 0.5, 0.1], [true, true, false, false]);
        assert_eq!(roc_auc(&scores, &truth), 3.5 / 4.0);
        assert_eq!(average_precision(&scores, &truth), 0.5 * 1.0 + 0.5 * 2.0 / 3.0);
        assert_eq!(binary_f1_at_half(&scores, &truth), 2.0 / 3.0);
        assert!([[true; 4], [false; 4]].iter().all(|truth| roc_auc(&scores, truth).is_nan()));
        assert!(average_precision(&scores, &[false; 4]).is_nan());
        assert_eq!(average_precision(&scores, &[true; 4]), 1.0);
        assert_eq!(binary_f1_at_half(&[0.1], &[false]), 0.0);
    }

    #[test]
    fn roc_auc_agrees_with_all_pairs() {
        let scores: Vec<f32> =
            (0..200u32).map(|i| (i.wrapping_mul(2654435761) >> 24) as f32 / 16.0).map(f32::floor).collect();
        let truth: Vec<bool> = (0..200u32).map(|i| i.wrapping_mul(40503) >> 7 & 3 == 0).collect();
        let (mut won, mut pairs) = (0.0, 0.0);
        for (a, _) in scores.iter().zip(&truth).filter(|(_, t)| **t) {
            for (b, _) in scores.iter().zip(&truth).filter(|(_, t)| !**t) {
                pairs += 1.0;
                won += if a > b {
                    1.0
                } else if a == b {
                    0.5
                } else {
                    0.0
                };
            }
        }
        assert!((roc_auc(&scores, &truth) - won / pairs).abs() < 1e-12);
    }

    /// sklearn.metrics: mean_absolute_error, mean_squared_error, r2_score.
    #[test]
    fn errors_of_numbers_are_those_of_scikit_learn() {
        let (predicted, truth) = ([0.5, -1.0, 2.0, 0.0], [1.0, -2.0, 5.5, 0.25]);
        assert!((mean_absolute_error(&predicted, &truth) - 1.3125).abs() < 1e-12);
        assert!((root_mean_squared_error(&predicted, &truth) - 1.841_364_982_832_029_3).abs() < 1e-12);
        assert!((r_squared(&predicted, &truth) - 0.542_917_324_907_846_3).abs() < 1e-12);
        assert!(r_squared(&[1.0, 2.0], &[3.0, 3.0]).is_nan());
        // Nothing was predicted, and not well.
        assert!(mean_absolute_error(&[], &[]).is_nan() && root_mean_squared_error(&[], &[]).is_nan());
    }

    /// lifelines.utils.concordance_index, which wants the score of a long time: of the scores times −1.
    #[test]
    fn concordance_is_that_of_lifelines() {
        let scores = [0.3, -0.2, 1.0, 0.5, 2.0, -1.0, 0.0];
        let times = [5.0, 3.0, -3.0, 8.0, 1.0, -8.0, 2.5];
        assert!((concordance(&scores, &times) - 0.611_111_111_111_111_2).abs() < 1e-12);
        assert!(concordance(&scores, &[-1.0; 7]).is_nan());
    }

    #[test]
    fn names_say_which_way_is_better() {
        let lower = ["loss", "valid log loss", "Brier", "ECE", "MAE", "RMSE", "MR", "classes off"];
        assert!(lower.iter().all(|name| lower_is_better(name)));
        let higher = ["R@10", "AUC", "MRR", "R2", "C-index", "F1-w", "accuracy", "official"];
        assert!(!higher.iter().any(|name| lower_is_better(name)));
    }
}
