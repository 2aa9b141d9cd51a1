//! `cox`: times to an event, of which the order counts.

use dualk_sdk::ops::sum;
use dualk_sdk::prelude::*;

options! {
    /// Options of `cox`.
    pub struct CoxOptions {}
}

impl Component for CoxOptions {
    const NAME: &'static str = "cox";
    const ABOUT: &'static str =
        "Negative partial log-likelihood of times to an event within a batch, averaged over events.";
    const CITATION: &'static str = "Cox, Regression Models and Life-Tables, J. R. Statist. Soc. B 1972; Breslow's ties";
}

/// For each column, the mean over events i of ln Σ_{j: t_j ≥ t_i} e^{z_j} − z_i. Targets above 0 are times of events, those
/// below 0 say until when there was none. Who is at risk is looked for within the batch: larger batches are nearer to the
/// likelihood of all.
#[derive(Debug)]
pub struct Cox;

impl BuildLoss for CoxOptions {
    fn build(self) -> Result<Box<dyn Loss>> {
        Ok(Box::new(Cox))
    }
}

/// Less than any logarithm of a hazard.
const NOT_AT_RISK: f32 = -1e30;

impl Loss for Cox {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let [rows, columns] = logits.dims();
        let events = targets.clone().greater_elem(0.0).float(); // [batch, columns]
        let number = sum(events.clone()).clamp_min(1.0); // [1]
        let each = (0..columns).map(|column| {
            let of = |tensor: &Tensor<2>| tensor.clone().narrow(1, column, 1); // [batch, 1]
            let (z, times) = (of(&logits), of(&targets).abs());
            let (square, across) = ([rows, rows], |tensor: Tensor<2>| tensor.swap_dims(0, 1).expand([rows, rows]));
            let gone = across(times.clone()).lower(times.expand(square)); // [i, j]: t_j < t_i
            let at_risk = across(z.clone()).mask_fill(gone, NOT_AT_RISK); // [batch, batch]
            let largest = at_risk.clone().detach().max_dim(1); // [batch, 1]
            let log_sum = (at_risk - largest.clone()).exp().sum_dim(1).log() + largest; // [batch, 1]
            sum((log_sum - z) * of(&events))
        });
        let total = each.reduce(|a, b| a + b).unwrap_or_else(|| Tensor::zeros([1], &logits.device()));
        total / number // [1]
    }

    fn link(&self) -> Option<Link> {
        Some(Link::LogHazard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// statsmodels: −PHReg(times, z, status, ties="breslow").loglike([1]) over the number of events; its slopes by
    /// differences of it.
    #[test]
    fn values_and_slopes_of_statsmodels() {
        let device = Device::flex().autodiff();
        let z = Tensor::<2>::from_data([[0.3], [-0.2], [1.0], [0.5], [2.0], [-1.0], [0.0]], &device).require_grad();
        let times = Tensor::from_data([[5.0], [3.0], [-3.0], [8.0], [1.0], [-8.0], [2.5]], &device);
        let loss = Cox.forward(z.clone(), times);
        let grads = loss.backward();
        assert!((loss.into_scalar::<f32>() - 1.208_393_2).abs() < 1e-6);
        let expected =
            [-0.028_886_31, -0.144_854_76, 0.183_088_64, 0.172_513_63, -0.103_363_84, 0.083_119_03, -0.161_616_38];
        let slopes: Vec<f32> = z.grad(&grads).unwrap().into_data().iter::<f32>().collect();
        slopes
            .iter()
            .zip(expected)
            .for_each(|(ours, theirs): (&f32, f32)| assert!((ours - theirs).abs() < 1e-5, "{slopes:?}"));
    }

    #[test]
    fn it_is_a_sound_loss() {
        dualk_sdk::testing::check_loss(CoxOptions::default());
    }
}
