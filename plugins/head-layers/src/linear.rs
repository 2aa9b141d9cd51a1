//! `linear`: one layer after dropout, whatever network an objective asks for.

use dualk_sdk::burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use dualk_sdk::ops::linear;
use dualk_sdk::prelude::*;

options! {
    /// Options of `linear`.
    pub struct LinearOptions {
        /// Dropout rate of the input.
        #[schemars(with = "Fraction")]
        pub dropout: f64 = 0.4,
    }
}

impl Component for LinearOptions {
    const NAME: &'static str = "linear";
    const ABOUT: &'static str = "One layer after dropout.";
}

/// fc(dropout(x)).
#[derive(Module, Debug)]
pub struct LinearHead {
    fc: Linear,
    dropout: Dropout,
}

impl LinearHead {
    /// A layer with PyTorch's defaults: weight and bias uniform in ±1/√inputs.
    pub fn new(input: usize, outputs: usize, dropout: f64, device: &Device) -> Self {
        Self { fc: LinearConfig::new(input, outputs).init(device), dropout: DropoutConfig::new(dropout).init() }
    }
}

impl BuildHead for LinearOptions {
    type Module = LinearHead;

    fn build(self, context: &HeadContext<'_>) -> Result<LinearHead> {
        Ok(LinearHead::new(context.input, context.outputs, self.dropout, context.device))
    }
}

impl Head for LinearHead {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        linear(&self.fc, self.dropout.forward(x)) // [batch, outputs]
    }

    fn embed(&self, x: Tensor<2>) -> Tensor<2> {
        x
    }

    fn width(&self) -> usize {
        self.fc.weight.lazy_shape()[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dualk_sdk::model::draw_parameters;

    #[test]
    fn it_is_a_sound_head() {
        dualk_sdk::testing::check_head(LinearOptions::default());
    }

    #[test]
    fn weights_start_within_one_over_the_root_of_the_inputs() {
        let fc = draw_parameters(LinearHead::new(100, 500, 0.0, &Device::flex()).fc);
        for tensor in [fc.weight.val().flatten::<1>(0, 1), fc.bias.unwrap().val()] {
            let values: Vec<f32> = tensor.into_data().iter::<f32>().collect();
            let largest = values.iter().fold(0f32, |m, v| m.max(v.abs()));
            assert!(largest <= 0.1 && largest > 0.08, "{largest}");
        }
    }
}
