//! Slot `patient_encoder`: code embeddings and visits → one vector a patient.

use super::{Builds, Component, PartKey, Slot, SlotKind, SubParts};
use crate::Result;
use crate::boundary::guard::has_shape;
use crate::boundary::{AsSlot, SlotModule};
use crate::data::Batch;
use crate::graph::Graph;
use burn::tensor::{Device, Tensor};
use std::sync::Arc;

/// What a patient encoder gets from the experiment.
pub struct PatientEncoderContext<'a> {
    /// Width of the code embeddings.
    pub width: usize,
    /// Code of each node, dotted; entry 0 is the empty text of the padding node. A check before the data is read gives
    /// few made-up ones.
    pub codes: &'a [String],
    /// Where to create parameters.
    pub device: &'a Device,
    /// Builds the parts that the encoder is [made of](Component::PARTS).
    pub parts: &'a dyn SubParts,
}

/// Turns the visits of patients into one vector each. Implementations are burn modules.
pub trait PatientEncoder {
    /// The vectors of the patients of a batch.
    ///
    /// # Shapes
    /// - `embeddings`: `[nodes, width]`, of which `batch.codes` names rows
    /// - output: `[batch.len(), self.width()]`
    fn forward(&self, embeddings: Tensor<2>, graph: &Graph, batch: &Batch) -> Tensor<2>;

    /// Width of a patient vector.
    fn width(&self) -> usize;
}

impl PartKey {
    /// The patient vector, with age and sex in it where these enter.
    pub const PATIENT_ENCODER: Self = Self::new("patient_encoder");
}

/// A patient encoder from any plugin, as a burn module.
pub type PatientEncoderModule = SlotModule<dyn PatientEncoder>;

impl<M: PatientEncoder + 'static> AsSlot<dyn PatientEncoder> for M {
    const TRAIT: &'static str = "PatientEncoder";

    fn as_slot(&self) -> &(dyn PatientEncoder + 'static) {
        self
    }
}

impl PatientEncoder for PatientEncoderModule {
    fn forward(&self, embeddings: Tensor<2>, graph: &Graph, batch: &Batch) -> Tensor<2> {
        let rows = batch.visits.len();
        self.guard(|inner| {
            let output = inner.forward(embeddings, graph, batch);
            has_shape(output.dims(), [rows, inner.width()], "its width() says");
            output
        })
    }

    fn width(&self) -> usize {
        self.guard(|inner| inner.width())
    }
}

/// Options of a patient encoder.
pub trait BuildPatientEncoder: Component {
    /// The module these options describe.
    type Module: PatientEncoder + burn::module::Module + 'static;
    /// Checks the options and creates the parameters.
    fn build(self, context: &PatientEncoderContext<'_>) -> Result<Self::Module>;
}

/// The slot `patient_encoder`.
pub enum PatientEncoderSlot {}

impl SlotKind for PatientEncoderSlot {
    const SLOT: Slot = Slot::PatientEncoder;
    type Context<'a> = PatientEncoderContext<'a>;
    type Object = PatientEncoderModule;
}

impl<C: BuildPatientEncoder> Builds<PatientEncoderSlot> for C {
    fn build_object(self, context: &PatientEncoderContext<'_>, origin: &Arc<str>) -> Result<PatientEncoderModule> {
        Ok(PatientEncoderModule::new(self.build(context)?, origin.clone()))
    }
}
