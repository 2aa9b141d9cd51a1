//@ turns sets of vectors into one vector each
//@ code_fusion = { type = "@NAME@", dim = 32 }
//@ visit_fusion = { type = "@NAME@", dim = 32 }
//! A fusion: sets of vectors → one vector each. Used for the codes of a visit and for the visits of a patient.

use dualk_sdk::burn::nn::{Linear, LinearConfig};
use dualk_sdk::ops::{Pooling, linear, pool};
use dualk_sdk::prelude::*;

// What a manifest can set, each with its default: `code_fusion = { type = "@NAME@", dim = 128 }`.
options! {
    /// Options of `@NAME@`.
    pub struct Options {
        /// Width of a fused vector.
        #[schemars(range(min = 1))]
        pub dim: usize = 64,
    }
}

impl Component for Options {
    const NAME: &'static str = "@NAME@";
    const ABOUT: &'static str = "A linear layer, then the mean over the members of each set.";
}

/// y_s = mean of W x_m + b over the members m of set s; zero for an empty set.
///
/// An ordinary burn module: the optimizer, freezing and checkpoints find the parameters in its fields.
#[derive(Module, Debug)]
pub struct MeanFusion {
    layer: Linear,
    width: usize,
}

impl BuildFusion for Options {
    type Module = MeanFusion;

    fn build(self, context: &FusionContext<'_>) -> Result<MeanFusion> {
        let width = self.dim;
        // `context.level` tells codes from visits, for fusions to which the order of time matters.
        Ok(MeanFusion { layer: LinearConfig::new(context.width, width).init(context.device), width })
    }
}

impl Fusion for MeanFusion {
    fn forward(&self, values: Tensor<2>, sets: &Sets) -> Tensor<2> {
        let values = linear(&self.layer, values); // [rows, dim], once a row however often it occurs
        pool(values, sets, Pooling::Mean) // [sets, dim]
    }

    fn width(&self) -> usize {
        self.width
    }
}

export_plugin! { fusion: Options }

#[cfg(test)]
mod tests {
    use super::*;

    // Shapes, gradients, weights, empty sets, wrong options: `cargo test` says what is wrong with any of it.
    #[test]
    fn it_is_a_sound_fusion() {
        dualk_sdk::testing::check_fusion(Options { dim: 4 });
    }
}
