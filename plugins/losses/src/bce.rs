//! `bce`: binary cross-entropy from logits.

use dualk_sdk::ops::binary_cross_entropy;
use dualk_sdk::prelude::*;

options! {
    /// Options of `bce`.
    pub struct BceOptions {}
}

impl Component for BceOptions {
    const NAME: &'static str = "bce";
    const ABOUT: &'static str = "Binary cross-entropy from logits, averaged over all entries.";
}

/// mean(−y ln σ(z) − (1 − y) ln(1 − σ(z))).
#[derive(Debug)]
pub struct Bce;

impl BuildLoss for BceOptions {
    fn build(self) -> Result<Box<dyn Loss>> {
        Ok(Box::new(Bce))
    }
}

impl Loss for Bce {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        binary_cross_entropy(logits, targets) // [1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_slopes_by_hand() {
        let device = Device::flex().autodiff();
        let z = Tensor::<2>::from_data([[0.0, 0.0, 100.0, -100.0]], &device).require_grad();
        let y = Tensor::<2>::from_data([[0.0, 1.0, 0.0, 0.0]], &device);
        let loss = Bce.forward(z.clone(), y);
        let grads = loss.backward();
        let expected = (2.0 * std::f32::consts::LN_2 + 100.0) / 4.0;
        assert!((loss.into_scalar::<f32>() - expected).abs() < 1e-5);
        let slopes = TensorData::from([[0.125f32, -0.125, 0.25, 0.0]]);
        z.grad(&grads).unwrap().into_data().assert_approx_eq::<f32>(&slopes, Default::default());
    }
}
