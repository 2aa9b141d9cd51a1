//@ turns node features and the disease graph into embeddings of codes
//@ graph_encoder = { type = "@NAME@", dim = 32 }
//! A graph encoder: node features and the disease graph → one embedding per code.

use dualk_sdk::burn::nn::{Linear, LinearConfig};
use dualk_sdk::ops::{Adjacency, linear, propagate};
use dualk_sdk::prelude::*;

// What a manifest can set, each with its default: `graph_encoder = { type = "@NAME@", dim = 128 }`.
options! {
    /// Options of `@NAME@`.
    pub struct Options {
        /// Width of an embedding.
        #[schemars(range(min = 1))]
        pub dim: usize = 64,
    }
}

impl Component for Options {
    const NAME: &'static str = "@NAME@";
    const ABOUT: &'static str = "A linear layer, then the weighted mean over a code and its neighbours.";
}

/// y_i = Σ_j a_ij (W x_j + b), where a_ij is the normalised weight of the edge from j to i.
///
/// An ordinary burn module: the optimizer, freezing and checkpoints find the parameters in its fields.
#[derive(Module, Debug)]
pub struct Encoder {
    layer: Linear,
    width: usize,
}

impl BuildGraphEncoder for Options {
    type Module = Encoder;

    fn build(self, context: &GraphEncoderContext<'_>) -> Result<Encoder> {
        let width = self.dim;
        Ok(Encoder { layer: LinearConfig::new(context.input, width).init(context.device), width })
    }
}

impl GraphEncoder for Encoder {
    fn forward(&self, features: Tensor<2>, graph: &Graph) -> Tensor<2> {
        let adjacency = Adjacency::normalized(graph, true); // made once and kept with the graph
        propagate(&adjacency, linear(&self.layer, features)) // [nodes, dim]
    }

    fn width(&self) -> usize {
        self.width
    }
}

export_plugin! { graph_encoder: Options }

#[cfg(test)]
mod tests {
    use super::*;

    // Shapes, gradients, weights, odd graphs, wrong options: `cargo test` says what is wrong with any of it.
    #[test]
    fn it_is_a_sound_graph_encoder() {
        dualk_sdk::testing::check_graph_encoder(Options { dim: 4 });
    }
}
