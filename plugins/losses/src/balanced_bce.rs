//! `balanced_bce`: cross-entropy in which each code's positives weigh as much as its negatives, by the training labels.

use crate::log_sigmoid::log_sigmoid;
use dualk_sdk::ops::mean;
use dualk_sdk::prelude::*;

options! {
    /// Options of `balanced_bce`.
    pub struct BalancedBceOptions {
        /// The largest weight of a positive entry.
        #[schemars(range(min = 1.0))]
        pub most: f64 = 100.0,
    }
}

impl Component for BalancedBceOptions {
    const NAME: &'static str = "balanced_bce";
    const ABOUT: &'static str =
        "Binary cross-entropy; positives of a code weigh by how much rarer than its negatives they are in training.";
    const CITATION: &'static str = "King and Zeng, Logistic Regression in Rare Events Data, 2001";
}

/// mean(−P_c y ln σ(z) − (1 − y) ln(1 − σ(z))), P_c = min(negatives_c / positives_c, most) over the training examples, and
/// 1 for a code without positives (PyTorch's `BCEWithLogitsLoss(pos_weight)`).
#[derive(Debug)]
pub struct BalancedBce {
    most: f64,
    /// One a column; none before the training targets were seen, when all weigh 1.
    weights: Vec<f32>,
}

impl BuildLoss for BalancedBceOptions {
    fn build(self) -> Result<Box<dyn Loss>> {
        Ok(Box::new(BalancedBce { most: self.most, weights: Vec::new() }))
    }
}

impl Loss for BalancedBce {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let absent = targets.clone().neg() + 1.0;
        let present = targets * log_sigmoid(logits.clone()); // [batch, codes]
        let present = match self.weights.is_empty() {
            true => present,
            false => {
                let weights = TensorData::new(self.weights.clone(), [1, self.weights.len()]);
                present * Tensor::from_data(weights, &logits.device())
            }
        };
        mean(present + absent * log_sigmoid(logits.neg())).neg() // [1]
    }

    fn fitted(&self, targets: &Ragged<u32>, columns: usize) -> Option<Box<dyn Loss>> {
        let mut counts = vec![0u32; columns];
        targets.values().iter().for_each(|&c| counts[c as usize] += 1);
        let weight = |&positives: &u32| match positives {
            0 => 1.0,
            n => ((targets.len() as f64 - f64::from(n)) / f64::from(n)).min(self.most) as f32,
        };
        Some(Box::new(BalancedBce { most: self.most, weights: counts.iter().map(weight).collect() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// z = torch.tensor([[.5, -1, 2, .3], [0, 0, 0, -2]]); y = torch.tensor([[1., 0, 1, 0], [1, 1, 0, 0]])
    /// torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1/3, 2.5, 1., 1.]))(z, y)  # 0.529570
    /// ```
    #[test]
    fn weights_and_loss_are_those_of_pytorch() {
        let targets: Ragged<u32> = [vec![0, 2], vec![0, 1], vec![0], vec![2]].into_iter().collect();
        let loss = BalancedBceOptions { most: 2.5 }.build().unwrap().fitted(&targets, 4).unwrap();
        let device = Device::flex();
        let z = Tensor::from_data([[0.5, -1.0, 2.0, 0.3], [0.0, 0.0, 0.0, -2.0]], &device);
        let y = Tensor::from_data([[1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]], &device);
        let ours = loss.forward(z, y).into_scalar::<f32>();
        assert!((ours - 0.529_57).abs() < 1e-6, "{ours}");
    }
}
