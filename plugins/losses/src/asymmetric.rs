//! `asymmetric`: cross-entropy that fades faster for negatives, and forgets the easy ones.

use crate::focal::{exponent, power};
use crate::log_sigmoid::log_sigmoid;
use dualk_sdk::burn::tensor::activation::sigmoid;
use dualk_sdk::ops::mean;
use dualk_sdk::prelude::*;

options! {
    /// Options of `asymmetric`.
    pub struct AsymmetricOptions {
        /// How fast the loss of a positive entry fades with a better prediction.
        pub gamma_positive: f64 = 1.0,
        /// How fast the loss of a negative entry fades with a better prediction.
        pub gamma_negative: f64 = 4.0,
        /// Probability up to which a negative entry costs nothing. In [0, 1).
        #[schemars(with = "Fraction")]
        pub clip: f64 = 0.05,
    }
}

impl Component for AsymmetricOptions {
    const NAME: &'static str = "asymmetric";
    const ABOUT: &'static str =
        "Focal loss with an exponent of its own for negatives and none of the easy ones, averaged over all entries.";
    const CITATION: &'static str = "Ridnik et al., Asymmetric Loss For Multi-Label Classification, ICCV 2021";
}

/// Stands inside the logarithm of negatives, as in the published code: it bounds the loss of an entry by 18.4.
const EPSILON: f64 = 1e-8;

/// −mean(y (1 − p)^γ₊ ln p + (1 − y) p_m^γ₋ ln(1 − p_m)), p = σ(z), p_m = max(p − clip, 0) (section 2 of the paper). The paper
/// gives no mean and its code sums; exponents take part in the gradient, as in the paper.
#[derive(Debug)]
pub struct Asymmetric {
    gamma_positive: f64,
    gamma_negative: f64,
    clip: f64,
}

impl BuildLoss for AsymmetricOptions {
    fn build(self) -> Result<Box<dyn Loss>> {
        let gamma_positive = exponent("gamma_positive", self.gamma_positive)?;
        let gamma_negative = exponent("gamma_negative", self.gamma_negative)?;
        Ok(Box::new(Asymmetric { gamma_positive, gamma_negative, clip: self.clip }))
    }
}

impl Loss for Asymmetric {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let (p, q) = (sigmoid(logits.clone()), sigmoid(logits.clone().neg()));
        let there = targets.clone() * power(q, self.gamma_positive) * log_sigmoid(logits);
        let shifted = (p - self.clip).clamp_min(0.0);
        let log = (shifted.clone().neg() + 1.0).clamp_min(EPSILON).log();
        let absent = (targets.neg() + 1.0) * power(shifted, self.gamma_negative) * log;
        mean(there + absent).neg() // [1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(options: AsymmetricOptions, z: f32, y: f32) -> f32 {
        let device = Device::flex();
        let of = |v: f32| Tensor::<2>::from_data([[v]], &device);
        options.build().unwrap().forward(of(z), of(y)).into_scalar::<f32>()
    }

    #[test]
    fn values_by_hand() {
        let ln2 = std::f32::consts::LN_2;
        assert!((loss(AsymmetricOptions::default(), 0.0, 1.0) - 0.5 * ln2).abs() < 1e-6);
        assert!((loss(AsymmetricOptions::default(), 0.0, 0.0) + 0.45f32.powi(4) * 0.55f32.ln()).abs() < 1e-6);
        // σ(−ln 24) = 0.04, below the clip.
        assert_eq!(loss(AsymmetricOptions::default(), -24f32.ln(), 0.0), 0.0);
    }

    #[test]
    fn without_its_options_it_is_cross_entropy() {
        let plain = AsymmetricOptions { gamma_positive: 0.0, gamma_negative: 0.0, clip: 0.0 };
        for (z, y, expected) in [(2f32, 1.0, (-2f32).exp().ln_1p()), (2.0, 0.0, 2f32.exp().ln_1p())] {
            assert!((loss(plain.clone(), z, y) - expected).abs() < 1e-5);
        }
    }

    #[test]
    fn bad_options_name_their_key() {
        let of = |o: AsymmetricOptions| o.build().err().unwrap().to_string();
        let bad = |gamma| AsymmetricOptions { gamma_positive: gamma, ..Default::default() };
        assert!(of(bad(-1.0)).starts_with("`gamma_positive`"));
        let bad = |gamma| AsymmetricOptions { gamma_negative: gamma, ..Default::default() };
        assert!(of(bad(f64::NAN)).starts_with("`gamma_negative`"));
    }
}
