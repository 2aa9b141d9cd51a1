//! Logistic regression, a column at a time, on features that are there or not.

use crate::data::Ragged;
use rayon::prelude::*;

/// Columns that are fitted side by side: as many as the processor multiplies at a time, a few times over.
const BLOCK: usize = 32;
/// Most passes over the training examples.
const EPOCHS: usize = 20;
/// Passes without a lower loss on valid after which it stops.
const PATIENCE: usize = 3;
/// Learning rate of AdaGrad (Duchi et al., JMLR 2011), and what its sums of squares start from.
const RATE: f32 = 0.3;
const START: f32 = 0.1;

/// A weight for each feature and column, and a bias for each column: logit_c = b_c + Σ_f W_fc over the features that are
/// there. Fitted by AdaGrad, an example a step, from zero weights and the log-odds of each column; the pass with the lowest
/// log loss on valid is kept. Columns do not depend on one another, nor on the number of threads.
#[derive(Debug, Clone)]
pub struct LogisticRegression {
    columns: usize,
    blocks: Vec<Block>,
}

/// [`BLOCK`] columns.
#[derive(Debug, Clone)]
struct Block {
    first: usize,
    /// `[features + 1, BLOCK]`; the last row is the bias.
    weights: Vec<f32>,
    squares: Vec<f32>,
}

/// Features and positive columns of examples.
type Labelled<'a> = (&'a Ragged<u32>, &'a Ragged<u32>);

impl LogisticRegression {
    /// Fits all columns.
    ///
    /// # Shapes
    /// - `train`, `valid`: for each example its features below `features`, and its positive columns below `columns`
    pub fn fit(features: usize, columns: usize, train: Labelled<'_>, valid: Labelled<'_>) -> Self {
        let (examples, mut counts) = (train.0.len(), vec![0f32; columns]);
        train.1.values().iter().for_each(|&c| counts[c as usize] += 1.0);
        let block = |first: usize| {
            let mut weights = vec![0f32; (features + 1) * BLOCK];
            let biases = &mut weights[features * BLOCK..];
            for (bias, &count) in biases.iter_mut().zip(&counts[first..]) {
                *bias = super::log_odds(count, examples);
            }
            Block { first, weights, squares: vec![START; (features + 1) * BLOCK] }
        };
        let mut model = Self { columns, blocks: (0..columns).step_by(BLOCK).map(block).collect() };
        let mut best = (f64::INFINITY, model.clone());
        let mut since = 0;
        for epoch in 0..EPOCHS {
            let order = crate::train::shuffled(examples, epoch as u64);
            model.blocks.par_iter_mut().for_each(|block| block.epoch(&order, train));
            let loss = model.loss(valid);
            if loss < best.0 || valid.0.is_empty() {
                (best, since) = ((loss, model.clone()), 0);
            } else {
                since += 1;
            }
            if since == PATIENCE {
                break;
            }
        }
        best.1
    }

    /// Logits, row-major.
    ///
    /// # Shapes
    /// - output: `[examples, columns]`
    pub fn logits(&self, features: &Ragged<u32>) -> Vec<f32> {
        let rows = (0..features.len()).into_par_iter().map(|i| {
            let mut row = vec![0f32; self.columns];
            for block in &self.blocks {
                let logits = block.logits(features.row(i));
                let end = self.columns.min(block.first + BLOCK);
                row[block.first..end].copy_from_slice(&logits[..end - block.first]);
            }
            row
        });
        rows.collect::<Vec<_>>().concat()
    }

    /// Mean log loss over all entries; infinite without examples.
    pub(super) fn loss(&self, (features, targets): Labelled<'_>) -> f64 {
        let example = |i: usize| {
            let mut loss = 0.0;
            for block in &self.blocks {
                let width = BLOCK.min(self.columns - block.first);
                let logits = block.logits(features.row(i));
                loss += logits[..width].iter().map(|&z| f64::from(z.max(0.0) + (-z.abs()).exp().ln_1p())).sum::<f64>();
                let here =
                    targets.row(i).iter().filter(|&&c| (block.first..block.first + width).contains(&(c as usize)));
                loss -= here.map(|&c| f64::from(logits[c as usize - block.first])).sum::<f64>();
            }
            loss
        };
        let each: Vec<f64> = (0..features.len()).into_par_iter().map(example).collect();
        if each.is_empty() { f64::INFINITY } else { each.iter().sum::<f64>() / (each.len() * self.columns) as f64 }
    }
}

impl Block {
    fn logits(&self, features: &[u32]) -> [f32; BLOCK] {
        let mut logits = [0f32; BLOCK];
        let bias = self.weights.len() / BLOCK - 1;
        for feature in features.iter().map(|&f| f as usize).chain([bias]) {
            let row = &self.weights[feature * BLOCK..][..BLOCK];
            logits.iter_mut().zip(row).for_each(|(z, w)| *z += w);
        }
        logits
    }

    fn epoch(&mut self, order: &[usize], (features, targets): Labelled<'_>) {
        let bias = self.weights.len() / BLOCK - 1;
        for &i in order {
            let mut gradient = self.logits(features.row(i)).map(|z| 1.0 / (1.0 + (-z).exp()));
            let here = targets.row(i).iter().filter_map(|&c| (c as usize).checked_sub(self.first));
            here.filter(|&c| c < BLOCK).for_each(|c| gradient[c] -= 1.0);
            for feature in features.row(i).iter().map(|&f| f as usize).chain([bias]) {
                let at = feature * BLOCK..(feature + 1) * BLOCK;
                let (weights, squares) = (&mut self.weights[at.clone()], &mut self.squares[at]);
                for ((w, s), g) in weights.iter_mut().zip(squares).zip(&gradient) {
                    *s += g * g;
                    *w -= RATE * g / s.sqrt();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two features of twelve that say a column each, the others noise.
    fn made_up(examples: usize, from: u64) -> (Ragged<u32>, Ragged<u32>) {
        let (mut features, mut targets) = (Ragged::new(), Ragged::new());
        for i in 0..examples as u64 {
            let draw = |what: u64| crate::train::derive_seed(from, &[i, what]) as f64 / u64::MAX as f64;
            let row: Vec<u32> = (0..12).filter(|&f| draw(u64::from(f)) < 0.3).collect();
            let logit = |c: u32| -2.0 + 3.0 * f64::from(u8::from(row.contains(&c)));
            let positive = (0..2).filter(|&c| draw(100 + u64::from(c)) < 1.0 / (1.0 + (-logit(c)).exp()));
            targets.push(positive.collect::<Vec<_>>());
            features.push(row);
        }
        (features, targets)
    }

    #[test]
    fn weights_are_those_that_made_the_data() {
        let (train, valid) = (made_up(6000, 1), made_up(1000, 2));
        let model = LogisticRegression::fit(12, 2, (&train.0, &train.1), (&valid.0, &valid.1));
        let weight = |feature: usize, column: usize| model.blocks[0].weights[feature * BLOCK + column];
        for column in 0..2 {
            assert!((weight(column, column) - 3.0).abs() < 0.35, "{}", weight(column, column));
            assert!((weight(12, column) + 2.0).abs() < 0.35, "{}", weight(12, column));
            let other = (2..12).map(|f| weight(f, column).abs()).fold(0.0, f32::max);
            assert!(other < 0.4, "{other}");
        }
        // The entropy of the labels given the features, which no model can beat on new patients but by chance.
        let entropy = |p: f64| -p * p.ln() - (1.0 - p) * (1.0 - p).ln();
        let least = 0.3 * entropy(1.0 / (1.0 + (-1f64).exp())) + 0.7 * entropy(1.0 / (1.0 + 2f64.exp()));
        let loss = model.loss((&valid.0, &valid.1));
        assert!((loss / least - 1.0).abs() < 0.06, "log loss {loss}, the labels have {least}");
    }
}
