//! The parts of a model, in one list.

use super::ComponentRef;
use crate::component::{Component, Slot};
use crate::model::{Fusions, FusionsOptions};
use crate::recipe::Recipe;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use toml::{Table, Value};

/// The patient encoder that has `code_fusion` and `visit_fusion` as its parts.
const FUSIONS: &str = FusionsOptions::NAME;

/// Declares `[model]`: its keys, each with the slot of the component that it names.
macro_rules! parts {
    ($($(#[$doc:meta])* $key:ident: $slot:ident),+ $(,)?) => {
        /// The parts of the model.
        #[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct Model {
            $($(#[$doc])* pub $key: ComponentRef,)+
            /// Vectors → logits.
            pub head: Heads,
        }

        /// The keys of `[model]`, each with its slot.
        pub(super) const PARTS: &[(&str, Slot)] =
            &[$((stringify!($key), Slot::$slot),)+ ("head", Slot::Head)];

        impl Model {
            /// The component that a key of [`PARTS`] names.
            fn field(&mut self, key: &str) -> Option<&mut ComponentRef> {
                Some(match key {
                    $(stringify!($key) => &mut self.$key,)+
                    "head" => &mut self.head.component,
                    _ => return None,
                })
            }
        }
    };
}

parts! {
    /// First features of the graph's nodes.
    node_init: NodeInit,
    /// Node features and graph → code embeddings.
    graph_encoder: GraphEncoder,
    /// Code embeddings and visits → patient. Default: `fusions`, which are the next two.
    patient_encoder: PatientEncoder,
    /// Codes → visit.
    code_fusion: Fusion,
    /// Visits → patient.
    visit_fusion: Fusion,
    /// Abnormal laboratory items → vector.
    lab: Lab,
}

/// Heads: the component that makes them, which may stay open where its options are given, and what the logits get
/// beside.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Heads {
    /// Whether a patient's own codes, and their neighbours in the graph, also reach the logits of a task directly, past
    /// fusions and hidden layers. Default: true, and false with `compat`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<bool>,
    /// The component of the slot `head`.
    #[serde(flatten)]
    #[schemars(skip)]
    pub component: ComponentRef,
}

impl<'de> Deserialize<'de> for Heads {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let mut options = match Value::deserialize(deserializer)? {
            Value::String(name) => Table::from_iter([("type".to_owned(), Value::String(name))]),
            Value::Table(options) => options,
            other => {
                return Err(D::Error::custom(format!("expected a head such as {{ type = \"…\" }}, found {other}")));
            }
        };
        let history = match options.remove("history") {
            None => None,
            Some(Value::Boolean(history)) => Some(history),
            Some(other) => return Err(D::Error::custom(format!("`history` is true or false, found {other}"))),
        };
        let r#type = match options.remove("type") {
            None => String::new(),
            Some(Value::String(name)) => name,
            Some(other) => return Err(D::Error::custom(format!("`type` is a name, found {other}"))),
        };
        Ok(Self { history, component: ComponentRef { r#type, options } })
    }
}

impl Model {
    /// Key, slot and component of every part. The fusions are among them whatever the patient encoder: any may ask for them.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, Slot, ComponentRef)> {
        let mut model = self.clone();
        PARTS.iter().filter_map(move |&(key, slot)| Some((key, slot, model.field(key)?.clone())))
    }

    /// Puts another component into a part.
    pub(crate) fn set_part(&mut self, key: &str, part: ComponentRef) {
        if let Some(field) = self.field(key) {
            *field = part;
        }
    }

    /// Puts a recipe's choice where the manifest names no component; what it says of options stays.
    pub(crate) fn complete(&mut self, recipe: &dyn Recipe) {
        for (key, slot) in PARTS {
            let general = (*slot == Slot::PatientEncoder).then_some(FUSIONS);
            if let Some(field) = self.field(key).filter(|field| field.is_open())
                && let Some(choice) = recipe.part(key).or(general)
            {
                choice.clone_into(&mut field.r#type);
            }
        }
    }

    /// Whether patients are encoded by the two fusions.
    fn has_fusions(&self) -> bool {
        self.patient_encoder.is_open() || self.patient_encoder.r#type == FUSIONS
    }

    /// What paths of parameters before the heads begin with.
    pub fn paths(&self) -> Vec<&'static str> {
        let patients: &[&str] = if self.has_fusions() { &Fusions::PARTS } else { &["patient_encoder"] };
        ["nodes", "encoder"].into_iter().chain(patients.iter().copied()).chain(["lab"]).collect()
    }
}
