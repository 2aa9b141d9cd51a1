//! Slot `loss`: logits and targets → a number to minimise.

use super::Component;
use crate::Result;
use burn::tensor::Tensor;

/// Compares logits with targets.
pub trait Loss: Send + Sync {
    /// The loss, averaged as its publication does.
    ///
    /// # Shapes
    /// - `logits`, `targets`: `[batch, columns]`, targets 0 or 1
    /// - output: `[1]`
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1>;
}

/// Options of a loss.
pub trait BuildLoss: Component {
    /// Checks the options.
    fn build(self) -> Result<Box<dyn Loss>>;
}
