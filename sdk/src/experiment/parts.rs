//! The parts of a model as a manifest has them, after the [list](PARTS) of them: their keys, and how they are built, at the
//! model's own sizes or, to check options, at small ones.

use crate::boundary::guard;
use crate::component::*;
use crate::data::Dataset;
use crate::data::knowledge::Knowledge;
use crate::error::Mistakes;
use crate::model::{FusionsOptions, ModelParts, Otherwise, PARTS, PartInfo, each_part};
use crate::plugin::Registry;
use crate::recipe::Recipe;
use crate::{Error, Result};
use burn::tensor::{Device, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::cell::RefCell;
use std::sync::Arc;
use toml::{Table, Value};

/// The patient encoder that has `code_fusion` and `visit_fusion` as its parts.
const FUSIONS: &str = FusionsOptions::NAME;

/// The fusions by their keys.
const FUSION_KEYS: [(&str, FusionLevel); 2] =
    [("code_fusion", FusionLevel::Codes), ("visit_fusion", FusionLevel::Visits)];

/// Widths of a check.
const SMALL: usize = 8;

/// Declares `[model]`: its keys, each with the kind of the slot of the component that it names, and a method of [`Building`]
/// by the same name.
macro_rules! declare_keys {
    ($($(#[$doc:meta])* $key:ident: $kind:ident, $path:literal, $reads:ident, $otherwise:ident $(($name:expr))?;)+) => {
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
        pub(super) const KEYS: &[(&str, Slot)] =
            &[$((stringify!($key), <$kind as SlotKind>::SLOT),)+ ("head", Slot::Head)];

        impl Model {
            /// The component that a key of [`KEYS`] names.
            fn field(&mut self, key: &str) -> Option<&mut ComponentRef> {
                Some(match key {
                    $(stringify!($key) => &mut self.$key,)+
                    "head" => &mut self.head.component,
                    _ => return None,
                })
            }
        }

        impl Building<'_> {
            $(fn $key(&self, context: &Context<'_, $kind>) -> Result<Object<$kind>> {
                self.build::<$kind>(stringify!($key), &self.model.$key, context)
            })+
        }
    };
}

/// What a component of the slot `K` is built with.
type Context<'a, K> = <K as SlotKind>::Context<'a>;
/// What it is built to.
type Object<K> = <K as SlotKind>::Object;

each_part! { declare_keys }

impl Model {
    /// Key, slot and component of every part. The fusions are among them whatever the patient encoder: any may ask for them.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, Slot, ComponentRef)> {
        let mut model = self.clone();
        KEYS.iter().filter_map(move |&(key, slot)| Some((key, slot, model.field(key)?.clone())))
    }

    /// Those of them that name a component: of a completed manifest all that its model has, and the fusions.
    pub fn named_parts(&self) -> impl Iterator<Item = (&'static str, Slot, ComponentRef)> {
        self.parts().filter(|(_, _, part)| !part.is_open())
    }

    /// Whether the model is without the part, of a recipe that has chosen.
    pub(crate) fn lacks(&self, key: &str) -> bool {
        let declared = PARTS.iter().any(|part| part.key == key && part.otherwise == Otherwise::Nothing);
        declared && self.named_parts().all(|(named, _, _)| named != key)
    }

    /// Puts another component into a part.
    pub(crate) fn set_part(&mut self, key: &str, part: ComponentRef) {
        if let Some(field) = self.field(key) {
            *field = part;
        }
    }

    /// Gives an option of a part another value.
    pub(crate) fn set_option(&mut self, key: &str, option: &str, value: Value) {
        if let Some(field) = self.field(key) {
            field.options.insert(option.to_owned(), value);
        }
    }

    /// Puts a recipe's choice where the manifest names no component; what it says of options stays.
    pub(crate) fn complete(&mut self, recipe: &dyn Recipe) {
        for (key, _) in KEYS {
            let general = PARTS.iter().find(|part| part.key == *key).and_then(|part| match part.otherwise {
                Otherwise::BuiltIn(name) => Some(name),
                Otherwise::Chosen | Otherwise::Nothing => None,
            });
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
        let demographics = self.demographics.then_some("demographics");
        PARTS.iter().filter(|part| self.has(part)).map(|part| part.path).chain(demographics).collect()
    }

    /// Whether the model has parameters of a part: `fusions` has none beside those of the fusions.
    fn has(&self, part: &PartInfo) -> bool {
        match part.slot {
            Slot::PatientEncoder => !self.has_fusions(),
            Slot::Fusion => self.has_fusions(),
            _ => !self.lacks(part.key),
        }
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
    /// The keys of fusions that the patient encoder did not ask for when it was checked.
    pub unasked: &'a [&'static str],
}

/// What the parts before the heads are built for.
struct Given<'a> {
    codes: &'a [String],
    labs: usize,
    /// To check options: every width is small, whatever the parts before it say, and so are fusions that no patient encoder
    /// asks for.
    is_check: bool,
    /// The fusions that the patient encoder asked for.
    asked: RefCell<Vec<FusionLevel>>,
}

/// What a check finds out of a model.
pub(super) struct Checked {
    /// Whether a head tells visits apart, where that can be seen; else true.
    pub tells_visits_apart: bool,
    /// Whether the lab encoder looks at items, where that can be seen; else true.
    pub sees_items: bool,
    /// The keys of fusions that the patient encoder does not ask for.
    pub unasked: Vec<&'static str>,
}

impl Checked {
    /// Of a model whose parts nobody looked at.
    pub fn unseen() -> Self {
        Self { tells_visits_apart: true, sees_items: true, unasked: Vec::new() }
    }
}

/// Attempts to build parts: their mistakes, and the keys of those that are known to be wrong.
struct Attempts<'a> {
    wrong: Vec<&'static str>,
    mistakes: &'a mut Mistakes,
}

impl Attempts<'_> {
    /// Builds the part of the first key, unless one of the keys is known to be wrong.
    fn make<T>(&mut self, keys: &[&'static str], build: impl FnOnce() -> Result<T>) -> Option<T> {
        if keys.iter().any(|key| self.wrong.contains(key)) {
            return None;
        }
        let built = self.mistakes.note(build());
        self.wrong.extend(keys.first().filter(|_| built.is_none()));
        built
    }
}

impl Building<'_> {
    /// Every part but the heads, which come with the stages, for the codes and laboratory items of `data`; notes go to
    /// `note`.
    pub fn build_parts(&self, data: &Dataset, note: impl FnMut(String)) -> Result<ModelParts> {
        let codes = &data.vocabulary.codes;
        // A column of zeros where the cohort has no items: tensors without columns are not for every device.
        let demographics = self.model.demographics;
        if demographics && !data.cohort.has_demographics() {
            return Err(Error::user("this cohort says neither how old patients are nor of which sex")
                .at_key("model.demographics")
                .help("the page Parsers of the book says which columns are read"));
        }
        let labs = data.vocabulary.labs.len().max(1);
        let given = Given { codes, labs, is_check: false, asked: RefCell::default() };
        let mut mistakes = Mistakes::default();
        let mut attempts = Attempts { wrong: Vec::new(), mistakes: &mut mistakes };
        let parts = self.walk(&given, |init| self.features(init.as_ref(), codes, note), &mut attempts);
        Ok(ModelParts { demographics, ..mistakes.finish(parts)? })
    }

    /// Builds every part at a small size, which checks the values of its options before work starts; but for those that are
    /// known to be `wrong`, by their keys. `knows`: the experiment has a knowledge graph.
    pub fn check(&self, wrong: Vec<&'static str>, knows: bool, mistakes: &mut Mistakes) -> Checked {
        let codes = [String::new(), "428.0".to_owned()];
        let given = Given { codes: &codes, labs: SMALL, is_check: true, asked: RefCell::default() };
        let mut attempts = Attempts { wrong, mistakes };
        let features = |_| Ok(Tensor::zeros([given.codes.len(), SMALL], self.device));
        let sees_items = self.walk(&given, features, &mut attempts).is_none_or(|parts| parts.lab.sees_items());
        let apart = || guard::catch(|| Ok(self.small_heads(knows)?.iter().any(Head::looks_at_histories)));
        let tells_visits_apart = attempts.make(&["head"], apart).unwrap_or(true);
        let asked = given.asked.take();
        let unasked = FUSION_KEYS.into_iter().filter(|(_, level)| !asked.contains(level)).map(|(key, _)| key).collect();
        Checked { tells_visits_apart, sees_items, unasked }
    }

    /// Builds every part before the heads in the order in which they compute: the one place that says what each is built with.
    fn walk(
        &self,
        given: &Given<'_>,
        features: impl FnOnce(Box<dyn NodeInit>) -> Result<Tensor<2>>,
        attempts: &mut Attempts<'_>,
    ) -> Option<ModelParts> {
        let (&Given { codes, labs, is_check, .. }, device) = (given, self.device);
        let features = attempts.make(&["node_init"], || features(self.node_init(&())?));
        let input = features.as_ref().map_or(SMALL, |features| features.dims()[1]);
        let context = GraphEncoderContext { input, codes, device };
        let encoder = attempts.make(&["graph_encoder"], || self.graph_encoder(&context));
        let width = encoder.as_ref().filter(|_| !is_check).map_or(SMALL, GraphEncoder::width);
        for (key, level) in FUSION_KEYS.into_iter().filter(|_| is_check) {
            attempts.make(&[key], || self.fusion(level, SMALL));
        }
        let patients = ["patient_encoder", "code_fusion", "visit_fusion"];
        let patient_encoder = attempts.make(&patients, || self.patients(width, given));
        let lab = attempts.make(&["lab"], || self.lab(&LabEncoderContext { labs, device }));
        Some(ModelParts::new(features?, encoder?, patient_encoder?, lab?, labs))
    }

    /// First features of the nodes, as many as there are codes.
    fn features(&self, init: &dyn NodeInit, codes: &[String], mut note: impl FnMut(String)) -> Result<Tensor<2>> {
        let features = init.init(&NodeInitContext { codes, device: self.device });
        let features = features.map_err(|e| e.within_key("model.node_init"))?;
        features.notes.iter().for_each(|(what, n)| note(format!("{what}: {n}")));
        match features.features.dims()[0] {
            nodes if nodes == codes.len() => Ok(features.features),
            nodes => {
                let message = format!("the node initialiser gave {nodes} rows for {} nodes", codes.len());
                Err(Error::program(message).at_key("model.node_init"))
            }
        }
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
    fn patients(&self, width: usize, given: &Given<'_>) -> Result<PatientEncoderModule> {
        let fusion = |level, width| {
            given.asked.borrow_mut().push(level);
            let is_unasked = |(key, own): &(&str, FusionLevel)| *own == level && self.unasked.contains(key);
            match FUSION_KEYS.iter().find(|asked| is_unasked(asked)) {
                Some((key, _)) => Err(Error::program(format!(
                    "the patient encoder asks for `{key}` at these sizes, and did not when it was checked: cached stages go by that"
                ))),
                None => self.fusion(level, width),
            }
        };
        let codes = given.codes;
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
