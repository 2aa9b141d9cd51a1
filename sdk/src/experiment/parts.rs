//! The parts of a model as a manifest has them, after the [list](KEYS) of them: their keys, and how they are built, at the
//! model's own sizes or, to check options, at small ones.

use super::heads::Heads;
use crate::boundary::guard;
use crate::component::{each_slot, no_sub_part, *};
use crate::data::Dataset;
use crate::data::knowledge::Knowledge;
use crate::error::Mistakes;
use crate::model::{self, KEYS, ModelParts, Otherwise, PARTS, Reads, each_part};
use crate::plugin::Registry;
use crate::recipe::Recipe;
use crate::{Error, Result};
use burn::tensor::{Device, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use toml::Value;

/// Widths of a check.
const SMALL: usize = 8;

/// Declares `[model]`: its keys, each with the kind of the slot of the component that it names, and for those before the heads a
/// method of [`Building`] by the same name.
macro_rules! declare_keys {
    (
        $($(#[$doc:meta])* $key:ident: $kind:ident, $path:literal, $reads:ident, $otherwise:ident
            $(, gives $vectors:ident)? $(, of $owner:ident with $context:path)?;)+
        => $(#[$head_doc:meta])* $head:ident: $head_kind:ident;
    ) => {
        /// The parts of the model.
        #[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct Model {
            $($(#[$doc])* pub $key: ComponentRef,)+
            $(#[$head_doc])* pub $head: Heads,
            /// Whether age at the last visit seen, and sex, are added to the patient vector. Default: false.
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            pub demographics: bool,
        }

        impl Model {
            /// The component that a key of [`KEYS`] names.
            fn field(&mut self, key: &str) -> Option<&mut ComponentRef> {
                Some(match key {
                    $(stringify!($key) => &mut self.$key,)+
                    stringify!($head) => &mut self.$head.component,
                    _ => return None,
                })
            }
        }

        impl Building<'_> {
            $(fn $key(&self, context: &Context<'_, $kind>) -> Result<Object<$kind>> {
                self.build::<$kind>(stringify!($key), &self.model.$key, context)
            })+

            /// Builds what components of other parts may be made of at a small size, whether one asks for it or not.
            fn check_sub_parts(&self, attempts: &mut Attempts<'_>) {
                $($(attempts.make(&[stringify!($key)], || self.$key(&$context(SMALL, self.device)));)?)+
            }
        }
    };
}

/// What a component of the slot `K` is built with.
type Context<'a, K> = <K as SlotKind>::Context<'a>;
/// What a component of the slot `K` becomes.
type Object<K> = <K as SlotKind>::Object;

each_part! { declare_keys }

impl Model {
    /// Key, slot and component of every part, those among them that are for another part, whether its component asks for
    /// them or not.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, Slot, ComponentRef)> {
        let mut model = self.clone();
        KEYS.iter().filter_map(move |&(key, slot)| Some((key, slot, model.field(key)?.clone())))
    }

    /// Those of them that name a component: of a completed manifest all that its model has, and may have.
    pub fn named_parts(&self) -> impl Iterator<Item = (&'static str, Slot, ComponentRef)> {
        self.parts().filter(|(_, _, part)| !part.is_open())
    }

    /// Whether the model has the part of a key, as far as other parts are asked: one that is for another part is there where
    /// the component of that [asks](Component::PARTS) for it.
    pub(super) fn asks_for(&self, key: &str, registry: &Registry) -> bool {
        let Some(owner) = PARTS.iter().find(|part| part.key == key).and_then(|part| part.of) else { return true };
        self.parts().any(|(of, slot, component)| {
            of == owner && registry.info(slot, &component.r#type).is_ok_and(|info| info.parts.contains(&key))
        })
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
            if let Some(field) = self.field(key).filter(|field| field.is_open())
                && let Some(choice) = recipe.part(key)
            {
                choice.clone_into(&mut field.r#type);
            }
        }
    }
}

/// Builds the parts of a model from their components.
pub(super) struct Building<'a> {
    pub registry: &'a Registry,
    pub model: &'a Model,
    pub device: &'a Device,
}

/// What the parts before the heads are built for.
struct Given<'a> {
    codes: &'a [String],
    labs: usize,
    /// To check options: every width is small, whatever the parts before it say, and parts that no component asks for are
    /// built, too.
    is_check: bool,
}

/// What a check finds out of a model.
pub(super) struct Checked {
    /// Whether a head tells visits apart, where that can be seen; else true.
    pub tells_visits_apart: bool,
    /// Whether the lab encoder looks at items, where that can be seen; else true.
    pub sees_items: bool,
    /// What paths of parameters before the heads begin with, where parts can be built; else in a model none of whose parts is
    /// made of others.
    pub paths: Vec<&'static str>,
}

impl Default for Checked {
    fn default() -> Self {
        let whole = PARTS.iter().filter(|part| part.of.is_none());
        Self { tells_visits_apart: true, sees_items: true, paths: whole.map(|part| part.path).collect() }
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
        let given = Given { codes, labs, is_check: false };
        let mut mistakes = Mistakes::default();
        let mut attempts = Attempts { wrong: Vec::new(), mistakes: &mut mistakes };
        let parts = self.walk(&given, |init| self.features(init.as_ref(), codes, note), &mut attempts);
        Ok(ModelParts { demographics, ..mistakes.finish(parts)? })
    }

    /// Builds every part at a small size, which checks the values of its options before work starts; but for those that are
    /// known to be `wrong`, by their keys. `knows`: the experiment has a knowledge graph.
    pub fn check(&self, wrong: Vec<&'static str>, knows: bool, mistakes: &mut Mistakes) -> Checked {
        let codes = [String::new(), "1".to_owned()];
        let given = Given { codes: &codes, labs: SMALL, is_check: true };
        let mut attempts = Attempts { wrong, mistakes };
        let features = |_| Ok(Tensor::zeros([given.codes.len(), SMALL], self.device));
        let mut checked = Checked::default();
        if let Some(parts) = self.walk(&given, features, &mut attempts) {
            checked.sees_items = parts.lab.sees_items();
            let built = || guard::catch(|| Ok(model::Model::new(parts).parts()));
            checked.paths = attempts.make(&[], built).map_or(checked.paths, |parts| self.paths(&parts));
        }
        let apart = || guard::catch(|| Ok(self.small_heads(knows)?.iter().any(Head::looks_at_histories)));
        checked.tells_visits_apart = attempts.make(&["head"], apart).unwrap_or(true);
        checked
    }

    /// What paths of parameters before the heads begin with in a model of these parts.
    fn paths(&self, parts: &[(String, Reads)]) -> Vec<&'static str> {
        let is_there = |path: &&str| parts.iter().any(|(root, _)| root == path);
        let demographics = self.model.demographics.then_some("demographics");
        PARTS.iter().map(|part| part.path).filter(is_there).chain(demographics).collect()
    }

    /// Builds every part before the heads in the order in which they compute: the one place that says what each is built with.
    fn walk(
        &self,
        given: &Given<'_>,
        features: impl FnOnce(Box<dyn NodeInit>) -> Result<Tensor<2>>,
        attempts: &mut Attempts<'_>,
    ) -> Option<ModelParts> {
        let (&Given { codes, labs, is_check }, device) = (given, self.device);
        let features = attempts.make(&["node_init"], || features(self.node_init(&())?));
        let input = features.as_ref().map_or(SMALL, |features| features.dims()[1]);
        let context = GraphEncoderContext { input, codes, device };
        let encoder = attempts.make(&["graph_encoder"], || self.graph_encoder(&context));
        let width = encoder.as_ref().filter(|_| !is_check).map_or(SMALL, GraphEncoder::width);
        if is_check {
            self.check_sub_parts(attempts);
        }
        let parts = &PartsOf { building: self, owner: "patient_encoder" };
        let context = PatientEncoderContext { width, codes, device, parts };
        let patient_encoder = attempts.make(&parts.keys(), || self.patient_encoder(&context));
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
            // An error of a part that a component asked for has its place already.
            Some(place) if place.starts_with("model.") => e,
            _ => e.within_key(&format!("model.{key}")),
        })
    }
}

/// The parts that the component of another one is made of.
struct PartsOf<'a> {
    building: &'a Building<'a>,
    /// The key of that one.
    owner: &'static str,
}

impl PartsOf<'_> {
    /// Its own key, and those of the parts that it may be made of.
    fn keys(&self) -> Vec<&'static str> {
        let parts = PARTS.iter().filter(|part| part.of == Some(self.owner)).map(|part| part.key);
        std::iter::once(self.owner).chain(parts).collect()
    }

    fn build<K: SlotKind>(&self, key: &str, context: &Context<'_, K>) -> Result<Object<K>> {
        let Building { registry, model, .. } = *self.building;
        let is_meant = |(part, slot, _): &(&str, Slot, ComponentRef)| *part == key && *slot == K::SLOT;
        let is_known = self.keys().contains(&key) && model.asks_for(key, registry);
        match model.parts().find(is_meant).filter(|_| is_known) {
            Some((_, _, part)) => self.building.build::<K>(key, &part, context),
            None => Err(no_sub_part(K::SLOT, key)),
        }
    }
}

/// Builds parts of every slot by their keys.
macro_rules! build_sub_parts {
    ($($(#[$doc:meta])* $slot:ident: $name:ident $(= $kind:ident)?),+ $(,)?) => {
        impl SubParts for PartsOf<'_> {
            $($(fn $name(
                &self,
                key: &str,
                context: &<$kind as SlotKind>::Context<'_>,
            ) -> Result<<$kind as SlotKind>::Object> {
                self.build::<$kind>(key, context)
            })?)+
        }
    };
}
each_slot! { build_sub_parts }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Batch;
    use crate::graph::Graph;
    use burn::module::Module;

    crate::options! {
        /// Options of `half`: none.
        struct HalfOptions {}
    }

    impl Component for HalfOptions {
        const NAME: &'static str = "half";
        const ABOUT: &'static str = "Would fuse visits alone.";
        const PARTS: &'static [&'static str] = &["visit_fusion"];
    }

    #[derive(Module, Debug)]
    struct Half {}

    impl BuildPatientEncoder for HalfOptions {
        type Module = Half;

        fn build(self, _: &PatientEncoderContext<'_>) -> Result<Half> {
            Ok(Half {})
        }
    }

    impl PatientEncoder for Half {
        fn forward(&self, embeddings: Tensor<2>, _: &Graph, _: &Batch) -> Tensor<2> {
            embeddings
        }

        fn width(&self) -> usize {
            SMALL
        }
    }

    #[test]
    fn a_component_gets_the_parts_that_it_declares_and_no_others() {
        let registry = Registry::new().with(|registrar| registrar.add::<PatientEncoderSlot, HalfOptions>()).unwrap();
        let model = Model { patient_encoder: ComponentRef::named("half"), ..Model::default() };
        let asked: Vec<&str> = KEYS.iter().map(|(key, _)| *key).filter(|key| model.asks_for(key, &registry)).collect();
        assert_eq!(asked, ["node_init", "graph_encoder", "patient_encoder", "visit_fusion", "lab", "head"]);

        let device = Device::flex();
        let building = Building { registry: &registry, model: &model, device: &device };
        let parts = PartsOf { building: &building, owner: "patient_encoder" };
        let refused = |key: &str| parts.fusion(key, &FusionContext::visits(2, &device)).unwrap_err().to_string();
        for key in ["code_fusion", "lab", "viist_fusion"] {
            assert!(refused(key).contains(&format!("it has no fusion `{key}` among its parts")), "{}", refused(key));
        }
        // This one is its own; that the manifest names no component for it is another matter.
        let named = refused("visit_fusion");
        assert!(named.starts_with("`model.visit_fusion.type`: no fusion is named"), "{named}");
        let context = LabEncoderContext { labs: 2, device: &device };
        assert!(parts.lab("lab", &context).unwrap_err().to_string().contains("it has no lab `lab` among its parts"));
    }
}
