//! Slot `loss`: logits and targets → a number to minimise.

use super::{Builds, Component, Slot, SlotKind};
use crate::Result;
use crate::data::Ragged;
use crate::plugin::Guarded;
use burn::tensor::Tensor;
use std::sync::Arc;

/// Compares logits with targets.
pub trait Loss: Send + Sync {
    /// The loss, averaged as its publication does.
    ///
    /// # Shapes
    /// - `logits`, `targets`: `[batch, columns]`, targets 0 or 1
    /// - output: `[1]`
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1>;

    /// The same loss for one head, after a look at its training targets: the positive columns, of `columns`, of each
    /// example. `None`, the default, where nothing depends on them.
    fn fitted(&self, targets: &Ragged<u32>, columns: usize) -> Option<Box<dyn Loss>> {
        let _ = (targets, columns);
        None
    }
}

/// Options of a loss.
pub trait BuildLoss: Component {
    /// Checks the options.
    fn build(self) -> Result<Box<dyn Loss>>;
}

/// The slot `loss`.
pub enum LossSlot {}

impl SlotKind for LossSlot {
    const SLOT: Slot = Slot::Loss;
    type Context<'a> = ();
    type Object = Box<dyn Loss>;
}

impl<C: BuildLoss> Builds<LossSlot> for C {
    fn build_object(self, _: &(), origin: &Arc<str>) -> Result<Box<dyn Loss>> {
        Ok(Box::new(Guarded { inner: self.build()?, origin: origin.clone() }))
    }
}
