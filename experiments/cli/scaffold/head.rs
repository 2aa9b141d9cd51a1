//@ turns vectors into logits
//@ head = { type = "@NAME@", dim = 32 }
//! A head: vectors → logits.

use dualk_sdk::burn::nn::{Linear, LinearConfig};
use dualk_sdk::burn::tensor::activation::tanh;
use dualk_sdk::ops::linear;
use dualk_sdk::prelude::*;

// What a manifest can set, each with its default: `head = { type = "@NAME@", dim = 128 }`.
options! {
    /// Options of `@NAME@`.
    pub struct Options {
        /// Width of the hidden layer.
        #[schemars(range(min = 1))]
        pub dim: usize = 64,
    }
}

impl Component for Options {
    const NAME: &'static str = "@NAME@";
    const ABOUT: &'static str = "Two layers with tanh between.";
}

/// logits = U tanh(W x + b) + c.
///
/// An ordinary burn module: the optimizer, freezing and checkpoints find the parameters in its fields.
#[derive(Module, Debug)]
pub struct TanhHead {
    hidden: Linear,
    output: Linear,
    width: usize,
}

impl BuildHead for Options {
    type Module = TanhHead;

    // `context.network` is what the objective asks for, such as `decoder`; this head is the same for all.
    fn build(self, context: &HeadContext<'_>) -> Result<TanhHead> {
        let width = self.dim;
        let layer = |input, output| LinearConfig::new(input, output).init(context.device);
        Ok(TanhHead { hidden: layer(context.input, width), output: layer(width, context.outputs), width })
    }
}

impl Head for TanhHead {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        linear(&self.output, self.embed(x)) // [batch, outputs]
    }

    // What heads of later stages see of this one.
    fn embed(&self, x: Tensor<2>) -> Tensor<2> {
        tanh(linear(&self.hidden, x)) // [batch, dim]
    }

    fn width(&self) -> usize {
        self.width
    }
}

export_plugin! { head: Options }

#[cfg(test)]
mod tests {
    use super::*;

    // Shapes, gradients, weights, wrong options: `cargo test` says what is wrong with any of it.
    #[test]
    fn it_is_a_sound_head() {
        dualk_sdk::testing::check_head(Options { dim: 4 });
    }
}
