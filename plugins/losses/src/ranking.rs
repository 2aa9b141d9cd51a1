//! `ranking`: every positive label should have a higher score than every negative one.

use dualk_sdk::prelude::*;

options! {
    /// Options of `ranking`.
    pub struct RankingOptions {}
}

impl Component for RankingOptions {
    const NAME: &'static str = "ranking";
    const ABOUT: &'static str =
        "Smooth count of the pairs of a positive and a negative label in the wrong order, averaged over rows.";
    const CITATION: &'static str =
        "Li et al., Improving Pairwise Ranking for Multi-label Image Classification, CVPR 2017 (LSEP)";
}

/// Stands for −∞: its exponential is 0 in 32 bits, and it makes no NaN.
const ABSENT: f64 = -1e30;

/// mean over rows of ln(1 + Σ_{u: y_u = 1} Σ_{v: y_v = 0} e^{z_v − z_u}) (the paper's LSEP without its sampling of
/// pairs): the double sum is the product of Σ_v e^{z_v} and Σ_u e^{−z_u}, so the cost is that of the columns. A row with
/// labels of one kind alone has no pairs and the loss 0. Logits are comparable within a row only: no probabilities.
#[derive(Debug)]
pub struct Ranking;

impl BuildLoss for RankingOptions {
    fn build(self) -> Result<Box<dyn Loss>> {
        Ok(Box::new(Ranking))
    }
}

impl Loss for Ranking {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let negatives = log_sum_exp(logits.clone() + targets.clone() * ABSENT); // [batch, 1]
        let positives = log_sum_exp(logits.neg() + (targets.neg() + 1.0) * ABSENT); // [batch, 1]
        let pairs = negatives + positives; // ln of the double sum
        // ln(1 + e^x) as max(x, 0) + ln(1 + e^{−|x|}), which never overflows.
        let size = pairs.clone().abs();
        ((pairs + size.clone()) * 0.5 + size.neg().exp().log1p()).mean() // [1]
    }

    fn label_scores(&self) -> LabelScores {
        LabelScores::Order
    }
}

/// # Shapes
/// - `x`: `[batch, columns]`
/// - output: `[batch, 1]`
fn log_sum_exp(x: Tensor<2>) -> Tensor<2> {
    // What is taken out before and put back after has no gradient in sum.
    let largest = x.clone().detach().max_dim(1);
    (x - largest.clone()).exp().sum_dim(1).log() + largest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_slopes_by_hand() {
        let device = Device::flex().autodiff();
        let z = Tensor::<2>::from_data([[1.0, 3.0, 2.0], [5.0, -7.0, 1.0], [0.5, 0.5, 9.0]], &device).require_grad();
        let y = Tensor::<2>::from_data([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]], &device);
        let loss = Ranking.forward(z.clone(), y);
        let slopes: Vec<f32> = z.grad(&loss.clone().backward()).unwrap().into_data().iter::<f32>().collect();
        // One positive with z = 1 against 3 and 2; the other rows have no pairs.
        let sum = 1.0 + 2f32.exp() + 1f32.exp();
        assert!((loss.into_scalar::<f32>() - sum.ln() / 3.0).abs() < 1e-6);
        let (a, b) = (2f32.exp() / sum / 3.0, 1f32.exp() / sum / 3.0);
        let expected = [-a - b, a, b, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        slopes.iter().zip(expected).for_each(|(s, e)| assert!((s - e).abs() < 1e-6, "{slopes:?}"));
    }

    #[test]
    fn large_logits_stay_finite() {
        let device = Device::flex();
        let z = Tensor::<2>::from_data([[-500.0, 500.0]], &device);
        let y = Tensor::<2>::from_data([[1.0, 0.0]], &device);
        assert!((Ranking.forward(z, y).into_scalar::<f32>() - 1000.0).abs() < 1e-3);
    }
}
