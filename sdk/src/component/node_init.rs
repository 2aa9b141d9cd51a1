//! Slot `node_init`: codes → initial node features.

use super::{Builds, Component, Slot, SlotKind};
use crate::Result;
use crate::boundary::Guarded;
use crate::boundary::guard::run;
use burn::tensor::{Device, Tensor};
use std::sync::Arc;

/// What a node initialiser gets from the experiment.
pub struct NodeInitContext<'a> {
    /// Code of each node; entry 0 is the empty text of the padding node.
    pub codes: &'a [String],
    /// Where to put the features.
    pub device: &'a Device,
}

/// Gives every graph node its initial features, which are then trained.
pub trait NodeInit: Send + Sync {
    /// Features of all nodes.
    ///
    /// # Shapes
    /// - output: `[codes.len(), dim]`
    fn init(&self, context: &NodeInitContext<'_>) -> Result<NodeFeatures>;
}

/// Features and what to log about them.
#[derive(Debug, Clone)]
pub struct NodeFeatures {
    /// `[nodes, dim]`
    pub features: Tensor<2>,
    /// Remarks such as how many codes the table lacks.
    pub notes: Vec<(String, u64)>,
}

/// Options of a node initialiser.
pub trait BuildNodeInit: Component {
    /// Checks the options.
    fn build(self) -> Result<Box<dyn NodeInit>>;
}

impl NodeInit for Guarded<dyn NodeInit> {
    fn init(&self, context: &NodeInitContext<'_>) -> Result<NodeFeatures> {
        run(&self.origin, || self.inner.init(context))
    }
}

/// The slot `node_init`.
pub enum NodeInitSlot {}

impl SlotKind for NodeInitSlot {
    const SLOT: Slot = Slot::NodeInit;
    type Context<'a> = ();
    type Object = Box<dyn NodeInit>;
}

impl<C: BuildNodeInit> Builds<NodeInitSlot> for C {
    fn build_object(self, _: &(), origin: &Arc<str>) -> Result<Box<dyn NodeInit>> {
        Ok(Box::new(Guarded { inner: self.build()?, origin: origin.clone() }))
    }
}
