//! Baselines where targets are numbers: the mean, the median, and a ridge regression; where they are times, a Cox regression.

use super::choice::is_higher;
use super::cox::Cox;
use super::{BaselineContext, Choice, Features, Scored, on_valid, views};
use crate::component::Link;
use crate::data::Ragged;
use crate::train::Scale;

/// Strengths of the ridge; the one that is best on valid is taken.
pub(super) const RIDGES: [f64; 4] = [1.0, 10.0, 100.0, 1000.0];
/// How many strengths are tried beyond them where the best one is at an end, each ten times as strong or a tenth of it.
const FURTHER: usize = 2;
/// Maximum number of steps of conjugate gradients, and the relative residual at which they end.
const STEPS: usize = 200;
const TOLERANCE: f64 = 1e-8;
/// Lower bound of means before their logarithm is taken.
const LEAST: f64 = 1e-3;

/// From a column of training and valid examples to the predictions for those of test, and what a regression was chosen to be.
type Fit<'a> = &'a dyn Fn(&[f32], &[f32]) -> (Vec<f64>, Option<Choice>);

/// How good predictions for the valid examples are; higher is better.
type Score<'a> = &'a dyn Fn(&[f64]) -> f64;

/// The mean of the training examples, their median, and a ridge regression; for times to an event, whose order alone is asked for, a Cox
/// regression.
pub(super) fn baselines(context: &BaselineContext<'_>, link: Link) -> Vec<Scored> {
    let (views, tests) = (views(context), context.test.len());
    let scored = |name: &str, of: Fit<'_>| of_columns(context, link, name, of);
    let wide = |numbers: &[f32]| -> Vec<f64> { numbers.iter().map(|&y| f64::from(y)).collect() };
    match link {
        Link::LogHazard => vec![scored("Cox regression", &|train, valid| Cox::on_test(&views, train, valid))],
        Link::Mean | Link::LogMean => vec![
            scored("mean", &|train, _| {
                let mean = wide(train).iter().sum::<f64>() / train.len().max(1) as f64;
                (vec![mean; tests], None)
            }),
            scored("median", &|train, _| (vec![median(wide(train)); tests], None)),
            scored("ridge regression", &|train, valid| {
                let valid = wide(valid);
                let by_metric = |found: &[f64]| on_valid(context, &[found.iter().map(|&y| scale(link, y)).collect()]);
                let by_square =
                    |found: &[f64]| -found.iter().zip(&valid).map(|(ours, y)| (ours - y).powi(2)).sum::<f64>();
                // The metric that chooses a model's epoch, which is one of all columns.
                let is_one = context.heads.iter().map(|spec| spec.outputs).sum::<usize>() == 1;
                Ridge::on_test(&views, &wide(train), if is_one { &by_metric } else { &by_square })
            }),
        ],
    }
}

/// The middle of numbers, or the mean of the two that are; 0 of none.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let of = |place: usize| numbers.get(place).copied().unwrap_or_default();
    (of(numbers.len().saturating_sub(1) / 2) + of(numbers.len() / 2)) / 2.0
}

/// A predicted number as a head gives it.
fn scale(link: Link, number: f64) -> f32 {
    match link {
        Link::LogMean => number.max(LEAST).ln() as f32,
        Link::Mean | Link::LogHazard => number as f32,
    }
}

/// What predicts each column by itself.
fn of_columns(context: &BaselineContext<'_>, link: Link, name: &str, of: Fit<'_>) -> Scored {
    let (mut heads, mut chosen) = (Vec::new(), Vec::new());
    for (head, spec) in context.heads.iter().enumerate() {
        let mut scores = vec![0f32; context.test.len() * spec.outputs];
        for c in 0..spec.outputs {
            let column =
                |numbers: &[f32]| -> Vec<f32> { numbers.iter().skip(c).step_by(spec.outputs).copied().collect() };
            let (found, choice) = of(&column(context.train.numbers_of(head)), &column(context.valid.numbers_of(head)));
            let places = scores.iter_mut().skip(c).step_by(spec.outputs);
            places.zip(found).for_each(|(score, found)| *score = scale(link, found));
            chosen.extend(choice);
        }
        heads.push(scores);
    }
    Scored { name: name.to_owned(), heads, scale: Scale::Logits, chosen }
}

/// A regression with the strength of its ridge that is best on valid.
pub(super) struct Tuned<T> {
    pub fitted: T,
    pub ridge: f64,
    /// How good it is on valid; higher is better.
    score: f64,
    /// The strengths that were tried, ascending.
    of: Vec<f64>,
}

impl<T> Tuned<T> {
    /// `fit` gives a regression and how good it is on valid. Of equal ones of [`RIDGES`] it is the strongest; those [`FURTHER`]
    /// must be better.
    pub fn new(fit: impl Fn(f64) -> (f64, T)) -> Self {
        let [others @ .., strongest] = RIDGES;
        let (score, fitted) = fit(strongest);
        let mut best = Self { fitted, ridge: strongest, score, of: vec![strongest] };
        others.into_iter().rev().for_each(|ridge| best.offer(ridge, fit(ridge)));
        for _ in 0..FURTHER {
            let Some(ridge) = best.beyond() else { break };
            best.offer(ridge, fit(ridge));
        }
        best
    }

    fn offer(&mut self, ridge: f64, (score, fitted): (f64, T)) {
        self.of.push(ridge);
        self.of.sort_by(f64::total_cmp);
        if is_higher(score, self.score) {
            (self.fitted, self.ridge, self.score) = (fitted, ridge, score);
        }
    }

    /// The next strength where the best one is at an end of those that were tried.
    fn beyond(&self) -> Option<f64> {
        match Some(&self.ridge) {
            ridge if ridge == self.of.first() => Some(self.ridge / 10.0),
            ridge if ridge == self.of.last() => Some(self.ridge * 10.0),
            _ => None,
        }
    }
}

/// Predictions for test by the view whose regression is best on valid, the first of equal ones, and what that is.
pub(super) fn on_test<T>(
    views: &[Features],
    tuned: impl Fn(&Features) -> Tuned<T>,
    predict: impl Fn(&T, &[u32]) -> f64,
) -> (Vec<f64>, Option<Choice>) {
    let all = views.iter().map(|view| (view, tuned(view)));
    let best = all.reduce(|best, next| if is_higher(next.1.score, best.1.score) { next } else { best });
    let Some((view, Tuned { fitted, ridge, of, .. })) = best else { return (Vec::new(), None) };
    let visits_apart = (views.len() > 1).then_some(view.ages > 1);
    let predictions = view.test.rows().map(|row| predict(&fitted, row)).collect();
    (predictions, Some(Choice { ridge: Some(ridge), of, visits_apart, all_items: view.all_items }))
}

/// ŷ = b + Σ_f w_f over the features that are there, with the smallest Σ (y − ŷ)² + λ |w|².
struct Ridge {
    weights: Vec<f64>,
    bias: f64,
}

impl Ridge {
    /// Predictions for test by the view and the ridge that are best on valid; by the strongest of [`RIDGES`] without valid examples.
    fn on_test(views: &[Features], train: &[f64], score: Score<'_>) -> (Vec<f64>, Option<Choice>) {
        let tuned = |view: &Features| {
            Tuned::new(|strength| {
                let fitted = Self::fit(&view.train, view.width, train, strength);
                let on_valid: Vec<f64> = view.valid.rows().map(|row| fitted.of(row)).collect();
                (score(&on_valid), fitted)
            })
        };
        on_test(views, tuned, Self::of)
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
    fn view_and_ridge_that_are_best_on_valid_are_taken_and_said() {
        let rows = |shown: fn(u32) -> bool| -> Ragged<u32> { (0..8).map(|i| 0..u32::from(shown(i))).collect() };
        let view = |of: Ragged<u32>, ages: usize| {
            let (train, valid) = (of.clone(), of.clone());
            Features { width: 1, ages, train, valid, test: of, ..Features::default() }
        };
        let views = [view(rows(|_| true), 3), view(rows(|i| i < 4), 1)];
        let targets: Vec<f64> = (0..8).map(|i| if i < 4 { 1.0 } else { 0.0 }).collect();
        let score = |found: &[f64]| -found.iter().zip(&targets).map(|(ours, y)| (ours - y).powi(2)).sum::<f64>();
        let (found, choice) = Ridge::on_test(&views, &targets, &score);
        // The mean and, of 8 examples with a feature that half of them have, w = 2 / (2 + λ). Who is learnt from wants no ridge, so
        // that the weakest is best, and others are tried.
        for (found, y) in found.into_iter().zip(&targets) {
            assert!((found - (0.5 + (y - 0.5) * 2.0 / 2.01)).abs() < 1e-6, "{found} for {y}");
        }
        let said = "ridge 0.01 of 0.01 to 1000, the weakest that was tried, visits as one set";
        assert_eq!(choice.unwrap().to_string(), said);
        let (_, choice) = Ridge::on_test(&views[..1], &targets, &score);
        assert_eq!(choice.unwrap().visits_apart, None, "there is no other view");
    }

    /// numpy.median.
    #[test]
    fn the_middle_of_numbers_is_that_of_numpy() {
        assert_eq!(median(vec![3.0, 1.0, 10.0]), 3.0);
        assert_eq!(median(vec![3.0, 1.0, 10.0, 4.0]), 3.5);
        assert_eq!(median(Vec::new()), 0.0);
    }

    #[test]
    fn strengths_go_on_where_the_best_is_at_an_end() {
        let tried = |best: f64| {
            let tuned = Tuned::new(|ridge| (-(ridge.log10() - best).abs(), ridge));
            assert_eq!(tuned.fitted, tuned.ridge);
            (tuned.ridge, tuned.of.first().copied(), tuned.of.last().copied())
        };
        assert_eq!(tried(1.0), (10.0, Some(1.0), Some(1000.0)));
        // Once further, to see that it is worse.
        assert_eq!(tried(3.0), (1000.0, Some(1.0), Some(10_000.0)));
        assert_eq!(tried(4.0), (10_000.0, Some(1.0), Some(100_000.0)));
        assert_eq!(tried(9.0), (100_000.0, Some(1.0), Some(100_000.0)));
        assert_eq!(tried(-9.0), (0.01, Some(0.01), Some(1000.0)));
        // Of equal ones the strongest of the first.
        assert_eq!(Tuned::new(|ridge| (0.5, ridge)).ridge, 1000.0);
    }
}
