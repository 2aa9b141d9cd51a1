//! `gated`: attention whose scores pass a gate.

use dualk_sdk::burn::nn::{DropoutConfig, Linear, LinearConfig};
use dualk_sdk::ops::{linear, sigmoid, softmax_pool, tanh};
use dualk_sdk::prelude::*;

options! {
    /// Options of `gated`.
    pub struct GatedOptions {
        /// Width of the two projections that make a score.
        #[schemars(range(min = 1))]
        pub hidden: usize = 128,
    }
}

impl Component for GatedOptions {
    const NAME: &'static str = "gated";
    const ABOUT: &'static str = "One attention weight a member, scored by a projection times a learned gate.";
    const CITATION: &'static str = "Ilse et al., Attention-based Deep Multiple Instance Learning, ICML 2018";
}

/// out_s = Σ_{x ∈ s} softmax_{x ∈ s}(w · (tanh(x V + b_V) ∘ σ(x U + b_U))) x (eq. 7 and 9 of the paper, with the biases
/// of its published code).
#[derive(Module, Debug)]
pub struct Gated {
    content: Linear,
    gate: Linear,
    score: Linear,
    width: usize,
}

impl BuildFusion for GatedOptions {
    type Module = Gated;

    fn build(self, context: &FusionContext<'_>) -> Result<Gated> {
        let (hidden, width, device) = (self.hidden, context.width, context.device);
        let linear = LinearConfig::new(width, hidden);
        // A bias of the scores would cancel in the softmax.
        let score = LinearConfig::new(hidden, 1).with_bias(false).init(device);
        Ok(Gated { content: linear.init(device), gate: linear.init(device), score, width })
    }
}

impl Fusion for Gated {
    fn forward(&self, values: Tensor<2>, sets: &Sets) -> Tensor<2> {
        let (content, gate) =
            (tanh(linear(&self.content, values.clone())), sigmoid(linear(&self.gate, values.clone())));
        let scores = linear(&self.score, content * gate); // [rows, 1]
        softmax_pool(scores, values, sets, &DropoutConfig::new(0.0).init()) // [sets, width]
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(hidden: usize, device: &Device) -> Result<Gated> {
        GatedOptions { hidden }.build(&FusionContext { width: 3, level: FusionLevel::Codes, device })
    }

    #[test]
    fn one_member_is_itself_and_none_is_zero() {
        let device = Device::flex();
        let values = Tensor::<2>::from_data([[1.0, -2.0, 3.0], [0.5, 0.25, -4.0]], &device);
        let sets = Sets::new([vec![1], vec![], vec![0, 0]].into_iter().collect());
        let out = build(2, &device).unwrap().forward(values, &sets).into_data();
        let expected = TensorData::from([[0.5f32, 0.25, -4.0], [0.0, 0.0, 0.0], [1.0, -2.0, 3.0]]);
        out.assert_approx_eq::<f32>(&expected, Default::default());
    }
}
