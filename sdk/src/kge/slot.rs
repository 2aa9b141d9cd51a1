//! Slot `kge_model`: an embedding model of a knowledge graph.

use super::EmbeddingModel;
use crate::Result;
use crate::component::{Builds, Component, Slot, SlotKind};
use std::sync::Arc;

/// Options of an embedding model.
pub trait BuildKgeModel: Component {
    /// Checks the options.
    fn build(self) -> Result<Box<dyn EmbeddingModel>>;
}

/// The slot `kge_model`.
pub enum KgeModelSlot {}

impl SlotKind for KgeModelSlot {
    const SLOT: Slot = Slot::KgeModel;
    type Context<'a> = ();
    type Object = Box<dyn EmbeddingModel>;
}

impl<C: BuildKgeModel> Builds<KgeModelSlot> for C {
    fn build_object(self, _: &(), _: &Arc<str>) -> Result<Box<dyn EmbeddingModel>> {
        self.build()
    }
}
