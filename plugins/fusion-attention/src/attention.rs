//! `attention`: DuaLK's simple fusion.

use dualk_sdk::burn::module::Initializer;
use dualk_sdk::burn::nn::{Dropout, DropoutConfig};
use dualk_sdk::ops::{matmul, softmax_pool};
use dualk_sdk::prelude::*;

options! {
    /// Options of `attention`.
    pub struct AttentionOptions {
        /// Dropout rate of the attention weights.
        #[schemars(with = "Fraction")]
        pub dropout: f64 = 0.2,
        /// Standard deviation of the weights at the start. 1 is as published: the softmax of a wide set is then close to a maximum.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        pub start_std: f64 = 1.0,
    }
}

impl Component for AttentionOptions {
    const NAME: &'static str = "attention";
    const ABOUT: &'static str = "Softmax over the set in every channel, from a square projection; weighted sum.";
    const CITATION: &'static str = "DuaLK, arXiv 2410.19955";
}

/// out_s = Σ_{x ∈ s} dropout(softmax_{x ∈ s}(x W)) ∘ x, the softmax separate for each channel.
#[derive(Module, Debug)]
pub struct Attention {
    weight: Param<Tensor<2>>,
    dropout: Dropout,
    width: usize,
}

impl BuildFusion for AttentionOptions {
    type Module = Attention;

    fn build(self, context: &FusionContext<'_>) -> Result<Attention> {
        let dropout = DropoutConfig::new(self.dropout).init();
        let width = context.width;
        let weight = Initializer::Normal { mean: 0.0, std: self.start_std }.init([width, width], context.device);
        Ok(Attention { weight, dropout, width })
    }
}

impl Fusion for Attention {
    fn forward(&self, values: Tensor<2>, sets: &Sets) -> Tensor<2> {
        // Projected once a row of the table, however often the row occurs in the sets.
        let scores = matmul(values.clone(), self.weight.val()); // [rows, width]
        softmax_pool(scores, values, sets, &self.dropout) // [sets, width]
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(dropout: f64, device: &Device) -> Result<Attention> {
        AttentionOptions { dropout, ..AttentionOptions::default() }.build(&FusionContext {
            width: 3,
            level: FusionLevel::Codes,
            device,
        })
    }

    #[test]
    fn weights_start_as_spread_as_is_asked() {
        let device = Device::flex();
        for start_std in [1.0, 0.05] {
            let context = FusionContext { width: 64, level: FusionLevel::Codes, device: &device };
            let module = AttentionOptions { dropout: 0.0, start_std }.build(&context).unwrap();
            let weights: Vec<f32> = module.weight.val().into_data().iter().collect();
            let square = weights.iter().map(|w| f64::from(w * w)).sum::<f64>() / weights.len() as f64;
            assert!((square.sqrt() / start_std - 1.0).abs() < 0.1, "{start_std}: {}", square.sqrt());
        }
    }

    #[test]
    fn one_member_is_itself_and_none_is_zero() {
        let device = Device::flex();
        let values = Tensor::<2>::from_data([[1.0, -2.0, 3.0], [0.5, 0.25, -4.0]], &device);
        let sets = Sets::new([vec![1], vec![], vec![0, 0]].into_iter().collect());
        let out = build(0.2, &device).unwrap().forward(values, &sets).into_data();
        let expected = TensorData::from([[0.5f32, 0.25, -4.0], [0.0, 0.0, 0.0], [1.0, -2.0, 3.0]]);
        out.assert_approx_eq::<f32>(&expected, Default::default());
    }
}
