//! `focal`: cross-entropy that fades where the prediction is right.

use crate::log_sigmoid::log_sigmoid;
use dualk_sdk::burn::tensor::activation::sigmoid;
use dualk_sdk::ops::mean;
use dualk_sdk::prelude::*;

options! {
    /// Options of `focal`.
    pub struct FocalOptions {
        /// Weight of positive entries; negative ones get 1 − alpha. In [0, 1).
        #[schemars(with = "Fraction")]
        pub alpha: f64 = 0.25,
        /// How fast the loss fades with a better prediction; 0 is cross-entropy.
        pub gamma: f64 = 2.0,
    }
}

impl Component for FocalOptions {
    const NAME: &'static str = "focal";
    const ABOUT: &'static str =
        "Binary cross-entropy that fades where the prediction is right, averaged over all entries.";
    const CITATION: &'static str = "Lin et al., Focal Loss for Dense Object Detection, ICCV 2017";
}

/// −mean(α y (1 − p)^γ ln p + (1 − α)(1 − y) p^γ ln(1 − p)), p = σ(z) (eq. 5 of the paper). The paper divides the sum by
/// the number of positive anchors; here by that of entries.
#[derive(Debug)]
pub struct Focal {
    alpha: f64,
    gamma: f64,
}

impl BuildLoss for FocalOptions {
    fn build(self) -> Result<Box<dyn Loss>> {
        Ok(Box::new(Focal { alpha: self.alpha, gamma: exponent("gamma", self.gamma)? }))
    }
}

/// An exponent: 0, or at least 1 since the derivative of a smaller power is infinite at 0.
pub fn exponent(key: &str, value: f64) -> Result<f64> {
    match value == 0.0 || (value >= 1.0 && value.is_finite()) {
        true => Ok(value),
        false => Err(Error::user(format!("expected 0 or a number from 1 on, found {value}")).at_key(key)),
    }
}

impl Loss for Focal {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let (p, q) = (sigmoid(logits.clone()), sigmoid(logits.clone().neg()));
        let there = targets.clone() * power(q, self.gamma) * log_sigmoid(logits.clone()) * self.alpha;
        let absent = (targets.neg() + 1.0) * power(p, self.gamma) * log_sigmoid(logits.neg()) * (1.0 - self.alpha);
        mean(there + absent).neg() // [1]
    }
}

/// p^exponent for p in [0, 1], whose slope at 0 is finite for the exponents that [`exponent`] accepts.
pub fn power(p: Tensor<2>, exponent: f64) -> Tensor<2> {
    if exponent == 0.0 {
        return p.ones_like();
    }
    if exponent == 1.0 { p } else { p.powf_scalar(exponent) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_hand() {
        let device = Device::flex();
        let z = Tensor::<2>::from_data([[0.0, 0.0, 3f32.ln()]], &device);
        let y = Tensor::<2>::from_data([[0.0, 1.0, 1.0]], &device);
        let loss = FocalOptions { alpha: 0.25, gamma: 2.0 }.build().unwrap().forward(z, y);
        let ln2 = std::f32::consts::LN_2;
        let expected = (0.75 * 0.25 * ln2 + 0.25 * 0.25 * ln2 + 0.25 * 0.0625 * (4f32 / 3.0).ln()) / 3.0;
        assert!((loss.into_scalar::<f32>() - expected).abs() < 1e-6);
    }

    #[test]
    fn extreme_logits_have_finite_slopes() {
        let device = Device::flex().autodiff();
        for gamma in [0.0, 1.0, 2.0, 2.5] {
            let z = Tensor::<2>::from_data([[200.0, -200.0, 200.0, -200.0]], &device).require_grad();
            let y = Tensor::<2>::from_data([[1.0, 1.0, 0.0, 0.0]], &device);
            let loss = FocalOptions { alpha: 0.25, gamma }.build().unwrap().forward(z.clone(), y);
            let slopes: Vec<f32> = z.grad(&loss.backward()).unwrap().into_data().iter::<f32>().collect();
            let expected = [0.0, -0.25 / 4.0, 0.75 / 4.0, 0.0];
            slopes.iter().zip(expected).for_each(|(s, e)| assert!((s - e).abs() < 1e-6, "{gamma}: {slopes:?}"));
        }
    }

    #[test]
    fn bad_options_name_their_key() {
        let of = |alpha, gamma| FocalOptions { alpha, gamma }.build().err().unwrap().to_string();
        for bad in [-1.0, 0.5, f64::NAN, f64::INFINITY] {
            assert!(of(0.5, bad).starts_with("`gamma`"));
        }
    }
}
