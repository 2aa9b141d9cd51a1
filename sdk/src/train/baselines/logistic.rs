//! Logistic regression, a column at a time, on binary features.

use crate::data::Ragged;
use rayon::prelude::*;

/// Columns that are fitted side by side: as many as the processor multiplies at a time, a few times over.
const BLOCK: usize = 32;
/// Maximum number of passes over the training examples.
const EPOCHS: usize = 20;
/// Passes without a lower loss on valid after which training stops early.
const PATIENCE: usize = 3;
/// Learning rate of AdaGrad (Duchi et al., JMLR 2011), and the initial sum of squared gradients.
const RATE: f32 = 0.3;
const START: f32 = 0.1;
/// Strengths of the ridge (L2 penalty), one after the other; the one that is best on valid is taken.
pub(super) const STRENGTHS: [f32; 3] = [1.0, 10.0, 100.0];
/// Those that come after them, as long as the last one is better than all before.
pub(super) const BEYOND: [f32; 2] = [1000.0, 10_000.0];
/// Passes with a strength, from the weights of the one before, and the fraction of the sums of squared gradients that is kept,
/// so that steps are long enough to reach the new weights.
const PASSES: usize = 2;
const KEPT: f32 = 0.1;

/// A weight for each feature and column, and a bias for each column: logit_c = b_c + Σ_f W_fc over the features that are
/// there. Fitted by AdaGrad, an example a step, from zero weights and the log-odds of each column; the pass with the lowest
/// log loss on valid is kept. [`strengthen`](Self::strengthen) goes on from there with a ridge. Columns do not depend on one
/// another, nor on the number of threads. Where there are [`Offsets`], logits begin with them, and biases with 0.
#[derive(Debug, Clone)]
pub struct LogisticRegression {
    features: usize,
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

/// Logits that those of a regression's weights are added to. By default there are none.
#[derive(Debug, Clone, Default)]
pub struct Offsets {
    /// Logits of each column, whatever the example.
    pub columns: Vec<f32>,
    /// Further logits of each example: columns, ascending, and what is added to them.
    pub rows: Ragged<(u32, f32)>,
}

impl Offsets {
    fn are_none(&self) -> bool {
        self.columns.is_empty()
    }

    /// Logits of an example for the columns from `first` on.
    fn of(&self, example: usize, first: usize) -> [f32; BLOCK] {
        let mut logits = [0f32; BLOCK];
        if self.are_none() {
            return logits;
        }
        logits.iter_mut().zip(&self.columns[first..]).for_each(|(z, offset)| *z = *offset);
        let row = self.rows.row(example);
        let row = &row[row.partition_point(|(column, _)| (*column as usize) < first)..];
        for &(column, offset) in row.iter().take_while(|(column, _)| (*column as usize) < first + BLOCK) {
            logits[column as usize - first] += offset;
        }
        logits
    }
}

/// Features, positive columns, and offsets of examples.
type Labelled<'a> = (&'a Ragged<u32>, &'a Ragged<u32>, &'a Offsets);

impl LogisticRegression {
    /// Fits all columns, without a ridge.
    ///
    /// # Shapes
    /// - `train`, `valid`: for each example its features below `features`, its positive columns below `columns`, and offsets
    pub fn fit(features: usize, columns: usize, train: Labelled<'_>, valid: Labelled<'_>) -> Self {
        let examples = train.0.len();
        let none = vec![0f32; features + 1];
        let mut model = Self::start(features, columns, train);
        let mut best = (f64::INFINITY, model.clone());
        let mut since = 0;
        for epoch in 0..EPOCHS {
            let order = crate::train::shuffled(examples, epoch as u64);
            model.blocks.par_iter_mut().for_each(|block| block.epoch(&order, train, &none));
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

    /// What there is before the first pass.
    ///
    /// # Shapes
    /// - `train`: as in [`fit`](Self::fit)
    pub(super) fn start(features: usize, columns: usize, (_, targets, offsets): Labelled<'_>) -> Self {
        let odds = if offsets.are_none() { super::odds(columns, targets) } else { vec![0.0; columns] };
        let block = |first: usize| {
            let mut weights = vec![0f32; (features + 1) * BLOCK];
            weights[features * BLOCK..].iter_mut().zip(&odds[first..]).for_each(|(bias, odds)| *bias = *odds);
            Block { first, weights, squares: vec![START; (features + 1) * BLOCK] }
        };
        Self { features, columns, blocks: (0..columns).step_by(BLOCK).map(block).collect() }
    }

    /// Goes on from the weights there are towards those with the smallest log loss, summed over examples, plus λ |W|² / 2 with λ
    /// the `strength`; biases are free, and where there are offsets they count among W. Each example that has a feature
    /// shrinks its weights by its share of λ, after a gradient step and whatever their length (a proximal step: Duchi and
    /// Singer, JMLR 2009).
    ///
    /// # Shapes
    /// - `train`: as in [`fit`](Self::fit)
    pub fn strengthen(&mut self, strength: f32, train: Labelled<'_>) {
        let mut counts = vec![0f32; self.features];
        train.0.values().iter().for_each(|&f| counts[f as usize] += 1.0);
        let examples = if train.2.are_none() { f32::INFINITY } else { train.0.len() as f32 };
        let shares: Vec<f32> = counts.into_iter().chain([examples]).map(|n| strength / n.max(1.0)).collect();
        self.blocks.iter_mut().flat_map(|block| &mut block.squares).for_each(|square| *square *= KEPT);
        for pass in EPOCHS..EPOCHS + PASSES {
            let order = crate::train::shuffled(train.0.len(), pass as u64);
            self.blocks.par_iter_mut().for_each(|block| block.epoch(&order, train, &shares));
        }
    }

    /// Logits, row-major.
    ///
    /// # Shapes
    /// - `offsets`: of the same examples
    /// - output: `[examples, columns]`
    pub fn logits(&self, features: &Ragged<u32>, offsets: &Offsets) -> Vec<f32> {
        let rows = (0..features.len()).into_par_iter().map(|i| {
            let mut row = vec![0f32; self.columns];
            for block in &self.blocks {
                let logits = block.logits(features.row(i), offsets.of(i, block.first));
                let end = self.columns.min(block.first + BLOCK);
                row[block.first..end].copy_from_slice(&logits[..end - block.first]);
            }
            row
        });
        rows.collect::<Vec<_>>().concat()
    }

    /// Mean log loss over all entries; infinite without examples.
    fn loss(&self, (features, targets, offsets): Labelled<'_>) -> f64 {
        let example = |i: usize| {
            let mut loss = 0.0;
            for block in &self.blocks {
                let width = BLOCK.min(self.columns - block.first);
                let logits = block.logits(features.row(i), offsets.of(i, block.first));
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
    fn logits(&self, features: &[u32], offsets: [f32; BLOCK]) -> [f32; BLOCK] {
        let mut logits = offsets;
        let bias = self.weights.len() / BLOCK - 1;
        for feature in features.iter().map(|&f| f as usize).chain([bias]) {
            let row = &self.weights[feature * BLOCK..][..BLOCK];
            logits.iter_mut().zip(row).for_each(|(z, w)| *z += w);
        }
        logits
    }

    /// One pass over the examples; `shares` has the part of the ridge that each example with a feature brings.
    fn epoch(&mut self, order: &[usize], (features, targets, offsets): Labelled<'_>, shares: &[f32]) {
        let bias = self.weights.len() / BLOCK - 1;
        for &i in order {
            let logits = self.logits(features.row(i), offsets.of(i, self.first));
            let mut gradient = logits.map(|z| 1.0 / (1.0 + (-z).exp()));
            let here = targets.row(i).iter().filter_map(|&c| (c as usize).checked_sub(self.first));
            here.filter(|&c| c < BLOCK).for_each(|c| gradient[c] -= 1.0);
            for feature in features.row(i).iter().map(|&f| f as usize).chain([bias]) {
                let at = feature * BLOCK..(feature + 1) * BLOCK;
                let (weights, squares) = (&mut self.weights[at.clone()], &mut self.squares[at]);
                for ((w, s), g) in weights.iter_mut().zip(squares.iter_mut()).zip(&gradient) {
                    *s += g * g;
                    *w -= RATE * g / s.sqrt();
                }
                if shares[feature] > 0.0 {
                    weights.iter_mut().zip(squares).for_each(|(w, s)| *w /= 1.0 + RATE * shares[feature] / s.sqrt());
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

    /// Examples that Python makes as well:
    ///
    /// ```python
    /// def lcg(n, seed):
    ///     x, out = seed, []
    ///     for _ in range(n):
    ///         x = (x * 6364136223846793005 + 1442695040888963407) % (1 << 64)
    ///         out.append((x >> 33) / (1 << 31))
    ///     return np.array(out)
    /// u = lcg(14 * 3000, 1).reshape(3000, 14)
    /// X = (u[:, :12] < 0.3).astype(int); X[:, 11] = u[:, 11] < 0.01
    /// Y = np.stack([u[:, 12 + c] < 1 / (1 + np.exp(2 - 3 * X[:, c] - 2 * X[:, 11])) for c in range(2)], 1).astype(int)
    /// ```
    fn made_up_in_python() -> (Ragged<u32>, Ragged<u32>) {
        let (mut features, mut targets, mut x) = (Ragged::new(), Ragged::new(), 1u64);
        for _ in 0..3000 {
            let mut draw = || {
                x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (x >> 33) as f64 / (1u64 << 31) as f64
            };
            let row: Vec<u32> = (0..12).filter(|&f| draw() < if f == 11 { 0.01 } else { 0.3 }).collect();
            let has = |feature: u32| f64::from(u8::from(row.contains(&feature)));
            let chance = |c: u32| 1.0 / (1.0 + (2.0 - 3.0 * has(c) - 2.0 * has(11)).exp());
            targets.push((0..2).filter(|&c| draw() < chance(c)).collect::<Vec<u32>>());
            features.push(row);
        }
        (features, targets)
    }

    /// LogisticRegression(C=1 / λ, tol=1e-10, max_iter=10000).fit(X, Y[:, c]) of scikit-learn 1.9.1: the weight of the column's own
    /// feature, that of the rare one, and the bias. Two passes of single steps end near them, and far from one another.
    #[test]
    fn a_ridge_leads_to_the_weights_of_scikit_learn() {
        let (features, targets) = made_up_in_python();
        let none = Offsets::default();
        let train = (&features, &targets, &none);
        let mut model = LogisticRegression::fit(12, 2, train, train);
        for (strength, expected) in [
            (1.0, [[3.01537, 1.806734, -1.950203], [2.909931, 1.694241, -1.999022]]),
            (10.0, [[2.741713, 0.859395, -1.816614], [2.664338, 0.79006, -1.862155]]),
            (100.0, [[1.598128, 0.123504, -1.374937], [1.588485, 0.121923, -1.38304]]),
        ] {
            model.strengthen(strength, train);
            for (column, expected) in expected.iter().enumerate() {
                for (feature, expected) in [column, 11, 12].into_iter().zip(expected) {
                    let weight = model.blocks[0].weights[feature * BLOCK + column];
                    assert!((weight - expected).abs() < 0.25, "{strength}: {weight}, scikit-learn has {expected}");
                }
            }
        }
    }

    #[test]
    fn weights_are_those_that_made_the_data() {
        let (train, valid) = (made_up(6000, 1), made_up(1000, 2));
        let none = Offsets::default();
        let (train, valid) = ((&train.0, &train.1, &none), (&valid.0, &valid.1, &none));
        let model = LogisticRegression::fit(12, 2, train, valid);
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
        let loss = model.loss(valid);
        assert!((loss / least - 1.0).abs() < 0.06, "log loss {loss}, the labels have {least}");
    }

    /// Offsets say all that the two features of the columns tell, so that no weight has to learn it.
    #[test]
    fn weights_learn_what_offsets_leave_and_a_ridge_holds_biases_to_them() {
        let (features, targets) = made_up(6000, 1);
        let row = |row: &[u32]| row.iter().filter(|f| **f < 2).map(|&f| (f, 3.0)).collect::<Vec<_>>();
        let known = Offsets { columns: vec![-2.0; 2], rows: features.rows().map(row).collect() };
        // Of the second column they are 1 too high.
        let high = Offsets { columns: vec![-2.0, -1.0], ..known.clone() };
        let start = LogisticRegression::start(12, 2, (&features, &targets, &known));
        let own = |i: usize, c: u32| -> f32 { if features.row(i).contains(&c) { 1.0 } else { -2.0 } };
        for (i, logits) in start.logits(&features, &known).chunks(2).enumerate() {
            assert_eq!(logits, [own(i, 0), own(i, 1)]);
        }
        let train = (&features, &targets, &high);
        let mut model = LogisticRegression::fit(12, 2, train, train);
        let weights = |model: &LogisticRegression, column: usize| -> Vec<f32> {
            (0..13).map(|feature| model.blocks[0].weights[feature * BLOCK + column]).collect()
        };
        let (first, second) = (weights(&model, 0), weights(&model, 1));
        assert!(first.iter().all(|w| w.abs() < 0.45), "{first:?}");
        assert!(second[..12].iter().all(|w| w.abs() < 0.45) && (second[12] + 1.0).abs() < 0.45, "{second:?}");
        model.strengthen(1e6, train);
        assert!(weights(&model, 1).iter().all(|w| w.abs() < 0.01), "{:?}", weights(&model, 1));
    }

    #[test]
    fn offsets_of_later_columns_reach_their_block() {
        let columns = BLOCK + 3;
        let features: Ragged<u32> = [[], []].into_iter().collect();
        let rows = [vec![], vec![(1, 0.5), (BLOCK as u32 - 1, 0.25), (BLOCK as u32 + 2, 4.0)]].into_iter().collect();
        let offsets = Offsets { columns: (0..columns).map(|c| c as f32).collect(), rows };
        let model = LogisticRegression::start(0, columns, (&features, &features, &offsets));
        let mut expected: Vec<f32> = (0..columns).chain(0..columns).map(|c| c as f32).collect();
        for (column, offset) in [(1, 0.5), (BLOCK - 1, 0.25), (BLOCK + 2, 4.0)] {
            expected[columns + column] += offset;
        }
        assert_eq!(model.logits(&features, &offsets), expected);
    }
}
