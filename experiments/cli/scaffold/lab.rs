//@ turns abnormal laboratory items into a vector
//@ lab = { type = "@NAME@", dim = 32 }
//! A lab encoder: the abnormal laboratory items of an admission → a vector.

use dualk_sdk::burn::nn::{Linear, LinearConfig};
use dualk_sdk::burn::tensor::activation::tanh;
use dualk_sdk::ops::linear;
use dualk_sdk::prelude::*;

// What a manifest can set, each with its default: `lab = { type = "@NAME@", dim = 128 }`.
options! {
    /// Options of `@NAME@`.
    pub struct Options {
        /// Width of the vector.
        #[schemars(range(min = 1))]
        pub dim: usize = 64,
    }
}

impl Component for Options {
    const NAME: &'static str = "@NAME@";
    const ABOUT: &'static str = "One layer with tanh over the abnormal laboratory items.";
}

/// y = tanh(W x + b).
///
/// An ordinary burn module: the optimizer, freezing and checkpoints find the parameters in its fields.
#[derive(Module, Debug)]
pub struct TanhLab {
    layer: Linear,
    width: usize,
}

impl BuildLabEncoder for Options {
    type Module = TanhLab;

    fn build(self, context: &LabEncoderContext<'_>) -> Result<TanhLab> {
        let width = self.dim;
        Ok(TanhLab { layer: LinearConfig::new(context.labs, width).init(context.device), width })
    }
}

impl LabEncoder for TanhLab {
    fn forward(&self, labs: Tensor<2>) -> Tensor<2> {
        tanh(linear(&self.layer, labs)) // [batch, dim]
    }

    fn width(&self) -> usize {
        self.width
    }
}

export_plugin! { lab: Options }

#[cfg(test)]
mod tests {
    use super::*;

    // Shapes, gradients, weights, wrong options: `cargo test` says what is wrong with any of it.
    #[test]
    fn it_is_a_sound_lab_encoder() {
        dualk_sdk::testing::check_lab(Options { dim: 4 });
    }
}
