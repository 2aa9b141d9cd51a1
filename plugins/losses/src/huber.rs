//! `huber`: squared error of numbers near the truth, absolute far from it.

use dualk_sdk::ops::mean;
use dualk_sdk::prelude::*;

options! {
    /// Options of `huber`.
    pub struct HuberOptions {
        /// Error from which on it is absolute.
        #[schemars(extend("exclusiveMinimum" = 0))]
        pub delta: f64 = 1.0,
    }
}

impl Component for HuberOptions {
    const NAME: &'static str = "huber";
    const ABOUT: &'static str = "Squared error of numbers up to delta, absolute beyond, averaged over all entries.";
    const CITATION: &'static str = "Huber, Robust Estimation of a Location Parameter, Ann. Math. Statist. 1964";
}

/// With e = |z − y|, the mean of e² / 2 up to δ and of δ (e − δ / 2) beyond, as PyTorch's `huber_loss`.
#[derive(Debug)]
pub struct Huber {
    delta: f64,
}

impl BuildLoss for HuberOptions {
    fn build(self) -> Result<Box<dyn Loss>> {
        Ok(Box::new(Huber { delta: self.delta }))
    }
}

impl Loss for Huber {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let error = (logits - targets).abs();
        let near = error.clone().clamp_max(self.delta);
        mean(near.clone() * (error - near * 0.5)) // [1]
    }

    fn link(&self) -> Option<Link> {
        Some(Link::Mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scikit-learn's HuberLoss(delta=1), which is PyTorch's.
    #[test]
    fn values_and_slopes_of_scikit_learn() {
        let device = Device::flex().autodiff();
        let z = Tensor::<2>::from_data([[0.5, -1.0], [2.0, 0.0]], &device).require_grad();
        let loss = Huber { delta: 1.0 }.forward(z.clone(), Tensor::from_data([[1.0, -2.0], [5.5, 0.25]], &device));
        let grads = loss.backward();
        assert!((loss.into_scalar::<f32>() - 0.9140625).abs() < 1e-7);
        let slopes = TensorData::from([[-0.125f32, 0.25], [-0.25, -0.0625]]);
        z.grad(&grads).unwrap().into_data().assert_approx_eq::<f32>(&slopes, Default::default());
    }

    #[test]
    fn it_is_a_sound_loss() {
        dualk_sdk::testing::check_loss(HuberOptions::default());
    }
}
