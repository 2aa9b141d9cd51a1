//! The baseline where targets are times to an event: a Cox regression.

use super::numbers::{Tuned, conjugate_gradients, on_test};
use super::{Choice, Features};
use crate::data::Ragged;
use crate::train::metrics::concordance;

/// Maximum number of steps of Newton's method, and the relative gain of the objective below which they end.
const STEPS: usize = 50;
const TOLERANCE: f64 = 1e-10;
/// Maximum number of halvings of a step (backtracking).
const HALVINGS: usize = 30;

/// ln h = Σ_f w_f over the features that are there, with the largest partial likelihood (Cox 1972, Breslow's ties) less
/// λ |w|² / 2.
pub(super) struct Cox {
    weights: Vec<f64>,
}

/// Examples with times, sorted by them.
struct Sorted<'a> {
    rows: &'a Ragged<u32>,
    width: usize,
    /// Places in the order of falling times, those of equal times as one group: where each group ends.
    order: Vec<usize>,
    ends: Vec<usize>,
    events: Vec<bool>,
}

/// The loss at some weights, with what its gradient and Hessian need.
struct Derivatives {
    value: f64,
    /// Gradient of the loss with respect to the log-hazard of each example.
    gradient: Vec<f64>,
    /// e^η of each example, less the largest η.
    risks: Vec<f64>,
    /// Σ 1/S over the events that each example was at risk in, S the sum of risks.
    exposures: Vec<f64>,
    /// Events and S of each group.
    groups: Vec<(f64, f64)>,
}

impl Cox {
    /// Log-hazards on test, but for a constant, by the view with the highest C-index on valid, the first without one.
    pub(super) fn on_test(views: &[Features], train: &[f32], valid: &[f32]) -> (Vec<f64>, Option<Choice>) {
        on_test(views, |view| Self::chosen(view, train, valid), Self::of)
    }

    /// With the L2 penalty that has the highest C-index on valid.
    fn chosen(features: &Features, train: &[f32], valid: &[f32]) -> Tuned<Self> {
        let sorted = Sorted::new(&features.train, features.width, train);
        Tuned::new(|strength| {
            let fitted = sorted.fit(strength);
            let scores: Vec<f32> = features.valid.rows().map(|row| fitted.of(row) as f32).collect();
            (concordance(&scores, valid), fitted)
        })
    }

    /// The log-hazard of an example, but for a constant.
    fn of(&self, row: &[u32]) -> f64 {
        row.iter().map(|&f| self.weights[f as usize]).sum()
    }
}

impl<'a> Sorted<'a> {
    /// Times above 0 are those of events, those below 0 the last moment without one.
    fn new(rows: &'a Ragged<u32>, width: usize, times: &[f32]) -> Self {
        let mut order: Vec<usize> = (0..times.len()).collect();
        order.sort_by(|&a, &b| times[b].abs().total_cmp(&times[a].abs()));
        let last =
            |&place: &usize| order.get(place).is_none_or(|&next| times[next].abs() != times[order[place - 1]].abs());
        let ends = (1..=order.len()).filter(last).collect();
        Self { rows, width, ends, events: times.iter().map(|&t| t > 0.0).collect(), order }
    }

    /// Newton's method, each step by conjugate gradients and halved until it gains.
    fn fit(&self, strength: f64) -> Cox {
        let penalty = |w: &[f64]| strength / 2.0 * w.iter().map(|w| w * w).sum::<f64>();
        let mut weights = vec![0.0; self.width];
        let mut derivatives = self.derivatives(&weights);
        for _ in 0..STEPS {
            let mut down = self.back(&derivatives.gradient);
            down.iter_mut().zip(&weights).for_each(|(d, w)| *d = -*d - strength * w);
            let step = conjugate_gradients(down, |v| {
                let product = self.back(&self.curvature(&derivatives, &self.forward(v)));
                product.iter().zip(v).map(|(p, v)| p + strength * v).collect()
            });
            let before = derivatives.value + penalty(&weights);
            let shortened = (0..HALVINGS).map(|halving| 0.5f64.powi(halving as i32)).find_map(|part| {
                let moved: Vec<f64> = weights.iter().zip(&step).map(|(w, s)| w + part * s).collect();
                let there = self.derivatives(&moved);
                (there.value + penalty(&moved) < before).then_some((moved, there))
            });
            let Some((moved, there)) = shortened else { break };
            (weights, derivatives) = (moved, there);
            if before - derivatives.value - penalty(&weights) <= TOLERANCE * before.abs() {
                break;
            }
        }
        Cox { weights }
    }

    fn forward(&self, w: &[f64]) -> Vec<f64> {
        self.rows.rows().map(|row| row.iter().map(|&f| w[f as usize]).sum()).collect()
    }

    fn back(&self, y: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.width];
        self.rows.rows().zip(y).for_each(|(row, y)| row.iter().for_each(|&f| out[f as usize] += y));
        out
    }

    /// The members of each group.
    fn groups(&self) -> impl DoubleEndedIterator<Item = &[usize]> + ExactSizeIterator {
        (0..self.ends.len()).map(|g| &self.order[g.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[g]])
    }

    /// The negative partial log-likelihood, with its gradient.
    fn derivatives(&self, weights: &[f64]) -> Derivatives {
        let logs = self.forward(weights);
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let risks: Vec<f64> = logs.iter().map(|log| (log - largest).exp()).collect();
        let (mut value, mut sum, mut groups) = (0.0, 0.0, Vec::with_capacity(self.ends.len()));
        for group in self.groups() {
            sum += group.iter().map(|&j| risks[j]).sum::<f64>();
            let events = group.iter().filter(|&&j| self.events[j]);
            value += events.clone().map(|&j| sum.ln() + largest - logs[j]).sum::<f64>();
            groups.push((events.count() as f64, sum));
        }
        let (mut exposure, mut exposures) = (0.0, vec![0.0; logs.len()]);
        for (group, (events, sum)) in self.groups().zip(&groups).rev() {
            exposure += events / sum;
            group.iter().for_each(|&j| exposures[j] = exposure);
        }
        let gradient = (0..logs.len()).map(|j| risks[j] * exposures[j] - f64::from(u8::from(self.events[j]))).collect();
        Derivatives { value, gradient, risks, exposures, groups }
    }

    /// The product of the Hessian, with respect to log-hazards, with `v`.
    fn curvature(&self, derivatives: &Derivatives, v: &[f64]) -> Vec<f64> {
        let (mut sum, mut sums) = (0.0, Vec::with_capacity(self.ends.len()));
        for group in self.groups() {
            sum += group.iter().map(|&j| derivatives.risks[j] * v[j]).sum::<f64>();
            sums.push(sum);
        }
        let (mut common, mut out) = (0.0, vec![0.0; v.len()]);
        for ((group, (events, risk)), sum) in self.groups().zip(&derivatives.groups).zip(&sums).rev() {
            common += events * sum / (risk * risk);
            group.iter().for_each(|&j| out[j] = derivatives.risks[j] * (derivatives.exposures[j] * v[j] - common));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::numbers::RIDGES;
    use super::*;

    fn rows() -> Ragged<u32> {
        let rows: [&[u32]; 12] =
            [&[0], &[0, 1], &[1, 2], &[2], &[0, 2], &[1], &[], &[0, 1, 2], &[1], &[2], &[0], &[1, 2]];
        rows.iter().map(|row| row.iter().copied()).collect()
    }

    const TIMES: [f32; 12] = [5.0, 3.0, -3.0, 8.0, 1.0, -8.0, 2.5, 3.0, -6.0, 4.0, 9.0, -2.0];

    /// statsmodels 0.15.0 of the rows as zeros and ones: PHReg(times, x, status, ties="breslow").fit(), and
    /// fit_regularized(alpha=λ / 12, L1_wt=0), to which scipy.optimize.minimize of the formula agrees to seven digits.
    #[test]
    fn coefficients_are_those_of_statsmodels() {
        let rows = rows();
        let sorted = Sorted::new(&rows, 3, &TIMES);
        for (strength, expected) in [
            (0.0, [1.354_460_77, -0.557_561_62, 1.455_890_85]),
            (1.0, [0.582_572_36, -0.323_121_58, 0.638_004_05]),
            (10.0, [0.107_797_83, -0.093_498_64, 0.118_868_99]),
        ] {
            let fitted = sorted.fit(strength);
            for (ours, theirs) in fitted.weights.iter().zip(expected) {
                assert!((ours - theirs).abs() < 1e-6, "{strength}: {:?}", fitted.weights);
            }
        }
        let fitted = sorted.fit(0.0);
        assert!((sorted.derivatives(&fitted.weights).value - 11.822_858_54).abs() < 1e-7);
        // lifelines.utils.concordance_index(times, −x β, status).
        let scores: Vec<f32> = rows.rows().map(|row| fitted.of(row) as f32).collect();
        assert!((concordance(&scores, &TIMES) - 0.688_888_889).abs() < 1e-8);
    }

    #[test]
    fn a_feature_that_says_all_and_one_that_nobody_has_are_kept_small_by_the_ridge() {
        let rows: Ragged<u32> = [vec![0], vec![0], vec![], vec![]].into_iter().collect();
        let fitted = Sorted::new(&rows, 2, &[1.0, 2.0, 3.0, 4.0]).fit(1.0);
        assert!(
            fitted.weights[0] > 0.1 && fitted.weights[0] < 10.0 && fitted.weights[1] == 0.0,
            "{:?}",
            fitted.weights
        );
        // Without events there is nothing to learn.
        assert_eq!(Sorted::new(&rows, 2, &[-1.0; 4]).fit(1.0).weights, [0.0; 2]);
        assert!(Sorted::new(&Ragged::new(), 1, &[]).fit(1.0).weights == [0.0]);
    }

    #[test]
    fn the_strength_that_orders_the_valid_examples_best_is_taken() {
        let (train, valid) = (rows(), rows());
        let features = Features { width: 3, train, valid, ..Features::default() };
        let chosen = Cox::chosen(&features, &TIMES, &TIMES).fitted;
        let of = |strength| Sorted::new(&features.train, 3, &TIMES).fit(strength).weights;
        let c = |weights: &[f64]| {
            let score = |row: &[u32]| row.iter().map(|&f| weights[f as usize]).sum::<f64>() as f32;
            concordance(&features.train.rows().map(score).collect::<Vec<_>>(), &TIMES)
        };
        let strongest = of(1000.0);
        let best = RIDGES.map(|strength| c(&of(strength))).into_iter().fold(f64::MIN, f64::max);
        assert_eq!(c(&chosen.weights), best);
        // Of several that are equally good the strongest: with nobody to compare it is the strongest of all.
        let features = Features { valid: Ragged::new(), ..features };
        let chosen = Cox::chosen(&features, &TIMES, &[]);
        assert_eq!((chosen.ridge, chosen.fitted.weights), (1000.0, strongest));
        let (_, choice) = Cox::on_test(&[features], &TIMES, &[]);
        assert_eq!(choice.unwrap().to_string(), "ridge 1000 of 1 to 10000");
    }
}
