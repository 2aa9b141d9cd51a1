//! `label_weight`: cross-entropy with a weight for each code, as the DuaLK publication offers it.

use crate::log_sigmoid::log_sigmoid;
use dualk_sdk::ops::mean;
use dualk_sdk::prelude::*;

options! {
    /// Options of `label_weight`.
    pub struct LabelWeightOptions {}
}

impl Component for LabelWeightOptions {
    const NAME: &'static str = "label_weight";
    const ABOUT: &'static str = "Binary cross-entropy, each code weighted from 1 to 5 by how rare it is in training.";
    const CITATION: &'static str = "DuaLK, arXiv 2410.19955, loss = 'label_weight'";
}

/// mean(w_c (−y ln σ(z) − (1 − y) ln(1 − σ(z)))), w_c = 1 + 4 (r_c − min r) / (max r − min r + 1e-10) with
/// r_c = n / (count_c · C + 1e-10) for n training examples and C codes; positive and negative entries weigh the same.
///
/// A code that is no training label has r_c = 10¹⁰ n. Where there is one, the published weights are therefore 5 for all
/// such codes and 1, to rounding, for every other: they do not tell rare codes from frequent ones.
#[derive(Debug)]
pub struct LabelWeight {
    /// One a column; none before the training targets were seen, when all weigh 1.
    weights: Vec<f32>,
}

impl BuildLoss for LabelWeightOptions {
    fn build(self) -> Result<Box<dyn Loss>> {
        Ok(Box::new(LabelWeight { weights: Vec::new() }))
    }
}

impl Loss for LabelWeight {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let absent = targets.clone().neg() + 1.0;
        let loss = (targets * log_sigmoid(logits.clone()) + absent * log_sigmoid(logits.clone().neg())).neg(); // [batch, codes]
        if self.weights.is_empty() {
            return mean(loss); // [1]
        }
        let weights = TensorData::new(self.weights.clone(), [1, self.weights.len()]);
        mean(loss * Tensor::from_data(weights, &logits.device())) // [1]
    }

    fn fitted(&self, targets: &Ragged<u32>, columns: usize) -> Option<Box<dyn Loss>> {
        let mut counts = vec![0u32; columns];
        targets.values().iter().for_each(|&c| counts[c as usize] += 1);
        Some(Box::new(LabelWeight { weights: weights(targets.len(), &counts) }))
    }
}

/// The published arithmetic, in its 32 bits.
fn weights(examples: usize, counts: &[u32]) -> Vec<f32> {
    const SMALL: f32 = 1e-10;
    let codes = counts.len() as f32;
    let raw: Vec<f32> = counts.iter().map(|&count| examples as f32 / (count as f32 * codes + SMALL)).collect();
    let least = raw.iter().copied().fold(f32::INFINITY, f32::min);
    let most = raw.iter().copied().fold(0.0, f32::max);
    raw.iter().map(|r| 1.0 + (r - least) * (5.0 - 1.0) / (most - least + SMALL)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// y = torch.tensor([[1., 0, 1], [1, 1, 0], [1, 0, 0], [0, 0, 1]])
    /// w = 4 / (y.sum(0) * 3 + 1e-10); w = 1 + (w - w.min()) * 4 / (w.max() - w.min() + 1e-10)  # 1, 5, 2
    /// torch.nn.BCEWithLogitsLoss(weight=w)(torch.tensor([[.5, -1, 2], [0, 0, 0]]), y[:2])  # 1.306570
    /// ```
    #[test]
    fn weights_and_loss_are_those_of_pytorch() {
        let targets: Ragged<u32> = [vec![0, 2], vec![0, 1], vec![0], vec![2]].into_iter().collect();
        let loss = LabelWeight { weights: Vec::new() }.fitted(&targets, 3).unwrap();
        for (ours, expected) in weights(4, &[3, 1, 2]).iter().zip([1.0, 5.0, 2.0]) {
            assert!((ours - expected).abs() < 1e-6, "{ours}");
        }
        let device = Device::flex();
        let z = Tensor::from_data([[0.5, -1.0, 2.0], [0.0, 0.0, 0.0]], &device);
        let y = Tensor::from_data([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]], &device);
        let ours = loss.forward(z, y).into_scalar::<f32>();
        assert!((ours - 1.306_57).abs() < 1e-6, "{ours}");
    }

    #[test]
    fn a_code_without_labels_takes_the_whole_range() {
        let ours = weights(8000, &[0, 1, 4000]);
        assert_eq!(ours[0], 5.0);
        assert!(ours[1..].iter().all(|w| (w - 1.0).abs() < 1e-6), "{ours:?}");
    }
}
