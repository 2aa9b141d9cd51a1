//! `poisson`: counts and other numbers that are never negative, whose logarithm of the mean is learnt.

use dualk_sdk::ops::mean;
use dualk_sdk::prelude::*;

/// Logarithm of a mean beyond which the loss goes on in a straight line, so that it stays a number.
const LARGEST: f64 = 30.0;

options! {
    /// Options of `poisson`.
    pub struct PoissonOptions {}
}

impl Component for PoissonOptions {
    const NAME: &'static str = "poisson";
    const ABOUT: &'static str =
        "Negative log-likelihood of counts whose log-mean is learnt, averaged over all entries.";
}

/// mean(e^z − y z), as PyTorch's `poisson_nll_loss` with `log_input` and without `full`; e^z is a straight line from z = 30 on.
#[derive(Debug)]
pub struct Poisson;

impl BuildLoss for PoissonOptions {
    fn build(self) -> Result<Box<dyn Loss>> {
        Ok(Box::new(Poisson))
    }
}

impl Loss for Poisson {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let near = logits.clone().clamp_max(LARGEST);
        let beyond = (logits.clone() - LARGEST).clamp_min(0.0) * LARGEST.exp();
        mean(near.exp() + beyond - logits * targets) // [1]
    }

    fn link(&self) -> Option<Link> {
        Some(Link::LogMean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scikit-learn's HalfPoissonLoss, which is PyTorch's.
    #[test]
    fn values_and_slopes_of_scikit_learn() {
        let device = Device::flex().autodiff();
        let z = Tensor::<2>::from_data([[0.5, -1.0], [2.0, 0.0]], &device).require_grad();
        let loss = Poisson.forward(z.clone(), Tensor::from_data([[0.0, 3.0], [5.0, 1.0]], &device));
        let grads = loss.backward();
        assert!((loss.into_scalar::<f32>() - 0.851_414_2).abs() < 1e-6);
        let slopes = TensorData::from([[0.412_180_32f32, -0.658_030_14], [0.597_264, 0.0]]);
        z.grad(&grads).unwrap().into_data().assert_approx_eq::<f32>(&slopes, Default::default());
    }

    #[test]
    fn it_is_a_sound_loss() {
        dualk_sdk::testing::check_loss(PoissonOptions::default());
    }
}
