//! Slot `loss`: logits and targets → a number to minimise.

use super::{Builds, Component, Link, Slot, SlotKind};
use crate::Result;
use crate::boundary::Guarded;
use crate::boundary::guard::run;
use crate::data::Ragged;
use burn::tensor::Tensor;
use std::sync::Arc;

/// What the logits of several labels are that a loss has trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelScores {
    /// The sigmoid of each is a probability of its label.
    Probabilities,
    /// Their softmax divides one among the labels of an example, of which several may be true: a label with more of it is likelier, in
    /// another example too, but how likely it is nobody says.
    Shares,
    /// They order the labels of an example, and say nothing of those of another one.
    Order,
}

/// Compares logits with targets.
pub trait Loss: Send + Sync {
    /// The loss, averaged as its publication does.
    ///
    /// # Shapes
    /// - `logits`, `targets`: `[batch, columns]`, targets 0 or 1, or numbers as [`Loss::link`] says
    /// - output: `[1]`
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1>;

    /// What targets it compares with, where these are numbers; `None`, the default, where they are labels.
    fn link(&self) -> Option<Link> {
        None
    }

    /// What the logits of labels are that it trains. Where they are no probabilities, tables have no measures of these.
    fn label_scores(&self) -> LabelScores {
        LabelScores::Probabilities
    }

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

impl Loss for Guarded<dyn Loss> {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        run(&self.origin, || self.inner.forward(logits, targets))
    }

    fn link(&self) -> Option<Link> {
        run(&self.origin, || self.inner.link())
    }

    fn label_scores(&self) -> LabelScores {
        run(&self.origin, || self.inner.label_scores())
    }

    fn fitted(&self, targets: &Ragged<u32>, columns: usize) -> Option<Box<dyn Loss>> {
        let inner = run(&self.origin, || self.inner.fitted(targets, columns))?;
        Some(Box::new(Guarded { origin: self.origin.clone(), inner }))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken;

    impl Loss for Broken {
        fn forward(&self, _: Tensor<2>, _: Tensor<2>) -> Tensor<1> {
            panic!("no such loss")
        }
    }

    #[test]
    fn a_panic_in_a_method_names_the_component() {
        let loss: Guarded<dyn Loss> = Guarded { origin: "loss `broken` (plugin x.so)".into(), inner: Box::new(Broken) };
        let zeros = Tensor::<2>::zeros([1, 1], &burn::tensor::Device::flex());
        let error = crate::boundary::guard::catch(|| Ok(loss.forward(zeros.clone(), zeros))).unwrap_err();
        assert!(error.to_string().starts_with("loss `broken` (plugin x.so) panicked: no such loss"), "{error}");
    }
}
