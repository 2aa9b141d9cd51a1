//! Slot `kge_model`: an embedding model of a knowledge graph.

use super::Component;
use crate::Result;
use crate::kge::EmbeddingModel;

/// Options of an embedding model.
pub trait BuildKgeModel: Component {
    /// Checks the options.
    fn build(self) -> Result<Box<dyn EmbeddingModel>>;
}
