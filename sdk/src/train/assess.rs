//! All metrics of one ranking of columns, from one pass over its scores.
//!
//! A positive's rank is counted and not sorted: comparing every score of a row with it is one vectorised sweep. The
//! same holds within a column. Areas over all entries at once look each score up among the sorted positives.

use super::metrics::{concordance, r_squared, root_mean_squared_error, sortable};
use crate::component::{LabelScores, Link, Loss, Objective};
use crate::data::Ragged;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Columns that are read together: one line of the processor's cache.
const BLOCK: usize = 16;
/// Bins of [`Assessment`]'s calibration error, of equal width (Guo et al., ICML 2017).
const BINS: usize = 15;

/// The name of top-1 accuracy: the fraction of examples whose most likely class is the true one.
pub const ACCURACY: &str = "accuracy";

/// What scores are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Logits: the sigmoid of one is a probability.
    Logits,
    /// Logits of mutually exclusive classes: the softmax of a row is their probabilities.
    Classes,
    /// Logits whose softmax is divided among the labels of a row, of which several may be true: no probabilities of these.
    Shares,
    /// Scores that only rank; they are no logits.
    Order,
}

impl Scale {
    /// What the logits of an objective's heads are.
    pub fn of(objective: &dyn Objective) -> Self {
        if objective.exclusive() { Self::Classes } else { Self::Logits }
    }

    /// What they are of a model that was trained with a loss.
    pub fn of_model(objective: &dyn Objective, loss: &dyn Loss) -> Self {
        match (Self::of(objective), loss.label_scores()) {
            (Self::Logits, LabelScores::Shares) => Self::Shares,
            (Self::Logits, LabelScores::Order) => Self::Order,
            (scale, _) => scale,
        }
    }

    /// Whether they say how likely something is.
    pub fn is_probable(self) -> bool {
        matches!(self, Self::Logits | Self::Classes)
    }
}

/// The measures of a ranking.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Assessment {
    /// Measures of all examples by name; NaN where one is undefined.
    pub overall: Vec<(String, f64)>,
    /// Measures with a value for each example, whose mean (over those that are numbers) is in `overall`.
    pub each: Vec<(String, Vec<f64>)>,
    /// For each positive, in the order of the targets, how many columns of its row rank above it.
    pub ranks: Vec<u32>,
    /// With logits, the bins of the calibration error that have entries, by ascending probability.
    pub reliability: Vec<Reliability>,
}

/// A bin of the reliability diagram: entries with similar probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// The mean of their probabilities.
    pub probability: f64,
    /// The fraction of them that is positive.
    pub frequency: f64,
    /// Number of entries.
    pub entries: u64,
}

/// Assesses scores of a head with several columns.
///
/// By example, for each k of `ks`, with h the positives among the k highest scores and n the positives: `R@k` =
/// h / min(k, n) as DuaLK, CGL and Chet have it; `R/n@k` = h / n, the recall of information retrieval; `P@k` = h / k; and
/// `NDCG@k` with gain 1 and discount log₂(rank + 1). Examples without positives have none of these.
///
/// Over entries, and undefined where scores are an order alone: `AUROC` and `AUPRC`, `micro` over all entries and `macro` as
/// the mean over columns that have both classes. With logits also `log loss` and `Brier`, means over all entries,
/// and `ECE`, the mean distance between probability and frequency in 15 bins. Where the
/// softmax of logits is divided among several true labels ([`Scale::Shares`]), areas compare what labels get of it, and not logits.
///
/// With mutually exclusive classes these are of the softmax of a row: `log loss` is −ln of the probability of the true
/// class and `Brier` the sum over classes of squared errors (Brier 1950), means over examples; `ECE` is that of the most
/// likely class (Guo et al., ICML 2017), and areas compare probabilities and not logits across examples.
///
/// # Shapes
/// - `scores`: `targets.len()` rows of `columns`
pub fn assess(scores: &[f32], columns: usize, targets: &Ragged<u32>, ks: &[usize], scale: Scale) -> Assessment {
    let keys = |scores: &[f32]| -> Vec<u32> { scores.par_iter().map(|&s| sortable(s)).collect() };
    let of_rows = keys(scores);
    let ranks = ranks(&of_rows, columns, targets);
    let mut found = Assessment { ranks, ..Assessment::default() };
    for (name, value) in measures_at(&found.ranks, targets, ks) {
        found.push_each(name, value);
    }
    let across = match scale {
        Scale::Classes | Scale::Shares if columns > 1 => keys(&log_softmax(scores, columns)),
        _ => of_rows,
    };
    // An order says nothing of the scores of another example.
    let (micro, mean) = match scale {
        Scale::Order => ((f64::NAN, f64::NAN), (f64::NAN, f64::NAN)),
        _ => (micro_areas(&across, columns, targets), macro_areas(&across, columns, targets)),
    };
    found.overall.extend([
        ("AUROC micro".to_owned(), micro.0),
        ("AUROC macro".to_owned(), mean.0),
        ("AUPRC micro".to_owned(), micro.1),
        ("AUPRC macro".to_owned(), mean.1),
    ]);
    if scale.is_probable() {
        found.add_probabilities(Probabilities::of(scores, columns, targets, scale));
    }
    found
}

/// Assesses the scores of a yes/no question.
///
/// # Shapes
/// - `scores`, `targets`: one entry an example; a row that is not empty says yes
pub fn assess_binary(scores: &[f32], targets: &Ragged<u32>, scale: Scale) -> Assessment {
    let truth: Vec<bool> = targets.rows().map(|row| !row.is_empty()).collect();
    let mut found = Assessment::default();
    found.overall.push(("AUROC".to_owned(), super::metrics::roc_auc(scores, &truth)));
    found.overall.push(("AUPRC".to_owned(), super::metrics::average_precision(scores, &truth)));
    if scale.is_probable() {
        found.add_probabilities(Probabilities::of(scores, 1, targets, scale));
    }
    found
}

/// Assesses what a head gives for targets that are numbers: `MAE` by example, a mean over its columns, and `RMSE` and `R2` over
/// all entries; for times `C-index`, a mean over columns.
///
/// # Shapes
/// - `scores`, `numbers`: rows of `columns`, as many as each other
pub fn assess_numbers(scores: &[f32], columns: usize, numbers: &[f32], link: Link) -> Assessment {
    let mut found = Assessment::default();
    if link == Link::LogHazard {
        let of =
            |all: &[f32], column: usize| -> Vec<f32> { all.iter().skip(column).step_by(columns).copied().collect() };
        let each: Vec<f64> = (0..columns).map(|c| concordance(&of(scores, c), &of(numbers, c))).collect();
        found.overall.push(("C-index".to_owned(), mean(&each)));
        return found;
    }
    let predicted = predicted_means(scores, link);
    let errors: Vec<f64> = predicted.iter().zip(numbers).map(|(p, &y)| (p - f64::from(y)).abs()).collect();
    found.push_each("MAE".to_owned(), errors.chunks_exact(columns).map(mean).collect());
    found.overall.push(("RMSE".to_owned(), root_mean_squared_error(&predicted, numbers)));
    found.overall.push(("R2".to_owned(), r_squared(&predicted, numbers)));
    found
}

/// Predicted means, from the scores of a head and its link.
pub(super) fn predicted_means(scores: &[f32], link: Link) -> Vec<f64> {
    let of = |&score: &f32| match link {
        Link::LogMean => f64::from(score).exp(),
        Link::Mean | Link::LogHazard => f64::from(score),
    };
    scores.iter().map(of).collect()
}

/// The mean over all entries of the log loss, of classes over all examples; NaN without examples.
///
/// # Shapes
/// - `logits`: `targets.len()` rows of `columns`
pub fn log_loss(logits: &[f32], columns: usize, targets: &Ragged<u32>, scale: Scale) -> f64 {
    mean(&Probabilities::of(logits, columns, targets, scale).loss)
}

impl Assessment {
    /// Replaces the measures at 1, which are all the same for mutually exclusive classes, by one: [`ACCURACY`].
    pub fn keep_accuracy(&mut self) {
        let name = |name: &str| match name {
            "R@1" => Some(ACCURACY.to_owned()),
            "R/n@1" | "P@1" | "NDCG@1" => None,
            other => Some(other.to_owned()),
        };
        self.each = std::mem::take(&mut self.each).into_iter().filter_map(|(n, v)| Some((name(&n)?, v))).collect();
        self.overall =
            std::mem::take(&mut self.overall).into_iter().filter_map(|(n, v)| Some((name(&n)?, v))).collect();
    }

    fn push_each(&mut self, name: String, values: Vec<f64>) {
        self.overall.push((name.clone(), mean(&values)));
        self.each.push((name, values));
    }

    fn add_probabilities(&mut self, Probabilities { loss, brier, bins }: Probabilities) {
        self.push_each("log loss".to_owned(), loss);
        self.push_each("Brier".to_owned(), brier);
        let entries = bins.iter().map(|bin| bin.entries).sum::<u64>();
        let error = bins.iter().map(|b| (b.probability - b.positives).abs()).sum::<f64>() / entries as f64;
        self.overall.push(("ECE".to_owned(), if entries == 0 { f64::NAN } else { error }));
        let filled = bins.iter().filter(|bin| bin.entries > 0);
        let part = |sum: f64, bin: &Bin| sum / bin.entries as f64;
        self.reliability = filled
            .map(|b| Reliability {
                probability: part(b.probability, b),
                frequency: part(b.positives, b),
                entries: b.entries,
            })
            .collect();
    }

    /// `R@k` at each of `ks`, which need not be those that were asked for; none for a yes/no question.
    pub fn recall_at(&self, targets: &Ragged<u32>, ks: &[usize]) -> Vec<(usize, f64)> {
        if self.ranks.is_empty() {
            return Vec::new();
        }
        let at = |&k: &usize| {
            let rows = (0..targets.len()).map(|i| &self.ranks[targets.range(i)]).filter(|row| !row.is_empty());
            let recall = |row: &[u32]| hits(row, k) / row.len().min(k) as f64;
            (k, mean(&rows.map(recall).collect::<Vec<_>>()))
        };
        ks.iter().map(at).collect()
    }

    /// A measure of all examples.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.overall.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
    }
}

/// The mean of what is a number; NaN when nothing is.
pub(super) fn mean(values: &[f64]) -> f64 {
    let (mut sum, mut count) = (0.0, 0usize);
    values.iter().filter(|v| !v.is_nan()).for_each(|v| (sum, count) = (sum + v, count + 1));
    if count == 0 { f64::NAN } else { sum / count as f64 }
}

/// For each positive the number of columns of its row that rank above it; equal scores rank by column.
fn ranks(keys: &[u32], columns: usize, targets: &Ragged<u32>) -> Vec<u32> {
    let row = |i: usize| {
        let row = &keys[i * columns..(i + 1) * columns];
        let rank = move |&c: &u32| {
            let (key, (before, after)) = (row[c as usize], row.split_at(c as usize));
            let above = |part: &[u32], key: u32| part.iter().map(|&k| u32::from(k >= key)).sum::<u32>();
            match key.checked_add(1) {
                Some(next) => above(before, key) + above(after, next),
                None => above(before, key),
            }
        };
        targets.row(i).iter().map(rank).collect::<Vec<u32>>()
    };
    let rows: Vec<Vec<u32>> = (0..targets.len()).into_par_iter().map(row).collect();
    rows.concat()
}

/// Positives of a row among its `k` highest scores.
fn hits(ranks: &[u32], k: usize) -> f64 {
    ranks.iter().filter(|&&rank| (rank as usize) < k).count() as f64
}

/// The measures at each k, by example.
fn measures_at(ranks: &[u32], targets: &Ragged<u32>, ks: &[usize]) -> Vec<(String, Vec<f64>)> {
    let rows = || (0..targets.len()).map(|i| &ranks[targets.range(i)]);
    let of = |measure: &dyn Fn(&[u32]) -> f64| -> Vec<f64> {
        rows().map(|row| if row.is_empty() { f64::NAN } else { measure(row) }).collect()
    };
    let discount = |rank: usize| 1.0 / (rank as f64 + 2.0).log2();
    let ndcg = |row: &[u32], k: usize| {
        let gained: f64 = row.iter().filter(|&&r| (r as usize) < k).map(|&r| discount(r as usize)).sum();
        gained / (0..k.min(row.len())).map(discount).sum::<f64>()
    };
    let mut all = Vec::new();
    for &k in ks {
        all.push((format!("R@{k}"), of(&|row| hits(row, k) / row.len().min(k) as f64)));
        all.push((format!("R/n@{k}"), of(&|row| hits(row, k) / row.len() as f64)));
        all.push((format!("P@{k}"), of(&|row| hits(row, k) / k as f64)));
        all.push((format!("NDCG@{k}"), of(&|row| ndcg(row, k))));
    }
    all
}

/// Means over columns of the areas under the ROC and the precision-recall curve.
fn macro_areas(keys: &[u32], columns: usize, targets: &Ragged<u32>) -> (f64, f64) {
    let rows = targets.len();
    let mut holders = vec![Vec::new(); columns];
    for (i, row) in targets.rows().enumerate() {
        row.iter().for_each(|&c| holders[c as usize].push(i as u32));
    }
    let starts: Vec<usize> = (0..columns).step_by(BLOCK).collect();
    let blocks = starts.into_par_iter().map(|start| {
        let width = BLOCK.min(columns - start);
        if holders[start..start + width].iter().all(Vec::is_empty) {
            return Vec::new();
        }
        let mut block = vec![0u32; width * rows];
        for i in 0..rows {
            let row = &keys[i * columns + start..][..width];
            row.iter().enumerate().for_each(|(c, &key)| block[c * rows + i] = key);
        }
        let columns = block.chunks_exact(rows.max(1)).zip(&holders[start..start + width]);
        columns.filter(|(_, holders)| !holders.is_empty() && holders.len() < rows).map(|(c, h)| areas(c, h)).collect()
    });
    let areas: Vec<(f64, f64)> = blocks.collect::<Vec<Vec<_>>>().concat();
    let (roc, precision): (Vec<f64>, Vec<f64>) = areas.into_iter().unzip();
    (mean(&roc), mean(&precision))
}

/// Areas under both curves of one column, whose positive rows are `holders`.
fn areas(column: &[u32], holders: &[u32]) -> (f64, f64) {
    let positives: Vec<u32> = holders.iter().map(|&i| column[i as usize]).collect();
    let at_least = |keys: &[u32], key: u32| keys.iter().map(|&k| u32::from(k >= key)).sum::<u32>() as u64;
    let above = |keys: &[u32], key: u32| key.checked_add(1).map_or(0, |next| at_least(keys, next));
    let (n, negatives) = (positives.len() as u64, (column.len() - positives.len()) as u64);
    let (mut twice_below, mut precision) = (0u64, 0.0);
    for &key in &positives {
        let (seen, found) = (at_least(column, key), at_least(&positives, key));
        let (seen_above, found_above) = (above(column, key), above(&positives, key));
        // Negatives that rank above it, or equal to it, are lost, or half lost.
        twice_below += 2 * negatives - (seen - found) - (seen_above - found_above);
        precision += found as f64 / seen as f64;
    }
    (twice_below as f64 / (2 * n * negatives) as f64, precision / n as f64)
}

/// Areas under both curves over all entries at once.
fn micro_areas(keys: &[u32], columns: usize, targets: &Ragged<u32>) -> (f64, f64) {
    let mut positives: Vec<u32> = Vec::with_capacity(targets.values().len());
    for (i, row) in targets.rows().enumerate() {
        positives.extend(row.iter().map(|&c| keys[i * columns + c as usize]));
    }
    positives.sort_unstable();
    let (mut distinct, mut counts): (Vec<u32>, Vec<u64>) = (Vec::new(), Vec::new());
    for group in positives.chunk_by(|a, b| a == b) {
        distinct.push(group[0]);
        counts.push(group.len() as u64);
    }
    let (total, negatives) = (positives.len() as u64, (keys.len() - positives.len()) as u64);
    if total == 0 {
        return (f64::NAN, f64::NAN);
    }
    // Where the thresholds with each upper half of a key begin.
    let starts: Vec<u32> = (0..=1u32 << 16)
        .map(|high| distinct.partition_point(|&d| u64::from(d >> 16) < u64::from(high)) as u32)
        .collect();
    let thresholds = distinct.len();
    let count = |part: &[u32]| reached(part, &distinct, &starts);
    let parts = keys.par_chunks(keys.len().div_ceil(8 * rayon::current_num_threads()).max(1)).map(count);
    let add = |mut a: Vec<u64>, b: Vec<u64>| {
        a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        a
    };
    let entries = parts.reduce(|| vec![0; 2 * (thresholds + 1)], add);
    let (mut seen, mut found, mut twice_below, mut precision) = (0u64, 0u64, 0u128, 0.0);
    for t in (0..thresholds).rev() {
        let equal = entries[2 * (t + 1) + 1] - counts[t];
        seen += entries[2 * (t + 1)];
        found += counts[t];
        let lost = seen - found; // negatives at least as high
        twice_below += u128::from(counts[t]) * u128::from(2 * (negatives - lost) + equal);
        precision += counts[t] as f64 * found as f64 / seen as f64;
    }
    let auroc = if negatives == 0 { f64::NAN } else { twice_below as f64 / (2 * total * negatives) as f64 };
    (auroc, precision / total as f64)
}

/// Keys by how many thresholds are at most as high, and those that are exactly as high as the last of them; `starts` says where
/// the thresholds with each upper half of a key begin.
fn reached(keys: &[u32], thresholds: &[u32], starts: &[u32]) -> Vec<u64> {
    let mut counts = vec![0u64; 2 * (thresholds.len() + 1)];
    for &key in keys {
        let (from, to) = (starts[(key >> 16) as usize] as usize, starts[(key >> 16) as usize + 1] as usize);
        let reached = from + thresholds[from..to].partition_point(|&t| t <= key);
        counts[2 * reached] += 1;
        counts[2 * reached + 1] += u64::from(reached > 0 && thresholds[reached - 1] == key);
    }
    counts
}

#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    /// Sum of the probabilities of its entries.
    probability: f64,
    /// Its positives.
    positives: f64,
    entries: u64,
}

#[derive(Default)]
struct Probabilities {
    /// Losses by example: means over its entries, or sums over its classes.
    loss: Vec<f64>,
    brier: Vec<f64>,
    bins: [Bin; BINS],
}

/// The bin of a probability.
fn bin(p: f32) -> usize {
    ((p * BINS as f32) as usize).min(BINS - 1)
}

/// ln softmax of each row.
fn log_softmax(logits: &[f32], columns: usize) -> Vec<f32> {
    let row = |row: &[f32]| {
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = row.iter().map(|&z| f64::from(z - most).exp()).sum();
        let log = f64::from(most) + sum.ln();
        row.iter().map(|&z| (f64::from(z) - log) as f32).collect::<Vec<f32>>()
    };
    logits.par_chunks_exact(columns.max(1)).flat_map_iter(row).collect()
}

impl Probabilities {
    /// Of logits that are what `scale` says. A single column is a class or its absence, whatever else is asked.
    fn of(logits: &[f32], columns: usize, targets: &Ragged<u32>, scale: Scale) -> Self {
        match scale == Scale::Classes && columns > 1 {
            true => Self::of_classes(&log_softmax(logits, columns), columns, targets),
            false => Self::of_entries(logits, columns, targets),
        }
    }

    /// Of the logarithms of the probabilities of classes; an example without a class has none.
    fn of_classes(logs: &[f32], columns: usize, targets: &Ragged<u32>) -> Self {
        let mut all = Self::default();
        for (row, truth) in logs.chunks_exact(columns).zip(targets.rows()) {
            let Some(truth) = truth.first().map(|&class| class as usize) else {
                all.loss.push(f64::NAN);
                all.brier.push(f64::NAN);
                continue;
            };
            let error = |(class, log): (usize, &f32)| f64::from(*log).exp() - f64::from(u8::from(class == truth));
            all.loss.push(-f64::from(row[truth]));
            all.brier.push(row.iter().enumerate().map(|entry| error(entry).powi(2)).sum());
            // Of equally likely ones the first.
            let likely = row.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1));
            let (class, p) = likely.map_or((0, f64::NAN), |(class, log)| (class, f64::from(*log).exp()));
            let bin = &mut all.bins[bin(p as f32)];
            (bin.probability, bin.entries) = (bin.probability + p, bin.entries + 1);
            bin.positives += f64::from(u8::from(class == truth));
        }
        all
    }

    /// The probabilities of independent yes/no questions, one an entry, against what is true.
    fn of_entries(logits: &[f32], columns: usize, targets: &Ragged<u32>) -> Self {
        let row = |i: usize| {
            let (mut loss, mut brier, mut bins) = (0f64, 0f64, [Bin::default(); BINS]);
            let row = &logits[i * columns..(i + 1) * columns];
            // In short sums of 32-bit numbers, which the processor adds several at a time.
            for part in row.chunks(64) {
                let (mut part_loss, mut part_brier) = (0f32, 0f32);
                for &z in part {
                    let e = (-z.abs()).exp();
                    let p = if z >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) };
                    part_loss += z.max(0.0) + e.ln_1p();
                    part_brier += p * p;
                    let bin = &mut bins[bin(p)];
                    (bin.probability, bin.entries) = (bin.probability + f64::from(p), bin.entries + 1);
                }
                (loss, brier) = (loss + f64::from(part_loss), brier + f64::from(part_brier));
            }
            for &c in targets.row(i) {
                let z = row[c as usize];
                let p = 1.0 / (1.0 + (-z).exp());
                (loss, brier) = (loss - f64::from(z), brier + 1.0 - 2.0 * f64::from(p));
                bins[bin(p)].positives += 1.0;
            }
            let n = columns.max(1) as f64;
            (loss / n, brier / n, bins)
        };
        let rows: Vec<_> = (0..targets.len()).into_par_iter().map(row).collect();
        let mut all = Self::default();
        for (loss, brier, bins) in rows {
            all.loss.push(loss);
            all.brier.push(brier);
            for (sum, bin) in all.bins.iter_mut().zip(bins) {
                sum.probability += bin.probability;
                sum.positives += bin.positives;
                sum.entries += bin.entries;
            }
        }
        all
    }
}

#[cfg(test)]
mod tests;
