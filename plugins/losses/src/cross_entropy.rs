//! `cross_entropy`: one class of several.

use dualk_sdk::burn::tensor::activation::log_softmax;
use dualk_sdk::ops::sum;
use dualk_sdk::prelude::*;

options! {
    /// Options of `cross_entropy`.
    pub struct CrossEntropyOptions {}
}

impl Component for CrossEntropyOptions {
    const NAME: &'static str = "cross_entropy";
    const ABOUT: &'static str =
        "Cross-entropy of a softmax over the columns, of which one is true, averaged over examples.";
}

/// mean over rows of −Σ y ln softmax(z).
#[derive(Debug)]
pub struct CrossEntropy;

impl BuildLoss for CrossEntropyOptions {
    fn build(self) -> Result<Box<dyn Loss>> {
        Ok(Box::new(CrossEntropy))
    }
}

impl Loss for CrossEntropy {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let rows = targets.dims()[0].max(1) as f64;
        sum(log_softmax(logits, 1) * targets).neg() / rows // [1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// −ln softmax and softmax − y, halved for two rows, in Python's math.
    #[test]
    fn values_and_slopes_by_hand() {
        let device = Device::flex().autodiff();
        let z = Tensor::<2>::from_data([[0.5, -1.0, 2.0], [100.0, 0.0, -100.0]], &device).require_grad();
        let y = Tensor::<2>::from_data([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], &device);
        let loss = CrossEntropy.forward(z.clone(), y);
        let grads = loss.backward();
        assert!((loss.into_scalar::<f32>() - 0.1206556).abs() < 1e-6);
        let slopes = TensorData::from([[0.0876452f32, 0.0195563, -0.1072015], [0.0, 0.0, 0.0]]);
        z.grad(&grads).unwrap().into_data().assert_approx_eq::<f32>(&slopes, Default::default());
    }
}
