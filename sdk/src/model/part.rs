//! What is declared of a part of the model, and the vectors that it gives.

use crate::component::Slot;
use crate::data::Batch;
use burn::tensor::Tensor;

/// What a part computes from. Outputs of frozen parts that read the graph alone are precomputed, once a stage, and so are those
/// of frozen parts that read visits, where all that reads the graph is frozen too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// The graph, and no batch.
    Graph,
    /// The visits of a batch.
    Visits,
    /// The laboratory items of a batch.
    Labs,
}

impl Reads {
    /// Whether it computes from embedded nodes, or makes them.
    pub(super) fn needs_graph(self) -> bool {
        matches!(self, Self::Graph | Self::Visits)
    }
}

/// What serves as a part for which the manifest names no component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// What the recipe chooses, or else the one component that [serves by default](crate::component::Component::DEFAULT).
    Chosen,
    /// What the recipe chooses, or else nothing: the model is without the part. Its key has `#[serde(skip_serializing_if =
    /// "ComponentRef::is_open")]` in the list, so that manifests that leave it out are written as before there was the part.
    Nothing,
}

/// What is declared of a part before the heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartInfo {
    /// Its key in `[model]`.
    pub key: &'static str,
    /// The slot of its component.
    pub slot: Slot,
    /// What paths of its parameters begin with: the name of a field of [`Model`](super::Model), or of a part that a field is
    /// made of.
    pub path: &'static str,
    /// What it computes from.
    pub reads: Reads,
    /// What there is where the manifest names no component.
    pub otherwise: Otherwise,
    /// Whether it gives one vector a patient, so that heads may [see](crate::component::HeadSpec::sees) it.
    pub gives_vectors: bool,
    /// The key of the part that it is for: the model has it where the component of that
    /// [asks](crate::component::Component::PARTS) for it.
    pub of: Option<&'static str>,
}

/// What the vectors of a part are computed from.
pub(super) struct Given<'a> {
    /// `[batch, patient width]`, before age and sex are in them; `None` when no head looks at patients.
    pub(super) patients: Option<Tensor<2>>,
    pub(super) batch: &'a Batch,
}

/// Computes the vectors of a batch, `[batch, width]`; `None` where what they are computed from is not given.
type Compute<'a> = Box<dyn Fn(&Given<'_>) -> Option<Tensor<2>> + 'a>;

/// The vectors that a part gives, one a patient.
pub(super) struct Vectors<'a> {
    pub(super) width: usize,
    pub(super) of: Compute<'a>,
}
