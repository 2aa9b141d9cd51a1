//! The parts of a model, in one list: their keys in a manifest, the slots of their components, and how they are built, at
//! the model's own sizes or, to check options, at small ones.

use crate::boundary::guard;
use crate::component::*;
use crate::data::Prepared;
use crate::data::knowledge::Knowledge;
use crate::error::Mistakes;
use crate::model::{Fusions, FusionsOptions, ModelParts};
use crate::plugin::Registry;
use crate::recipe::Recipe;
use crate::{Error, Result};
use burn::tensor::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;
use toml::{Table, Value};

/// The patient encoder that has `code_fusion` and `visit_fusion` as its parts.
const FUSIONS: &str = FusionsOptions::NAME;

/// Widths of a check.
const SMALL: usize = 8;

/// Declares `[model]`: its keys, each with the kind of the slot of the component that it names, and a method of [`Building`]
/// by the same name.
macro_rules! parts {
    ($($(#[$doc:meta])* $key:ident: $kind:ident),+ $(,)?) => {
        /// The parts of the model.
        #[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct Model {
            $($(#[$doc])* pub $key: ComponentRef,)+
            /// Vectors → logits.
            pub head: Heads,
            /// Whether age at the last visit seen, and sex, are added to the patient vector. Default: false.
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            pub demographics: bool,
        }

        /// The keys of `[model]`, each with its slot.
        pub(super) const PARTS: &[(&str, Slot)] =
            &[$((stringify!($key), <$kind as SlotKind>::SLOT),)+ ("head", Slot::Head)];

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

        impl Building<'_> {
            $($(#[$doc])* fn $key(&self, context: &Context<'_, $kind>) -> Result<Object<$kind>> {
                self.build::<$kind>(stringify!($key), &self.model.$key, context)
            })+
        }
    };
}

/// What a component of the slot `K` is built with.
type Context<'a, K> = <K as SlotKind>::Context<'a>;
/// What it is built to.
type Object<K> = <K as SlotKind>::Object;

parts! {
    /// First features of the graph's nodes.
    node_init: NodeInitSlot,
    /// Node features and graph → code embeddings.
    graph_encoder: GraphEncoderSlot,
    /// Code embeddings and visits → patient. Default: `fusions`, which are the next two.
    patient_encoder: PatientEncoderSlot,
    /// Codes → visit.
    code_fusion: FusionSlot,
    /// Visits → patient.
    visit_fusion: FusionSlot,
    /// Abnormal laboratory items → vector.
    lab: LabSlot,
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
        let demographics = self.demographics.then_some("demographics");
        ["nodes", "encoder"].into_iter().chain(patients.iter().copied()).chain(demographics).chain(["lab"]).collect()
    }
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

/// Builds the parts of a model from their components.
pub(super) struct Building<'a> {
    pub registry: &'a Registry,
    pub model: &'a Model,
    pub device: &'a Device,
}

impl Building<'_> {
    /// Every part but the heads, which come with the stages, for the codes and laboratory items of `data`; notes go to
    /// `note`.
    pub fn build_parts(&self, data: &Prepared, mut note: impl FnMut(String)) -> Result<ModelParts> {
        let (codes, device) = (&data.vocabulary.codes, self.device);
        let features = self.node_init(&())?.init(&NodeInitContext { codes, device });
        let features = features.map_err(|e| e.within_key("model.node_init"))?;
        features.notes.iter().for_each(|(what, n)| note(format!("{what}: {n}")));
        let features = features.features;
        let [nodes, input] = features.dims();
        if nodes != codes.len() {
            let message = format!("the node initialiser gave {nodes} rows for {} nodes", codes.len());
            return Err(Error::program(message).at_key("model.node_init"));
        }
        let encoder = self.graph_encoder(&GraphEncoderContext { input, codes, device })?;
        let patient_encoder = self.patients(encoder.width(), codes)?;
        // A column of zeros where the cohort has no items: tensors without columns are not for every device.
        let labs = data.vocabulary.labs.len().max(1);
        let lab = self.lab(&LabEncoderContext { labs, device })?;
        let demographics = self.model.demographics;
        if demographics && !data.cohort.has_demographics() {
            return Err(Error::user("this cohort says neither how old patients are nor of which sex")
                .at_key("model.demographics")
                .help("the page Parsers of the book says which columns are read"));
        }
        Ok(ModelParts { features, encoder, patient_encoder, lab, labs, demographics })
    }

    /// Builds every part at a small size, which checks the values of its options before work starts; but for those that are
    /// known to be `wrong`, by their keys. `knows`: the experiment has a knowledge graph. Returns whether a head tells visits
    /// apart, where that can be seen; else true.
    pub fn check(&self, wrong: &[&str], knows: bool, mistakes: &mut Mistakes) -> bool {
        let (codes, device) = (&[String::new(), "428.0".to_owned()], self.device);
        let right = |key: &str| !wrong.contains(&key);
        if right("node_init") {
            mistakes.note(self.node_init(&()));
        }
        if right("graph_encoder") {
            mistakes.note(self.graph_encoder(&GraphEncoderContext { input: SMALL, codes, device }));
        }
        let code_fusion = right("code_fusion") && mistakes.note(self.fusion(FusionLevel::Codes, SMALL)).is_some();
        let visit_fusion = right("visit_fusion") && mistakes.note(self.fusion(FusionLevel::Visits, SMALL)).is_some();
        if code_fusion && visit_fusion && right("patient_encoder") {
            mistakes.note(self.patients(SMALL, codes));
        }
        if right("lab") {
            mistakes.note(self.lab(&LabEncoderContext { labs: SMALL, device }));
        }
        let apart = || guard::catch(|| Ok(self.small_heads(knows)?.iter().any(Head::looks_at_histories)));
        !right("head") || mistakes.note(apart()).unwrap_or(true)
    }

    /// A head whose logits ask for something, and one whose logits ask for codes.
    fn small_heads(&self, knows: bool) -> Result<[HeadModule; 2]> {
        let other = self.head("", SMALL, SMALL, None, None)?;
        let graph = knows.then(|| Arc::new(Knowledge::small(SMALL)));
        let asked: Vec<u32> = (1..=SMALL as u32).collect();
        let knowledge = graph.as_ref().map(|graph| AskedOf { graph, asked: &asked });
        Ok([other, self.head("", SMALL, SMALL, Some(SMALL), knowledge)?])
    }

    /// The patient encoder, its fusions included, for code embeddings of a width.
    fn patients(&self, width: usize, codes: &[String]) -> Result<PatientEncoderModule> {
        let fusion = |level, width| self.fusion(level, width);
        self.patient_encoder(&PatientEncoderContext { width, codes, device: self.device, fusion: &fusion })
    }

    fn fusion(&self, level: FusionLevel, width: usize) -> Result<FusionModule> {
        let context = FusionContext { width, level, device: self.device };
        match level {
            FusionLevel::Codes => self.code_fusion(&context),
            FusionLevel::Visits => self.visit_fusion(&context),
        }
    }

    /// A head of the network that an objective asks for.
    pub fn head(
        &self,
        network: &str,
        input: usize,
        outputs: usize,
        code_width: Option<usize>,
        knowledge: Option<AskedOf<'_>>,
    ) -> Result<HeadModule> {
        let context = HeadContext { network, input, outputs, code_width, knowledge, device: self.device };
        self.build::<HeadSlot>("head", &self.model.head.component, &context)
    }

    /// Builds the component that a key of `[model]` names.
    fn build<K: SlotKind>(&self, key: &str, part: &ComponentRef, context: &Context<'_, K>) -> Result<Object<K>> {
        let built = self.registry.build::<K>(&part.r#type, part.options.clone(), context);
        built.map_err(|e| match e.key() {
            // An error of a fusion that a patient encoder asked for has its place already.
            Some(place) if place.starts_with("model.") => e,
            _ => e.within_key(&format!("model.{key}")),
        })
    }
}
