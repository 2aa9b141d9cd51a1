//! Metrics that are counted block by block: what they keep does not grow with the examples times the columns.

use super::assess::assess_numbers;
use super::metrics::{Counts, average_precision, binary_f1_at_half, rank_key, roc_auc};
use crate::component::{Link, Meter, Predictions};
use rayon::prelude::*;

/// Weighted F1 and recall at each k of the first head, as [`f1_weighted`](super::metrics::f1_weighted) and
/// [`recall_at_k`](super::metrics::recall_at_k) have them for all examples at once.
#[derive(Debug, Clone)]
pub struct Ranking {
    ks: Vec<usize>,
    counts: Counts,
    /// Sum of the recalls at each k.
    recalls: Vec<f64>,
    /// Examples with a positive.
    rows: usize,
}

impl Ranking {
    /// Nothing counted so far.
    pub fn new(ks: &[usize]) -> Self {
        Self { ks: ks.to_vec(), counts: Counts::default(), recalls: vec![0.0; ks.len()], rows: 0 }
    }

    /// Counts a block.
    pub fn add(&mut self, p: &Predictions<'_>) {
        let deepest = self.ks.iter().copied().max().unwrap_or(0);
        // The highest columns of a row in their order: one selection serves every k and F1.
        let highest = |(i, row): (usize, &[f32])| {
            let mut keys: Vec<u64> = row.iter().enumerate().map(|(c, &s)| rank_key(s, c)).collect();
            let wanted = deepest.max(p.targets.row(i).len()).min(keys.len());
            if wanted < keys.len() {
                keys.select_nth_unstable(wanted);
                keys.truncate(wanted);
            }
            keys.sort_unstable();
            keys.into_iter().map(|key| key as u32).collect::<Vec<u32>>()
        };
        let highest: Vec<Vec<u32>> = p.logits.par_chunks_exact(p.columns.max(1)).enumerate().map(highest).collect();
        for (order, positives) in highest.iter().zip(p.targets.rows()) {
            self.counts.add(p.columns, &order[..positives.len()], positives);
            if positives.is_empty() {
                continue;
            }
            self.rows += 1;
            for (&k, sum) in self.ks.iter().zip(&mut self.recalls) {
                let hits = order[..k.min(order.len())].iter().filter(|c| positives.binary_search(c).is_ok()).count();
                *sum += hits as f64 / positives.len().min(k).max(1) as f64;
            }
        }
    }

    /// F1 of each column, weighted by how often it is positive.
    pub fn f1_weighted(&self) -> f64 {
        self.counts.f1_weighted()
    }

    /// Mean recall at each k, by name.
    pub fn recalls(&self) -> Vec<(String, f64)> {
        let named = self.ks.iter().zip(&self.recalls);
        named.map(|(k, sum)| (format!("R@{k}"), sum / self.rows.max(1) as f64)).collect()
    }
}

impl Meter for Ranking {
    fn update(&mut self, predictions: &[Predictions<'_>]) {
        if let Some(p) = predictions.first() {
            self.add(p);
        }
    }

    fn compute(&self) -> Vec<(String, f64)> {
        std::iter::once(("F1-w".to_owned(), self.f1_weighted())).chain(self.recalls()).collect()
    }
}

/// ROC-AUC, average precision and F1 at ½ of the first head's only column. One number an example is kept.
#[derive(Debug, Clone, Default)]
pub struct Binary {
    scores: Vec<f32>,
    truth: Vec<bool>,
}

impl Meter for Binary {
    fn update(&mut self, predictions: &[Predictions<'_>]) {
        if let Some(p) = predictions.first() {
            self.scores.extend(p.logits.iter().map(|x| 1.0 / (1.0 + (-x).exp())));
            self.truth.extend(p.targets.rows().map(|row| !row.is_empty()));
        }
    }

    fn compute(&self) -> Vec<(String, f64)> {
        vec![
            ("AUC".to_owned(), roc_auc(&self.scores, &self.truth)),
            ("AP".to_owned(), average_precision(&self.scores, &self.truth)),
            ("F1".to_owned(), binary_f1_at_half(&self.scores, &self.truth)),
        ]
    }
}

/// `MAE`, `RMSE` and `R2` of the first head, or `C-index` where its targets are times. Two numbers an example are kept.
#[derive(Debug, Clone)]
pub struct Numbers {
    link: Link,
    columns: usize,
    scores: Vec<f32>,
    truth: Vec<f32>,
}

impl Numbers {
    /// A meter that has seen nothing yet.
    pub fn new(link: Link) -> Self {
        Self { link, columns: 1, scores: Vec::new(), truth: Vec::new() }
    }
}

impl Meter for Numbers {
    fn update(&mut self, predictions: &[Predictions<'_>]) {
        if let Some(p) = predictions.first() {
            self.columns = p.columns;
            self.scores.extend(p.logits);
            self.truth.extend(p.numbers);
        }
    }

    fn compute(&self) -> Vec<(String, f64)> {
        assess_numbers(&self.scores, self.columns, &self.truth, self.link).overall
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Ragged;
    use crate::train::metrics::{f1_weighted, recall_at_k};

    /// Scores with ties, and rows with no positive, some, and all of them positive.
    fn example(rows: usize, columns: usize) -> (Vec<f32>, Ragged<u32>) {
        let hash = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 20;
        let scores = (0..rows * columns).map(|i| (hash(i) % 97) as f32 / 8.0 - 5.0).collect();
        let positive = |i: usize| (0..columns as u32).filter(move |&c| hash(i * 31 + c as usize) % 7 < (i % 8) as u32);
        (scores, (0..rows).map(positive).collect())
    }

    #[test]
    fn blocks_of_any_size_give_the_metrics_of_all_examples_at_once() {
        let (rows, columns, ks) = (37, 29, [1, 5, 10, 40]);
        let (scores, targets) = example(rows, columns);
        let expected: Vec<f64> = std::iter::once(f1_weighted(&scores, columns, &targets))
            .chain(ks.iter().map(|&k| recall_at_k(&scores, columns, &targets, k)))
            .collect();
        for block in [1, 4, 36, 37, 100] {
            let mut meter = Ranking::new(&ks);
            for (scores, first) in scores.chunks(block * columns).zip((0..).step_by(block)) {
                let targets = (first..rows.min(first + block)).map(|i| targets.row(i).iter().copied()).collect();
                meter.update(&[Predictions {
                    head: "codes",
                    logits: scores,
                    columns,
                    targets: &targets,
                    numbers: &[],
                }]);
            }
            let found: Vec<f64> = meter.compute().into_iter().map(|(_, value)| value).collect();
            assert_eq!(found, expected, "blocks of {block}");
        }
    }

    #[test]
    fn nothing_counted_is_what_no_examples_give() {
        let values: Vec<f64> = Ranking::new(&[10]).compute().into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, [f1_weighted(&[], 3, &Ragged::new()), recall_at_k(&[], 3, &Ragged::new(), 10)]);
    }
}
