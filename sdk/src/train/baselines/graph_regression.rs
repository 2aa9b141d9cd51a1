//! The logistic regression that learns from a knowledge graph, on pairs of an example and a code: weights belong to paths between
//! them and to no code.

use super::logistic::Offsets;
use super::numbers::conjugate_gradients;
use super::paths::{LENGTHS, Paths};
use super::{Features, odds};
use crate::data::Ragged;
use crate::train::derive_seed;
use rayon::prelude::*;

/// Training examples that weights are learnt from at most, and how many of them are looked at side by side.
const EXAMPLES: usize = 5000;
const CHUNK: usize = 128;
/// Bytes that their pairs with a path take at most, about; where there are more, some of the negative ones stand for all.
const BYTES: usize = 200 << 20;
/// Examples whose logits are computed side by side, before they are put behind one another.
const ROWS: usize = 1024;
/// Strength of the ridge.
const RIDGE: f64 = 1.0;
/// Maximum number of steps of Newton's method, and the expected gain, relative to the loss, below which they end.
const STEPS: usize = 50;
const TOLERANCE: f64 = 1e-12;
/// Maximum number of halvings of a step (backtracking).
const HALVINGS: i32 = 10;
/// Weights that come before those of paths: two for pairs with a shortest path of each length, and two for those with none.
const COMMON: usize = 2 * (LENGTHS + 1);

/// What a regression with knowledge begins with, for the examples of each split.
#[derive(Debug, Default)]
pub(super) struct Starts {
    pub train: Offsets,
    pub valid: Offsets,
    pub test: Offsets,
}

impl Starts {
    /// The logits of the regression on pairs, fitted on at most [`EXAMPLES`] training examples.
    ///
    /// # Shapes
    /// - `targets`: the positive columns of each training example, below `columns`
    pub fn new(view: &Features, paths: &Paths, columns: usize, targets: &Ragged<u32>) -> Self {
        let regression = GraphRegression { paths, view, odds: odds(columns, targets) };
        // The pairs are gone before there are logits.
        let weights = fit(&regression.chunks(targets, BYTES), COMMON + paths.weights(view.ages));
        let of = |rows: &Ragged<u32>| regression.offsets(rows, &weights);
        Self { train: of(&view.train), valid: of(&view.valid), test: of(&view.test) }
    }
}

/// logit_pc = o_c + v_l + u_l o_c + Σ_k w_k ln (1 + n_pck), with o_c the log-odds of column c in training, l the length of
/// the shortest path from example p to c, and n_pck the number of paths of kind and age k.
struct GraphRegression<'a> {
    paths: &'a Paths,
    view: &'a Features,
    odds: Vec<f32>,
}

impl GraphRegression<'_> {
    /// The terms of v and u.
    fn common(&self, column: usize, length: usize) -> [(u32, f32); 2] {
        [(2 * length as u32, 1.0), (2 * length as u32 + 1, self.odds[column])]
    }

    /// Calls `see` with each column that a path leads to, and its terms: weights, ascending, and what each is multiplied by.
    fn each(&self, row: &[u32], mut see: impl FnMut(usize, &[(u32, f32)])) {
        let ages = self.view.ages;
        let mut terms: Vec<(u32, f32)> = Vec::new();
        for paths in self.paths.of(self.view.had(row), ages).chunk_by(|a, b| a.0 == b.0) {
            let (column, weight, _) = paths[0];
            terms.clear();
            terms.extend(self.common(column as usize, self.paths.length(weight, ages)));
            terms.extend(paths.iter().map(|&(_, weight, number)| (COMMON as u32 + weight, number)));
            see(column as usize, &terms);
        }
    }

    /// Training examples with all columns, those with a path in about so many bytes.
    fn chunks(&self, targets: &Ragged<u32>, bytes: usize) -> Vec<Pairs> {
        let order = crate::train::shuffled(self.view.train.len(), 0);
        let examples = &order[..order.len().min(EXAMPLES)];
        let all: usize = examples.par_iter().map(|&i| self.bytes(i)).sum();
        let every = all.div_ceil(bytes).max(1) as u64;
        examples.par_chunks(CHUNK).map(|examples| self.pairs(examples, targets, every)).collect()
    }

    /// Bytes of the pairs of a training example and the columns that a path leads to.
    fn bytes(&self, example: usize) -> usize {
        let mut bytes = 0;
        self.each(self.view.train.row(example), |_, terms| bytes += Pairs::bytes(terms));
        bytes
    }

    /// Training examples with all columns. Of negative pairs with a path one of `every` so many is there, drawn at random, and
    /// counts for these, so that the expected loss is that of all.
    fn pairs(&self, examples: &[usize], targets: &Ragged<u32>, every: u64) -> Pairs {
        let mut pairs = Pairs::default();
        let mut others = vec![[examples.len() as f64, 0.0]; self.odds.len()];
        for &i in examples {
            let positive = targets.row(i);
            positive.iter().for_each(|&column| others[column as usize][1] += 1.0);
            self.each(self.view.train.row(i), |column, terms| {
                let is_positive = positive.contains(&(column as u32));
                let label = f64::from(u8::from(is_positive));
                others[column][0] -= 1.0;
                others[column][1] -= label;
                if is_positive {
                    pairs.push(self.odds[column], terms, [1.0, label]);
                } else if derive_seed(0, &[i as u64, column as u64]).is_multiple_of(every) {
                    pairs.push(self.odds[column], terms, [every as f64, label]);
                }
            });
        }
        for (column, others) in others.into_iter().enumerate() {
            pairs.push(self.odds[column], &self.common(column, LENGTHS), others);
        }
        pairs
    }

    /// The logits of examples: those without a path, and what paths change.
    fn offsets(&self, rows: &Ragged<u32>, weights: &[f64]) -> Offsets {
        let sum =
            |terms: &[(u32, f32)]| -> f64 { terms.iter().map(|&(k, x)| weights[k as usize] * f64::from(x)).sum() };
        let others: Vec<f64> = (0..self.odds.len()).map(|column| sum(&self.common(column, LENGTHS))).collect();
        let changed = |i: usize| {
            let mut row: Vec<(u32, f32)> = Vec::new();
            self.each(rows.row(i), |column, terms| row.push((column as u32, (sum(terms) - others[column]) as f32)));
            row
        };
        let mut all = Ragged::new();
        for first in (0..rows.len()).step_by(ROWS) {
            let block = first..rows.len().min(first + ROWS);
            let block: Vec<Vec<(u32, f32)>> = block.into_par_iter().map(changed).collect();
            block.into_iter().for_each(|row| all.push(row));
        }
        let columns = self.odds.iter().zip(&others).map(|(odds, other)| odds + *other as f32).collect();
        Offsets { columns, rows: all }
    }
}

/// Pairs of examples and columns. Such as are alike are counted.
#[derive(Debug, Default)]
struct Pairs {
    /// Weights, ascending, and what each is multiplied by.
    terms: Ragged<(u32, f32)>,
    /// The logit of each without weights, how many there are, and how many are positive.
    seen: Vec<[f64; 3]>,
}

impl Pairs {
    fn push(&mut self, offset: f32, terms: &[(u32, f32)], [number, positive]: [f64; 2]) {
        self.terms.push(terms.iter().copied());
        self.seen.push([f64::from(offset), number, positive]);
    }

    /// What one takes.
    fn bytes(terms: &[(u32, f32)]) -> usize {
        size_of_val(terms) + size_of::<usize>() + size_of::<[f64; 3]>()
    }

    /// Terms and logit of each, how many there are, and how many are positive.
    fn each<'a>(&'a self, weights: &'a [f64]) -> impl Iterator<Item = (&'a [(u32, f32)], [f64; 3])> {
        self.terms.rows().zip(&self.seen).map(move |(terms, &[offset, number, positive])| {
            let z = offset + terms.iter().map(|&(k, x)| weights[k as usize] * f64::from(x)).sum::<f64>();
            (terms, [z, number, positive])
        })
    }

    /// Their log loss.
    fn loss(&self, weights: &[f64]) -> f64 {
        let each = self.each(weights);
        each.map(|(_, [z, number, positive])| number * (z.max(0.0) + (-z.abs()).exp().ln_1p()) - positive * z).sum()
    }

    /// The derivatives of their log loss.
    fn derivatives(&self, weights: &[f64]) -> Derivatives {
        let size = weights.len();
        let mut derivatives = Derivatives { gradient: vec![0.0; size], hessian: vec![0.0; size * size] };
        for (terms, [z, number, positive]) in self.each(weights) {
            let p = 1.0 / (1.0 + (-z).exp());
            let (first, second) = (number * p - positive, number * p * (1.0 - p));
            for (at, &(k, x)) in terms.iter().enumerate() {
                let (k, x) = (k as usize, f64::from(x));
                derivatives.gradient[k] += first * x;
                let row = &mut derivatives.hessian[k * size..][..=k];
                terms[..=at].iter().for_each(|&(j, y)| row[j as usize] += second * x * f64::from(y));
            }
        }
        derivatives
    }
}

/// The log loss of pairs, and λ |w|² / 2.
fn loss(chunks: &[Pairs], weights: &[f64]) -> f64 {
    let each: Vec<f64> = chunks.par_iter().map(|pairs| pairs.loss(weights)).collect();
    each.iter().sum::<f64>() + RIDGE / 2.0 * weights.iter().map(|w| w * w).sum::<f64>()
}

/// The derivatives of a loss at some weights.
struct Derivatives {
    gradient: Vec<f64>,
    /// `[weights, weights]`, row-major; the lower half counts.
    hessian: Vec<f64>,
}

impl Derivatives {
    /// Those of [`loss`].
    fn of(chunks: &[Pairs], weights: &[f64]) -> Self {
        let size = weights.len();
        let each: Vec<Self> = chunks.par_iter().map(|pairs| pairs.derivatives(weights)).collect();
        let gradient = weights.iter().map(|w| RIDGE * w).collect();
        let mut all = Self { gradient, hessian: vec![0.0; size * size] };
        (0..size).for_each(|k| all.hessian[k * size + k] = RIDGE);
        let add = |sum: &mut [f64], part: &[f64]| sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        for derivatives in &each {
            add(&mut all.gradient, &derivatives.gradient);
            add(&mut all.hessian, &derivatives.hessian);
        }
        all
    }

    /// The product of the Hessian with `v`.
    fn product(&self, v: &[f64]) -> Vec<f64> {
        let mut product = vec![0.0; v.len()];
        for (k, row) in self.hessian.chunks(v.len()).enumerate() {
            product[k] += row[k] * v[k];
            for (j, h) in row[..k].iter().enumerate() {
                product[k] += h * v[j];
                product[j] += h * v[k];
            }
        }
        product
    }
}

/// The weights with the smallest loss, by Newton's method.
fn fit(chunks: &[Pairs], size: usize) -> Vec<f64> {
    let mut weights = vec![0.0; size];
    let mut value = loss(chunks, &weights);
    for _ in 0..STEPS {
        let derivatives = Derivatives::of(chunks, &weights);
        let step = conjugate_gradients(derivatives.gradient.iter().map(|g| -g).collect(), |v| derivatives.product(v));
        let gain = -0.5 * step.iter().zip(&derivatives.gradient).map(|(s, g)| s * g).sum::<f64>();
        if gain <= TOLERANCE * value {
            break;
        }
        let shortened = (0..HALVINGS).map(|halving| 0.5f64.powi(halving)).find_map(|part| {
            let moved: Vec<f64> = weights.iter().zip(&step).map(|(w, s)| w + part * s).collect();
            let there = loss(chunks, &moved);
            (there < value).then_some((moved, there))
        });
        let Some(shortened) = shortened else { break };
        (weights, value) = shortened;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::super::tests::{context, progressions};
    use super::super::{features, known_paths};
    use super::*;
    use crate::component::HeadSpec;

    /// Terms of three weights.
    const TERMS: [[f32; 3]; 6] =
        [[1.0, -2.0, 0.0], [1.0, 0.0, 1.0], [1.0, -0.5, 0.0], [0.0, 1.5, 1.0], [0.0, 0.0, 2.5], [1.0, -1.0, 0.75]];
    const NUMBERS: [f64; 6] = [40.0, 1.0, 25.0, 1.0, 1.0, 12.0];
    const POSITIVE: [f64; 6] = [3.0, 1.0, 9.0, 0.0, 1.0, 5.0];

    /// The pairs in two chunks.
    fn chunks(offsets: [f32; 6]) -> [Pairs; 2] {
        let mut chunks = [Pairs::default(), Pairs::default()];
        let seen = NUMBERS.into_iter().zip(POSITIVE);
        for (i, ((terms, offset), (number, positive))) in TERMS.into_iter().zip(offsets).zip(seen).enumerate() {
            let terms: Vec<(u32, f32)> = (0..).zip(terms).filter(|(_, x)| *x != 0.0).collect();
            chunks[i / 4].push(offset, &terms, [number, positive]);
        }
        chunks
    }

    /// scikit-learn 1.9.1, and, as it knows no offsets o, scipy.optimize.minimize of the formula:
    ///
    /// ```python
    /// X = np.array([[1, -2, 0], [1, 0, 1], [1, -0.5, 0], [0, 1.5, 1], [0, 0, 2.5], [1, -1, 0.75]])
    /// n = np.array([40, 1, 25, 1, 1, 12]); y = np.array([3, 1, 9, 0, 1, 5])
    /// m = LogisticRegression(C=1, fit_intercept=False, tol=1e-12, max_iter=10000)
    /// m.fit(np.vstack([X, X]), [1] * 6 + [0] * 6, sample_weight=np.concatenate([y, n - y])).coef_
    /// o = np.array([-3, 0.5, -1, 2, -0.25, -2])
    /// f = lambda w: n @ np.logaddexp(0, o + X @ w) - y @ (o + X @ w) + w @ w / 2
    /// minimize(f, np.zeros(3), tol=1e-12)
    /// ```
    #[test]
    fn weights_are_those_of_scikit_learn() {
        for (offsets, expected) in [
            ([0.0; 6], [-0.143_559_52, 0.945_956_69, 0.600_768_79]),
            ([-3.0, 0.5, -1.0, 2.0, -0.25, -2.0], [0.294_445_25, -0.285_988_04, 0.748_572_24]),
        ] {
            let found = fit(&chunks(offsets), 3);
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5, "{found} and {expected}");
            }
        }
        let (chunks, best) = (chunks([-3.0, 0.5, -1.0, 2.0, -0.25, -2.0]), [0.294_445_25, -0.285_988_04, 0.748_572_24]);
        assert!((loss(&chunks, &best) - 38.896_821_521_775_856).abs() < 1e-9);
    }

    #[test]
    fn derivatives_are_those_of_finite_differences() {
        let (chunks, at, by) = (chunks([-3.0, 0.5, -1.0, 2.0, -0.25, -2.0]), [0.3, -0.7, 1.1], 1e-5);
        let derivatives = Derivatives::of(&chunks, &at);
        for k in 0..3 {
            let moved = |by: f64| {
                let mut moved = at;
                moved[k] += by;
                moved
            };
            let (below, above) = (moved(-by), moved(by));
            assert!(
                ((loss(&chunks, &above) - loss(&chunks, &below)) / (2.0 * by) - derivatives.gradient[k]).abs() < 1e-6
            );
            let (below, above) = (Derivatives::of(&chunks, &below), Derivatives::of(&chunks, &above));
            let unit: Vec<f64> = (0..3).map(|j| if j == k { 1.0 } else { 0.0 }).collect();
            for (j, product) in derivatives.product(&unit).into_iter().enumerate() {
                assert!(((above.gradient[j] - below.gradient[j]) / (2.0 * by) - product).abs() < 1e-6);
            }
        }
    }

    /// A negative pair is there with probability 1 / k and counts k times: the standard deviation of the number of n pairs is
    /// √(n (k − 1)).
    #[test]
    fn a_sample_of_the_negative_pairs_stands_for_all() {
        let (data, train) = progressions();
        let heads = [HeadSpec::new("codes", 13)];
        let context = context(&data, &heads, &train, &train, false);
        let (view, targets) = (features(&context, 1, false), &train.targets[0]);
        let paths = known_paths(&context, &[context.objective.asks(&data, 0)]).unwrap().remove(0);
        let regression = GraphRegression { paths: &paths, view: &view, odds: odds(13, targets) };
        let (all, of_all) =
            (regression.chunks(targets, usize::MAX), (0..train.len()).map(|i| regression.bytes(i)).sum::<usize>());
        let some = regression.chunks(targets, of_all.div_ceil(4));
        let sum =
            |chunks: &[Pairs], which: usize| chunks.iter().flat_map(|c| &c.seen).map(|seen| seen[which]).sum::<f64>();
        let pairs = |chunks: &[Pairs]| chunks.iter().map(|c| c.seen.len() - 13).sum::<usize>();
        assert_eq!((sum(&all, 1), sum(&all, 2)), (13.0 * train.len() as f64, targets.values().len() as f64));
        assert_eq!(sum(&some, 2), sum(&all, 2), "all positive ones");
        let deviation = (3.0 * pairs(&all) as f64).sqrt();
        assert!((sum(&some, 1) - sum(&all, 1)).abs() < 5.0 * deviation, "{} of {}", sum(&some, 1), sum(&all, 1));
        assert!(2 * pairs(&some) < pairs(&all), "{} of {}", pairs(&some), pairs(&all));
    }

    #[test]
    fn without_examples_nothing_is_learnt() {
        assert_eq!(fit(&[], 2), [0.0; 2]);
    }
}
