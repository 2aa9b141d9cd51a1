//! `label_weighted`: cross-entropy in which positives weigh as much as negatives.

use crate::log_sigmoid::log_sigmoid;
use dualk_sdk::ops::sum;
use dualk_sdk::prelude::*;

options! {
    /// Options of `label_weighted`.
    pub struct LabelWeightedOptions {}
}

impl Component for LabelWeightedOptions {
    const NAME: &'static str = "label_weighted";
    const ABOUT: &'static str =
        "Binary cross-entropy with positives and negatives weighted by the inverse of their frequency in the batch.";
    const CITATION: &'static str = "Wang et al., ChestX-ray8, CVPR 2017 (W-CEL)";
}

/// −mean(β_P y ln p + β_N (1 − y) ln(1 − p)), p = σ(z), with β_P = (|P| + |N|) / |P| and β_N = (|P| + |N|) / |N|, where |P|
/// and |N| count the ones and zeros among the labels of the batch. A batch that lacks one kind has weight 0 for it. The
/// paper sums; the mean of its weighted terms is that of the positives plus that of the negatives.
#[derive(Debug)]
pub struct LabelWeighted;

impl BuildLoss for LabelWeightedOptions {
    fn build(self) -> Result<Box<dyn Loss>> {
        Ok(Box::new(LabelWeighted))
    }
}

impl Loss for LabelWeighted {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let negatives = targets.clone().neg() + 1.0;
        // Without any, the sum above it is 0 too.
        let count = |marks: &Tensor<2>| sum(marks.clone()).clamp_min(1.0);
        let counts = (count(&targets), count(&negatives));
        let positive = sum(targets * log_sigmoid(logits.clone())) / counts.0;
        let negative = sum(negatives * log_sigmoid(logits.neg())) / counts.1;
        (positive + negative).neg() // [1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(z: [[f32; 3]; 2], y: [[f32; 3]; 2]) -> f32 {
        let device = Device::flex();
        LabelWeighted.forward(Tensor::from_data(z, &device), Tensor::from_data(y, &device)).into_scalar::<f32>()
    }

    #[test]
    fn the_mean_of_each_kind_counts_once() {
        let z = [[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]];
        let ours = loss(z, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
        let softplus = |x: f32| x.exp().ln_1p();
        let positives = (softplus(-1.0) + softplus(-2.0)) / 2.0;
        let negatives = (3.0 * softplus(0.0) + softplus(-1.0)) / 4.0;
        assert!((ours - positives - negatives).abs() < 1e-6, "{ours}");
    }

    #[test]
    fn a_batch_of_one_kind_has_a_loss() {
        let ln2 = std::f32::consts::LN_2;
        assert!((loss([[0.0; 3]; 2], [[0.0; 3]; 2]) - ln2).abs() < 1e-6);
        assert!((loss([[0.0; 3]; 2], [[1.0; 3]; 2]) - ln2).abs() < 1e-6);
    }
}
