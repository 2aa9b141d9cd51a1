//! Baselines where targets are numbers: the mean, and a ridge regression; where they are times, a Cox regression.

use super::cox::Cox;
use super::{BaselineContext, Features, Scored, ages, features};
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

/// The prediction for an example, from its features.
type Fitted = Box<dyn Fn(&[u32]) -> f64>;

/// The mean of the training examples, and a ridge regression; for times to an event, whose order alone is asked for, a Cox
/// regression.
pub(super) fn baselines(context: &BaselineContext<'_>, link: Link) -> Vec<Scored> {
    let inverse = |mean: f64| match link {
        Link::LogMean => mean.max(LEAST).ln() as f32,
        Link::Mean | Link::LogHazard => mean as f32,
    };
    let (features, tests) = (features(context, ages(context)), context.test.len());
    let scored = |name: &str, of: &dyn Fn(&[f32], &[f32]) -> Fitted| {
        let each = context.heads.iter().enumerate().map(|(head, spec)| {
            let mut scores = vec![0f32; tests * spec.outputs];
            for c in 0..spec.outputs {
                let column =
                    |numbers: &[f32]| -> Vec<f32> { numbers.iter().skip(c).step_by(spec.outputs).copied().collect() };
                let fitted = of(&column(context.train.numbers_of(head)), &column(context.valid.numbers_of(head)));
                for row in 0..tests {
                    scores[row * spec.outputs + c] = inverse(fitted(features.test.row(row)));
                }
            }
            scores
        });
        Scored { name: name.to_owned(), heads: each.collect(), scale: Scale::Logits }
    };
    let wide = |numbers: &[f32]| -> Vec<f64> { numbers.iter().map(|&y| f64::from(y)).collect() };
    match link {
        Link::LogHazard => vec![scored("Cox regression", &|train, valid| {
            let fitted = Cox::chosen(&features, train, valid);
            Box::new(move |row| fitted.of(row))
        })],
        Link::Mean | Link::LogMean => vec![
            scored("mean", &|train, _| {
                let mean = wide(train).iter().sum::<f64>() / train.len().max(1) as f64;
                Box::new(move |_| mean)
            }),
            scored("ridge regression", &|train, valid| {
                let fitted = Ridge::chosen(&features, &wide(train), &wide(valid));
                Box::new(move |row| fitted.of(row))
            }),
        ],
    }
}

/// ŷ = b + Σ_f w_f over the features that are there, with the smallest Σ (y − ŷ)² + λ |w|².
struct Ridge {
    weights: Vec<f64>,
    bias: f64,
}

impl Ridge {
    /// The one of [`RIDGES`] with the lowest error on valid; the strongest without valid examples.
    fn chosen(features: &Features, train: &[f64], valid: &[f64]) -> Self {
        let error = |fitted: &Self| -> f64 {
            let each = features.valid.rows().zip(valid);
            each.map(|(row, y)| (fitted.of(row) - y).powi(2)).sum()
        };
        let fitted = RIDGES.iter().rev().map(|&strength| Self::fit(&features.train, features.width, train, strength));
        let scored = fitted.map(|fitted| (error(&fitted), fitted));
        let best = scored.reduce(|best, next| if next.0 < best.0 { next } else { best });
        best.map_or(Self { weights: vec![0.0; features.width], bias: 0.0 }, |(_, fitted)| fitted)
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
}
