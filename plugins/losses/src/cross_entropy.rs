//! `cross_entropy`: one class of several, or several labels among which a softmax divides.

use dualk_sdk::burn::tensor::activation::log_softmax;
use dualk_sdk::ops::sum;
use dualk_sdk::prelude::*;

options! {
    /// Options of `cross_entropy`.
    pub struct CrossEntropyOptions {
        /// Whether what is not true counts, too: −(1 − y) ln(1 − softmax(z)).
        pub absent: bool = false,
    }
}

impl Component for CrossEntropyOptions {
    const NAME: &'static str = "cross_entropy";
    const ABOUT: &'static str =
        "Cross-entropy of a softmax over the columns, of which one or several are true, averaged over examples.";
    const CITATION: &'static str = "with absent: Choi et al., GRAM, KDD 2017";
}

/// Stands inside the logarithm of what is absent, as in GRAM's published code, which has it in the other one as well.
const EPSILON: f64 = 1e-8;

/// mean over rows of −Σ y ln s, s = softmax(z), and with `absent` of −Σ (y ln s + (1 − y) ln(1 − s + 10⁻⁸)). Of several true labels each has
/// its term, as in PyTorch's `cross_entropy` with targets that are no classes.
#[derive(Debug)]
pub struct CrossEntropy {
    absent: bool,
}

impl BuildLoss for CrossEntropyOptions {
    fn build(self) -> Result<Box<dyn Loss>> {
        Ok(Box::new(CrossEntropy { absent: self.absent }))
    }
}

impl Loss for CrossEntropy {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let rows = targets.dims()[0].max(1) as f64;
        let logs = log_softmax(logits, 1); // [batch, columns]
        let present = logs.clone() * targets.clone();
        let terms = match self.absent {
            true => present + (targets.neg() + 1.0) * (logs.exp().neg() + 1.0 + EPSILON).log(),
            false => present,
        };
        sum(terms).neg() / rows // [1]
    }

    fn label_scores(&self) -> LabelScores {
        LabelScores::Shares
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
        let loss = CrossEntropy { absent: false }.forward(z.clone(), y);
        let grads = loss.backward();
        assert!((loss.into_scalar::<f32>() - 0.1206556).abs() < 1e-6);
        let slopes = TensorData::from([[0.0876452f32, 0.0195563, -0.1072015], [0.0, 0.0, 0.0]]);
        z.grad(&grads).unwrap().into_data().assert_approx_eq::<f32>(&slopes, Default::default());
    }

    /// ```python
    /// z = torch.tensor([[.5, -1, 2, .3], [0, 0, 1, -2]]); y = torch.tensor([[1., 0, 1, 0], [0, 1, 0, 0]])
    /// s = z.softmax(1)
    /// F.cross_entropy(z, y)  # 1.915281
    /// -(y * s.log() + (1 - y) * (1 - s + 1e-8).log()).sum(1).mean()  # 2.539782
    /// ```
    /// The formulas in Python's math, slopes by differences.
    #[test]
    fn several_labels_may_be_true() {
        let device = Device::flex().autodiff();
        let z = Tensor::<2>::from_data([[0.5, -1.0, 2.0, 0.3], [0.0, 0.0, 1.0, -2.0]], &device).require_grad();
        let y = Tensor::<2>::from_data([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]], &device);
        let plain = CrossEntropy { absent: false }.forward(z.clone(), y.clone());
        assert!((plain.into_scalar::<f32>() - 1.915_281).abs() < 1e-5);
        let loss = CrossEntropy { absent: true }.forward(z.clone(), y);
        let grads = loss.backward();
        assert!((loss.into_scalar::<f32>() - 2.539_782).abs() < 1e-5);
        let expected = [-0.360_423, 0.048_851, 0.125_539, 0.186_033, 0.071_938, -0.557_810, 0.479_355, 0.006_518];
        let slopes: Vec<f32> = z.grad(&grads).unwrap().into_data().iter::<f32>().collect();
        slopes
            .iter()
            .zip(expected)
            .for_each(|(ours, theirs): (&f32, f32)| assert!((ours - theirs).abs() < 1e-5, "{slopes:?}"));
    }

    /// A softmax that is all of one label says of the others that they are absent; a wrong one costs what the logarithm's bound allows.
    #[test]
    fn sure_predictions_have_a_finite_loss() {
        let device = Device::flex().autodiff();
        let z = Tensor::<2>::from_data([[200.0, -200.0]], &device).require_grad();
        for (y, least) in [([[1.0, 0.0]], 0.0), ([[0.0, 1.0]], 400.0)] {
            let loss = CrossEntropy { absent: true }.forward(z.clone(), Tensor::from_data(y, &device));
            let grads = loss.backward();
            let cost = loss.into_scalar::<f32>();
            assert!(cost.is_finite() && cost >= least, "{cost}");
            assert!(z.grad(&grads).unwrap().into_data().iter::<f32>().all(|slope| slope.is_finite()));
        }
    }

    #[test]
    fn it_is_a_sound_loss() {
        dualk_sdk::testing::check_loss(CrossEntropyOptions::default());
        dualk_sdk::testing::check_loss(CrossEntropyOptions { absent: true });
    }
}
