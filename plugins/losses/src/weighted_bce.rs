//! `weighted_bce`: binary cross-entropy with a weight for each class.

use dualk_sdk::ops::weighted_cross_entropy;
use dualk_sdk::prelude::*;

options! {
    /// Options of `weighted_bce`.
    pub struct WeightedBceOptions {
        /// Weight of positive entries.
        #[schemars(range(min = 0.0))]
        pub positive: f64 = 1.0,
        /// Weight of negative entries.
        #[schemars(range(min = 0.0))]
        pub negative: f64 = 1.0,
    }
}

impl Component for WeightedBceOptions {
    const NAME: &'static str = "weighted_bce";
    const ABOUT: &'static str =
        "Binary cross-entropy with weights for positives and negatives, averaged over all entries.";
    const CITATION: &'static str = "DuaLK, arXiv 2410.19955";
}

/// Stands inside the logarithms, as published: it bounds the loss of an entry by 18.4.
const EPSILON: f64 = 1e-8;

/// −mean(P y ln(σ(z) + ε) + N (1 − y) ln(1 − σ(z) + ε)), ε = 10⁻⁸.
#[derive(Debug)]
pub struct WeightedBce {
    positive: f64,
    negative: f64,
}

impl BuildLoss for WeightedBceOptions {
    fn build(self) -> Result<Box<dyn Loss>> {
        let Self { positive, negative } = self;
        Ok(Box::new(WeightedBce { positive, negative }))
    }
}

impl Loss for WeightedBce {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        weighted_cross_entropy(logits, targets, [self.positive, self.negative], EPSILON) // [1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_hand() {
        let device = Device::flex();
        let z = Tensor::<2>::from_data([[0.0, 0.0, 100.0]], &device);
        let y = Tensor::<2>::from_data([[0.0, 1.0, 0.0]], &device);
        let loss = WeightedBceOptions { positive: 2.0, negative: 0.5 }.build().unwrap().forward(z, y);
        let expected = (2.5 * std::f32::consts::LN_2 + 0.5 * 8.0 * std::f32::consts::LN_10) / 3.0;
        assert!((loss.into_scalar::<f32>() - expected).abs() < 1e-5);
    }
}
