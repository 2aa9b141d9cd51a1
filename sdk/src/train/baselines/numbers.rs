//! Baselines where targets are numbers: the mean, and a ridge regression; where they are times, a Cox regression.

use super::cox::Cox;
use super::{BaselineContext, Features, Scored, views};
use crate::component::Link;
use crate::data::Ragged;
use crate::train::Scale;

/// Strengths of the ridge; the one that is best on valid is taken.
pub(super) const RIDGES: [f64; 4] = [1.0, 10.0, 100.0, 1000.0];
/// Maximum number of steps of conjugate gradients, and the relative residual at which they end.
const STEPS: usize = 200;
const TOLERANCE: f64 = 1e-8;
/// Lower bound of means before their logarithm is taken.
const LEAST: f64 = 1e-3;

/// From a column of training and valid examples to the predictions for those of test.
type Fit<'a> = &'a dyn Fn(&[f32], &[f32]) -> Vec<f64>;

/// The mean of the training examples, and a ridge regression; for times to an event, whose order alone is asked for, a Cox
/// regression.
pub(super) fn baselines(context: &BaselineContext<'_>, link: Link) -> Vec<Scored> {
    let inverse = |mean: f64| match link {
        Link::LogMean => mean.max(LEAST).ln() as f32,
        Link::Mean | Link::LogHazard => mean as f32,
    };
    let (views, tests) = (views(context), context.test.len());
    let scored = |name: &str, of: Fit<'_>| {
        let each = context.heads.iter().enumerate().map(|(head, spec)| {
            let mut scores = vec![0f32; tests * spec.outputs];
            for c in 0..spec.outputs {
                let column =
                    |numbers: &[f32]| -> Vec<f32> { numbers.iter().skip(c).step_by(spec.outputs).copied().collect() };
                let found = of(&column(context.train.numbers_of(head)), &column(context.valid.numbers_of(head)));
                let places = scores.iter_mut().skip(c).step_by(spec.outputs);
                places.zip(found).for_each(|(score, found)| *score = inverse(found));
            }
            scores
        });
        Scored { name: name.to_owned(), heads: each.collect(), scale: Scale::Logits }
    };
    let wide = |numbers: &[f32]| -> Vec<f64> { numbers.iter().map(|&y| f64::from(y)).collect() };
    match link {
        Link::LogHazard => vec![scored("Cox regression", &|train, valid| Cox::on_test(&views, train, valid))],
        Link::Mean | Link::LogMean => vec![
            scored("mean", &|train, _| {
                let mean = wide(train).iter().sum::<f64>() / train.len().max(1) as f64;
                vec![mean; tests]
            }),
            scored("ridge regression", &|train, valid| Ridge::chosen(&views, &wide(train), &wide(valid))),
        ],
    }
}

/// ŷ = b + Σ_f w_f over the features that are there, with the smallest Σ (y − ŷ)² + λ |w|².
struct Ridge {
    weights: Vec<f64>,
    bias: f64,
}

impl Ridge {
    /// Predictions for test by the view and the one of [`RIDGES`] with the lowest error on valid; by the strongest without valid
    /// examples.
    fn chosen(views: &[Features], train: &[f64], valid: &[f64]) -> Vec<f64> {
        let error = |view: &Features, fitted: &Self| -> f64 {
            let each = view.valid.rows().zip(valid);
            each.map(|(row, y)| (fitted.of(row) - y).powi(2)).sum()
        };
        let settings = views.iter().flat_map(|view| RIDGES.iter().rev().map(move |&strength| (view, strength)));
        let fitted = settings.map(|(view, strength)| (view, Self::fit(&view.train, view.width, train, strength)));
        let scored = fitted.map(|(view, fitted)| (error(view, &fitted), view, fitted));
        let best = scored.reduce(|best, next| if next.0 < best.0 { next } else { best });
        best.map(|(_, view, fitted)| view.test.rows().map(|row| fitted.of(row)).collect()).unwrap_or_default()
    }

    /// By conjugate gradients on the normal equations of features and targets less their means.
    fn fit(rows: &Ragged<u32>, width: usize, targets: &[f64], strength: f64) -> Self {
        let examples = targets.len().max(1) as f64;
        let bias = targets.iter().sum::<f64>() / examples;
        let mut shares = vec![0.0; width];
        rows.values().iter().for_each(|&f| shares[f as usize] += 1.0 / examples);
        let forward = |w: &[f64]| -> Vec<f64> {
            let shift: f64 = w.iter().zip(&shares).map(|(w, share)| w * share).sum();
            rows.rows().map(|row| row.iter().map(|&f| w[f as usize]).sum::<f64>() - shift).collect()
        };
        let back = |y: &[f64]| -> Vec<f64> {
            let total: f64 = y.iter().sum();
            let mut out: Vec<f64> = shares.iter().map(|share| -share * total).collect();
            rows.rows().zip(y).for_each(|(row, y)| row.iter().for_each(|&f| out[f as usize] += y));
            out
        };
        let centred: Vec<f64> = targets.iter().map(|y| y - bias).collect();
        let weights = conjugate_gradients(back(&centred), |w| {
            let product = back(&forward(w));
            product.iter().zip(w).map(|(p, w)| p + strength * w).collect()
        });
        let shift: f64 = weights.iter().zip(&shares).map(|(w, share)| w * share).sum();
        Self { bias: bias - shift, weights }
    }

    fn of(&self, row: &[u32]) -> f64 {
        self.bias + row.iter().map(|&f| self.weights[f as usize]).sum::<f64>()
    }
}

/// Solves A x = b for a symmetric positive A (Hestenes and Stiefel 1952), from x = 0.
pub(super) fn conjugate_gradients(b: Vec<f64>, product: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut x = vec![0.0; b.len()];
    let (mut residual, mut direction) = (b.clone(), b);
    let mut square = dot(&residual, &residual);
    let end = square * TOLERANCE * TOLERANCE;
    for _ in 0..STEPS {
        if square <= end {
            break;
        }
        let image = product(&direction);
        let step = square / dot(&direction, &image);
        x.iter_mut().zip(&direction).for_each(|(x, d)| *x += step * d);
        residual.iter_mut().zip(&image).for_each(|(r, i)| *r -= step * i);
        let next = dot(&residual, &residual);
        direction.iter_mut().zip(&residual).for_each(|(d, r)| *d = r + next / square * *d);
        square = next;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    /// sklearn.linear_model.Ridge(alpha=1).fit on the rows below as zeros and ones.
    #[test]
    fn ridge_is_that_of_scikit_learn() {
        let rows: Ragged<u32> =
            [vec![0], vec![0, 1], vec![1, 2], vec![2], vec![0, 2], vec![1], vec![]].into_iter().collect();
        let targets = [1.0, 4.0, 2.5, -1.0, 0.5, 3.0, 0.0];
        let fitted = Ridge::fit(&rows, 3, &targets, 1.0);
        let (weights, bias) = ([0.588_888_89, 1.922_222_22, -0.577_777_78], 0.6);
        for (ours, expected) in fitted.weights.iter().zip(weights) {
            assert!((ours - expected).abs() < 1e-6, "{ours} {expected}");
        }
        assert!((fitted.bias - bias).abs() < 1e-6, "{}", fitted.bias);
    }

    #[test]
    fn the_view_that_is_best_on_valid_is_taken() {
        let rows = |shown: fn(u32) -> bool| -> Ragged<u32> { (0..8).map(|i| 0..u32::from(shown(i))).collect() };
        let view = |of: Ragged<u32>| {
            let (train, valid) = (of.clone(), of.clone());
            Features { width: 1, train, valid, test: of, ..Features::default() }
        };
        let views = [view(rows(|_| true)), view(rows(|i| i < 4))];
        let targets: Vec<f64> = (0..8).map(|i| if i < 4 { 1.0 } else { 0.0 }).collect();
        // The mean and, of 8 examples with a feature that half of them have, w = 2 / (2 + 1) at λ = 1.
        for (found, y) in Ridge::chosen(&views, &targets, &targets).into_iter().zip(&targets) {
            assert!((found - (0.5 + (y - 0.5) * 2.0 / 3.0)).abs() < 1e-6, "{found} for {y}");
        }
    }
}
