//! Slot `lab`: abnormal laboratory items → vector.

use super::{Builds, Component, PartKey, Slot, SlotKind};
use crate::Result;
use crate::boundary::guard::has_shape;
use crate::boundary::{AsSlot, SlotModule};
use burn::tensor::{Device, Tensor};
use std::sync::Arc;

/// What a lab encoder gets from the experiment.
pub struct LabEncoderContext<'a> {
    /// Number of laboratory items, at least 1.
    pub labs: usize,
    /// Where to create parameters.
    pub device: &'a Device,
}

/// Turns the abnormal laboratory items of an admission into a vector. Implementations are burn modules.
pub trait LabEncoder {
    /// The vectors of a batch of admissions.
    ///
    /// # Shapes
    /// - `labs`: `[batch, labs]`, 1 for abnormal and 0 otherwise
    /// - output: `[batch, self.width()]`
    fn forward(&self, labs: Tensor<2>) -> Tensor<2>;

    /// Width of the vector.
    fn width(&self) -> usize;

    /// Whether the vector depends on the items. Where it does not, and no head tells visits apart, copy paths
    /// and baselines see none either.
    fn sees_items(&self) -> bool {
        true
    }
}

impl PartKey {
    /// The lab vector.
    pub const LAB: Self = Self::new("lab");
}

/// A lab encoder from any plugin, as a burn module.
pub type LabEncoderModule = SlotModule<dyn LabEncoder>;

impl<M: LabEncoder + 'static> AsSlot<dyn LabEncoder> for M {
    const TRAIT: &'static str = "LabEncoder";

    fn as_slot(&self) -> &(dyn LabEncoder + 'static) {
        self
    }
}

impl LabEncoder for LabEncoderModule {
    fn forward(&self, labs: Tensor<2>) -> Tensor<2> {
        let rows = labs.dims()[0];
        self.guard(|inner| {
            let output = inner.forward(labs);
            has_shape(output.dims(), [rows, inner.width()], "its width() says");
            output
        })
    }

    fn width(&self) -> usize {
        self.guard(|inner| inner.width())
    }

    fn sees_items(&self) -> bool {
        self.guard(|inner| inner.sees_items())
    }
}

/// Options of a lab encoder.
pub trait BuildLabEncoder: Component {
    /// The module these options describe.
    type Module: LabEncoder + burn::module::Module + 'static;
    /// Checks the options and creates the parameters.
    fn build(self, context: &LabEncoderContext<'_>) -> Result<Self::Module>;
}

/// The slot `lab`.
pub enum LabSlot {}

impl SlotKind for LabSlot {
    const SLOT: Slot = Slot::Lab;
    type Context<'a> = LabEncoderContext<'a>;
    type Object = LabEncoderModule;
}

impl<C: BuildLabEncoder> Builds<LabSlot> for C {
    fn build_object(self, context: &LabEncoderContext<'_>, origin: &Arc<str>) -> Result<LabEncoderModule> {
        Ok(LabEncoderModule::new(self.build(context)?, origin.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(burn::module::Module, Debug)]
    struct Constant {
        sees: bool,
    }

    impl LabEncoder for Constant {
        fn forward(&self, labs: Tensor<2>) -> Tensor<2> {
            Tensor::zeros([labs.dims()[0], 1], &labs.device())
        }

        fn width(&self) -> usize {
            1
        }

        fn sees_items(&self) -> bool {
            self.sees
        }
    }

    #[test]
    fn the_encoder_itself_says_whether_items_enter() {
        let module = |sees| LabEncoderModule::new(Constant { sees }, "another name than none");
        assert_eq!([true, false].map(|sees| module(sees).sees_items()), [true, false]);
    }
}
