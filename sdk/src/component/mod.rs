//! The slots of an experiment: what plugins implement.
//!
//! | slot | trait | options trait | such as |
//! |---|---|---|---|
//! | `parser` | [`Parser`] | [`BuildParser`] | `mimic4` |
//! | `node_init` | [`NodeInit`] | [`BuildNodeInit`] | `hake` |
//! | `graph_encoder` | [`GraphEncoder`] | [`BuildGraphEncoder`] | `gat` |
//! | `patient_encoder` | [`PatientEncoder`] | [`BuildPatientEncoder`] | `fusions`, `behrt` |
//! | `fusion` | [`Fusion`] | [`BuildFusion`] | `attention` |
//! | `lab` | [`LabEncoder`] | [`BuildLabEncoder`] | `linear` |
//! | `head` | [`Head`] | [`BuildHead`] | `mlp` |
//! | `loss` | [`Loss`] | [`BuildLoss`] | `weighted_bce` |
//! | `objective` | [`Objective`] | [`BuildObjective`] | `diagnosis` |
//! | `recipe` | [`Recipe`](crate::recipe::Recipe) | [`BuildRecipe`](crate::recipe::BuildRecipe) | `dualk` |
//! | `kge_model` | [`EmbeddingModel`](crate::kge::EmbeddingModel) | [`BuildKgeModel`](crate::kge::BuildKgeModel) | `hake` |
//!
//! A component is a set of options (a serde struct, made with [`options!`](crate::options!)) that implements
//! [`Component`] and the slot's options trait, whose `build` returns the slot's trait. Components with parameters
//! are ordinary burn modules.

use crate::{Error, Result};
use std::sync::Arc;

mod described;
mod fusion;
mod graph_encoder;
mod head;
mod lab_encoder;
mod loss;
mod node_init;
mod objective;
mod parser;
mod part_key;
mod patient_encoder;
mod reference;

pub use crate::options::{FilePath, Fraction, MadeFolder, Proportion, at_least, divisor, in_range, last_width};
pub use described::Component;
pub use fusion::{BuildFusion, Fusion, FusionContext, FusionLevel, FusionModule, FusionSlot};
pub use graph_encoder::{BuildGraphEncoder, GraphEncoder, GraphEncoderContext, GraphEncoderModule, GraphEncoderSlot};
pub use head::{AskedOf, BuildHead, Head, HeadContext, HeadModule, HeadSlot};
pub use lab_encoder::{BuildLabEncoder, LabEncoder, LabEncoderContext, LabEncoderModule, LabSlot};
pub use loss::{BuildLoss, LabelScores, Loss, LossSlot};
pub use node_init::{BuildNodeInit, NodeFeatures, NodeInit, NodeInitContext, NodeInitSlot};
pub use objective::{
    AskedVisit, Asks, BuildObjective, HeadSpec, Labs, Link, Meter, Objective, ObjectiveSlot, Predictions, Split,
};
pub use parser::{BuildParser, Inputs, Learns, Oracle, Parser, ParserContext, ParserSlot};
pub use part_key::PartKey;
pub use patient_encoder::{
    BuildPatientEncoder, PatientEncoder, PatientEncoderContext, PatientEncoderModule, PatientEncoderSlot,
};

pub use reference::ComponentRef;

/// What a slot is for the registry: from which context which object is made. One file of this folder a slot, but for those of
/// modules above: `recipe` and `kge_model`.
pub trait SlotKind: 'static {
    /// The slot.
    const SLOT: Slot;
    /// What the experiment gives to build with; `()` where options alone decide.
    type Context<'a>;
    /// What is built.
    type Object: 'static;
}

/// Options that make the object of a slot. Everything that implements a slot's options trait does.
pub trait Builds<K: SlotKind>: Component {
    /// Checks the options and builds; `origin` names component and plugin in errors.
    ///
    /// # Errors
    /// Name the option.
    fn build_object(self, context: &K::Context<'_>, origin: &Arc<str>) -> Result<K::Object>;
}

/// The slots, in one list. Hands to the macro `$with`, for each: its documentation, its variant of [`Slot`], its name in
/// manifests and its kind, where that is of this module; `slots` names those of modules above.
macro_rules! each_slot {
    ($with:ident) => {
        $with! {
            /// Reads raw tables.
            Parser: parser = ParserSlot,
            /// Gives graph nodes their initial features.
            NodeInit: node_init = NodeInitSlot,
            /// Turns node features and the graph into code embeddings.
            GraphEncoder: graph_encoder = GraphEncoderSlot,
            /// Turns code embeddings and visits into one vector a patient.
            PatientEncoder: patient_encoder = PatientEncoderSlot,
            /// Turns sets of vectors into one vector each.
            Fusion: fusion = FusionSlot,
            /// Turns abnormal laboratory items into a vector.
            Lab: lab = LabSlot,
            /// Turns vectors into logits.
            Head: head = HeadSlot,
            /// Compares logits with targets.
            Loss: loss = LossSlot,
            /// What a stage learns.
            Objective: objective = ObjectiveSlot,
            /// Which stages there are.
            Recipe: recipe,
            /// Embeds a knowledge graph.
            KgeModel: kge_model,
        }
    };
}
pub(crate) use each_slot;

/// Declares [`Slot`].
macro_rules! declare_slots {
    ($($(#[$doc:meta])* $slot:ident: $name:ident $(= $kind:ident)?),+ $(,)?) => {
        /// The places of an experiment that a component can take.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Slot {
            $($(#[$doc])* $slot,)+
        }

        impl Slot {
            /// Every slot.
            pub const ALL: [Slot; [$(stringify!($slot)),+].len()] = [$(Slot::$slot),+];

            /// The name used in manifests and on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Slot::$slot => stringify!($name),)+
                }
            }
        }
    };
}
each_slot! { declare_slots }

/// Declares [`SubParts`].
macro_rules! declare_sub_parts {
    ($($(#[$doc:meta])* $slot:ident: $name:ident $(= $kind:ident)?),+ $(,)?) => {
        /// Builds the parts of the model that a component is made of, each by its key in `[model]`: a method a slot, by the
        /// name of the slot. A component [lists](Component::PARTS) the keys that it asks for.
        pub trait SubParts {
            $($(
                /// Builds the component of this slot that the manifest names at a key.
                ///
                /// # Errors
                /// When there is no such part for the component that asks, or it refuses its options.
                fn $name(
                    &self,
                    key: &str,
                    context: &<$kind as SlotKind>::Context<'_>,
                ) -> Result<<$kind as SlotKind>::Object> {
                    let _ = context;
                    Err(no_sub_part(<$kind as SlotKind>::SLOT, key))
                }
            )?)+
        }
    };
}
each_slot! { declare_sub_parts }

/// No parts, for components that are made of none.
impl SubParts for () {}

/// The error of a component that asks for a part that it has not.
pub(crate) fn no_sub_part(slot: Slot, key: &str) -> Error {
    Error::program(format!("it has no {slot} `{key}` among its parts"))
        .help("in a plugin, `Component::PARTS` lists the keys that a component asks for")
}

impl Slot {
    /// The slot of that name.
    ///
    /// # Errors
    /// Names the accepted ones when there is none.
    pub fn from_name(name: &str) -> crate::Result<Self> {
        let unknown = || crate::Error::user(format!("unknown slot `{name}`")).suggest(name, Self::ALL.map(Self::name));
        Self::ALL.into_iter().find(|s| s.name() == name).ok_or_else(unknown)
    }
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
