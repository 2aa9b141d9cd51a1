//! Slot `graph_encoder`: node features and graph → code embeddings.

use super::{Builds, Component, Slot, SlotKind};
use crate::Result;
use crate::boundary::guard::has_shape;
use crate::boundary::{AsSlot, SlotModule};
use crate::graph::Graph;
use burn::tensor::{Device, Tensor};
use std::sync::Arc;

/// What a graph encoder gets from the experiment.
pub struct GraphEncoderContext<'a> {
    /// Width of the node features.
    pub input: usize,
    /// Code of each node, dotted; entry 0 is the empty text of the padding node. A check before the data is read gives
    /// few made-up ones.
    pub codes: &'a [String],
    /// Where to create parameters.
    pub device: &'a Device,
}

/// Turns node features and the graph into one embedding per node. Implementations are burn modules.
pub trait GraphEncoder {
    /// The embeddings of all nodes.
    ///
    /// # Shapes
    /// - `features`: `[nodes, input]`
    /// - output: `[nodes, self.width()]`
    fn forward(&self, features: Tensor<2>, graph: &Graph) -> Tensor<2>;

    /// Width of an embedding.
    fn width(&self) -> usize;
}

/// A graph encoder from any plugin, as a burn module.
pub type GraphEncoderModule = SlotModule<dyn GraphEncoder>;

impl<M: GraphEncoder + 'static> AsSlot<dyn GraphEncoder> for M {
    const TRAIT: &'static str = "GraphEncoder";

    fn as_slot(&self) -> &(dyn GraphEncoder + 'static) {
        self
    }
}

impl GraphEncoder for GraphEncoderModule {
    fn forward(&self, features: Tensor<2>, graph: &Graph) -> Tensor<2> {
        let rows = features.dims()[0];
        self.guard(|inner| {
            let output = inner.forward(features, graph);
            has_shape(output.dims(), [rows, inner.width()], "its width() says");
            output
        })
    }

    fn width(&self) -> usize {
        self.guard(|inner| inner.width())
    }
}

/// Options of a graph encoder.
pub trait BuildGraphEncoder: Component {
    /// The module these options describe.
    type Module: GraphEncoder + burn::module::Module + 'static;
    /// Checks the options and creates the parameters.
    fn build(self, context: &GraphEncoderContext<'_>) -> Result<Self::Module>;
}

/// The slot `graph_encoder`.
pub enum GraphEncoderSlot {}

impl SlotKind for GraphEncoderSlot {
    const SLOT: Slot = Slot::GraphEncoder;
    type Context<'a> = GraphEncoderContext<'a>;
    type Object = GraphEncoderModule;
}

impl<C: BuildGraphEncoder> Builds<GraphEncoderSlot> for C {
    fn build_object(self, context: &GraphEncoderContext<'_>, origin: &Arc<str>) -> Result<GraphEncoderModule> {
        Ok(GraphEncoderModule::new(self.build(context)?, origin.clone()))
    }
}
