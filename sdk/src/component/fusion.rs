//! Slot `fusion`: sets of vectors → one vector each. Used twice: codes → visit and visits → patient.

use super::{Builds, Component, Slot, SlotKind};
use crate::Result;
use crate::boundary::guard::has_shape;
use crate::boundary::{AsSlot, SlotModule};
use crate::data::Sets;
use burn::tensor::{Device, Tensor};
use std::sync::Arc;

/// What the sets of a fusion are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FusionLevel {
    /// Codes of a visit, in no particular order.
    Codes,
    /// Visits of a patient, in time order.
    Visits,
}

/// What a fusion gets from the experiment.
pub struct FusionContext<'a> {
    /// Width of the vectors.
    pub width: usize,
    /// What the sets are.
    pub level: FusionLevel,
    /// Where to create parameters.
    pub device: &'a Device,
}

impl<'a> FusionContext<'a> {
    /// For codes of visits, in vectors of a width.
    pub fn codes(width: usize, device: &'a Device) -> Self {
        Self { width, level: FusionLevel::Codes, device }
    }

    /// For visits of patients, in vectors of a width.
    pub fn visits(width: usize, device: &'a Device) -> Self {
        Self { width, level: FusionLevel::Visits, device }
    }
}

/// Turns sets of rows of a table into one vector each. Implementations are burn modules.
pub trait Fusion {
    /// The vectors of the sets. An empty set gives the zero vector.
    ///
    /// # Shapes
    /// - `values`: `[rows, width]`; `sets` points into its rows
    /// - output: `[sets.len(), self.width()]`
    fn forward(&self, values: Tensor<2>, sets: &Sets) -> Tensor<2>;

    /// Width of a fused vector.
    fn width(&self) -> usize;
}

/// A fusion from any plugin, as a burn module.
pub type FusionModule = SlotModule<dyn Fusion>;

impl<M: Fusion + 'static> AsSlot<dyn Fusion> for M {
    const TRAIT: &'static str = "Fusion";

    fn as_slot(&self) -> &(dyn Fusion + 'static) {
        self
    }
}

impl Fusion for FusionModule {
    fn forward(&self, values: Tensor<2>, sets: &Sets) -> Tensor<2> {
        let rows = sets.len();
        self.guard(|inner| {
            let output = inner.forward(values, sets);
            has_shape(output.dims(), [rows, inner.width()], "its width() says");
            output
        })
    }

    fn width(&self) -> usize {
        self.guard(|inner| inner.width())
    }
}

/// Options of a fusion.
pub trait BuildFusion: Component {
    /// The module these options describe.
    type Module: Fusion + burn::module::Module + 'static;
    /// Checks the options and creates the parameters.
    fn build(self, context: &FusionContext<'_>) -> Result<Self::Module>;
}

/// The slot `fusion`.
pub enum FusionSlot {}

impl SlotKind for FusionSlot {
    const SLOT: Slot = Slot::Fusion;
    type Context<'a> = FusionContext<'a>;
    type Object = FusionModule;
}

impl<C: BuildFusion> Builds<FusionSlot> for C {
    fn build_object(self, context: &FusionContext<'_>, origin: &Arc<str>) -> Result<FusionModule> {
        Ok(FusionModule::new(self.build(context)?, origin.clone()))
    }
}
