//! `mse`: squared error of numbers.

use dualk_sdk::ops::mean;
use dualk_sdk::prelude::*;

options! {
    /// Options of `mse`.
    pub struct MseOptions {}
}

impl Component for MseOptions {
    const NAME: &'static str = "mse";
    const ABOUT: &'static str = "Squared error of numbers, averaged over all entries.";
}

/// mean((z − y)²).
#[derive(Debug)]
pub struct Mse;

impl BuildLoss for MseOptions {
    fn build(self) -> Result<Box<dyn Loss>> {
        Ok(Box::new(Mse))
    }
}

impl Loss for Mse {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        mean((logits - targets).square()) // [1]
    }

    fn link(&self) -> Option<Link> {
        Some(Link::Mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_slopes_by_hand() {
        let device = Device::flex().autodiff();
        let z = Tensor::<2>::from_data([[0.5, -1.0]], &device).require_grad();
        let loss = Mse.forward(z.clone(), Tensor::from_data([[1.0, -2.0]], &device));
        let grads = loss.backward();
        assert!((loss.into_scalar::<f32>() - 0.625).abs() < 1e-7);
        let slopes = TensorData::from([[-0.5f32, 1.0]]);
        z.grad(&grads).unwrap().into_data().assert_approx_eq::<f32>(&slopes, Default::default());
    }

    #[test]
    fn it_is_a_sound_loss() {
        dualk_sdk::testing::check_loss(MseOptions::default());
    }
}
