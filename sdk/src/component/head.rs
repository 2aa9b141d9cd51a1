//! Slot `head`: vectors → logits.

use super::{Builds, Component, Slot, SlotKind};
use crate::Result;
use crate::boundary::guard::has_shape;
use crate::boundary::{AsSlot, SlotModule};
use crate::data::Batch;
use crate::data::knowledge::Knowledge;
use burn::tensor::{Device, Tensor};
use std::sync::Arc;

/// What a head gets from the experiment.
pub struct HeadContext<'a> {
    /// The network that the objective asks for, by a word such as `decoder`; empty where any will do.
    pub network: &'a str,
    /// Width of what it sees.
    pub input: usize,
    /// Number of logits.
    pub outputs: usize,
    /// Width of the embedding of the code that each logit asks for, where logits ask for codes.
    pub code_width: Option<usize>,
    /// What is known of the codes that logits ask for, where the manifest names a knowledge graph.
    pub knowledge: Option<AskedOf<'a>>,
    /// Where to create parameters.
    pub device: &'a Device,
}

/// A knowledge graph, and what is asked of it.
#[derive(Debug, Clone, Copy)]
pub struct AskedOf<'a> {
    /// The graph.
    pub graph: &'a Arc<Knowledge>,
    /// For each logit its node.
    pub asked: &'a [u32],
}

/// Turns vectors into logits. Implementations are burn modules.
pub trait Head {
    /// The logits of a batch of vectors.
    ///
    /// # Shapes
    /// - `x`: `[batch, input]`
    /// - output: `[batch, outputs]`
    fn forward(&self, x: Tensor<2>) -> Tensor<2>;

    /// Logits of a head that [looks at codes](Head::looks_at_codes).
    ///
    /// # Shapes
    /// - `x`: `[batch, input]`
    /// - `codes`: `[outputs, code_width]`, embeddings of the codes that the logits ask for
    /// - output: `[batch, outputs]`
    fn forward_with_codes(&self, x: Tensor<2>, codes: Tensor<2>) -> Tensor<2> {
        let _ = codes;
        self.forward(x)
    }

    /// Whether it is given the embeddings of codes, where its logits ask for codes.
    fn looks_at_codes(&self) -> bool {
        false
    }

    /// Logits of a head that [looks at histories](Head::looks_at_histories).
    ///
    /// # Shapes
    /// - `x`: `[batch.len(), input]`
    /// - output: `[batch.len(), outputs]`
    fn forward_with_histories(&self, x: Tensor<2>, batch: &Batch) -> Tensor<2> {
        let _ = batch;
        self.forward(x)
    }

    /// Whether it is given the codes and laboratory items of the patients, and no embeddings of codes.
    fn looks_at_histories(&self) -> bool {
        false
    }

    /// What heads of later stages see of this one when it is kept: what its last layer sees.
    ///
    /// # Shapes
    /// - `x`: `[batch, input]`
    /// - output: `[batch, self.width()]`
    fn embed(&self, x: Tensor<2>) -> Tensor<2>;

    /// Width of [`Head::embed`].
    fn width(&self) -> usize;
}

/// A head from any plugin, as a burn module.
pub type HeadModule = SlotModule<dyn Head>;

impl<M: Head + 'static> AsSlot<dyn Head> for M {
    const TRAIT: &'static str = "Head";

    fn as_slot(&self) -> &(dyn Head + 'static) {
        self
    }
}

impl Head for HeadModule {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.guard(|inner| inner.forward(x))
    }

    fn forward_with_codes(&self, x: Tensor<2>, codes: Tensor<2>) -> Tensor<2> {
        self.guard(|inner| inner.forward_with_codes(x, codes))
    }

    fn looks_at_codes(&self) -> bool {
        self.guard(|inner| inner.looks_at_codes())
    }

    fn forward_with_histories(&self, x: Tensor<2>, batch: &Batch) -> Tensor<2> {
        self.guard(|inner| inner.forward_with_histories(x, batch))
    }

    fn looks_at_histories(&self) -> bool {
        self.guard(|inner| inner.looks_at_histories())
    }

    fn embed(&self, x: Tensor<2>) -> Tensor<2> {
        let rows = x.dims()[0];
        self.guard(|inner| {
            let output = inner.embed(x);
            has_shape(output.dims(), [rows, inner.width()], "its width() says");
            output
        })
    }

    fn width(&self) -> usize {
        self.guard(|inner| inner.width())
    }
}

impl HeadModule {
    /// [`Head::forward`], with embeddings of codes where there are, or the histories of `batch` where it looks at them,
    /// which must give so many `outputs`.
    pub(crate) fn logits(&self, x: Tensor<2>, codes: Option<Tensor<2>>, batch: &Batch, outputs: usize) -> Tensor<2> {
        let rows = x.dims()[0];
        self.guard(|inner| {
            let logits = match codes {
                _ if inner.looks_at_histories() => inner.forward_with_histories(x, batch),
                Some(codes) => inner.forward_with_codes(x, codes),
                None => inner.forward(x),
            };
            let expected = [rows, outputs];
            assert!(logits.dims() == expected, "the logits are {:?}, expected {expected:?}", logits.dims());
            logits
        })
    }
}

/// Options of a head.
pub trait BuildHead: Component {
    /// The module these options describe.
    type Module: Head + burn::module::Module + 'static;
    /// Checks the options and creates the parameters.
    fn build(self, context: &HeadContext<'_>) -> Result<Self::Module>;
}

/// The slot `head`.
pub enum HeadSlot {}

impl SlotKind for HeadSlot {
    const SLOT: Slot = Slot::Head;
    type Context<'a> = HeadContext<'a>;
    type Object = HeadModule;
}

impl<C: BuildHead> Builds<HeadSlot> for C {
    fn build_object(self, context: &HeadContext<'_>, origin: &Arc<str>) -> Result<HeadModule> {
        Ok(HeadModule::new(self.build(context)?, origin.clone()))
    }
}
