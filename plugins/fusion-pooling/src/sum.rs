//! `sum`: the sum of the members.

use crate::activation::Activation;
use dualk_sdk::ops::{Pooling, pool};
use dualk_sdk::prelude::*;

options! {
    /// Options of `sum`.
    pub struct SumOptions {
        /// What the sum passes through: `none`, `relu` or `tanh`.
        pub activation: Activation = Activation::None,
    }
}

impl Component for SumOptions {
    const NAME: &'static str = "sum";
    const ABOUT: &'static str = "Sum of the members, which is the product of a multi-hot vector with their embeddings.";
}

/// out_s = f(Σ_{x ∈ s} x).
#[derive(Module, Debug)]
pub struct Sum {
    #[module(skip)]
    activation: Activation,
    width: usize,
}

impl BuildFusion for SumOptions {
    type Module = Sum;

    fn build(self, context: &FusionContext<'_>) -> Result<Sum> {
        Ok(Sum { activation: self.activation, width: context.width })
    }
}

impl Fusion for Sum {
    fn forward(&self, values: Tensor<2>, sets: &Sets) -> Tensor<2> {
        self.activation.apply(pool(values, sets, Pooling::Sum)) // [sets, width]
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_hand() {
        let device = Device::flex();
        for (activation, expected) in [
            (Activation::None, [[2.0f32, -1.0], [0.0, 0.0]]),
            (Activation::Relu, [[2.0, 0.0], [0.0, 0.0]]),
            (Activation::Tanh, [[2f32.tanh(), -1f32.tanh()], [0.0, 0.0]]),
        ] {
            let context = FusionContext { width: 2, level: FusionLevel::Codes, device: &device };
            let sum = SumOptions { activation }.build(&context).unwrap();
            let values = Tensor::<2>::from_data([[0.0, -2.0], [1.0, 0.5]], &device);
            let out = sum.forward(values, &Sets::new([vec![0, 1, 1], vec![]].into_iter().collect()));
            out.into_data().assert_approx_eq::<f32>(&TensorData::from(expected), Default::default());
        }
    }
}
