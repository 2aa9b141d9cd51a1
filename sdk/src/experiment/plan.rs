//! A plan: a manifest with its components found and checked, which is everything that can be known before work starts.

use super::embedding::NamedEmbedding;
use super::manifest::{ComponentRef, Manifest, Source, Stage};
use super::parts::{Building, Checked};
use crate::component::*;
use crate::data::Dataset;
use crate::data::knowledge::check_files;
use crate::device::NamedDevice;
use crate::error::Mistakes;
use crate::plugin::Registry;
use crate::recipe::{Recipe, RecipeSlot};
use crate::{Error, Result};
use burn::tensor::Device;
use toml::{Table, Value};

/// What an experiment does, with what: all later steps take it as it is.
pub(super) struct Plan {
    /// The manifest with every default filled in and every path absolute.
    pub manifest: Manifest,
    pub registry: Registry,
    pub device: NamedDevice,
    pub source: Source,
    /// The parser of the manifest: one for all that an experiment asks of it.
    pub parser: Box<dyn Parser>,
    /// The manifests of embeddings that parts of the model name.
    pub embeddings: Vec<NamedEmbedding>,
    /// What its parts say of the model.
    pub checked: Checked,
    /// Whether what this is tuned to is chosen by its metrics on valid, among others.
    pub chosen_on_valid: bool,
}

impl Plan {
    /// Gives an option of the parser another value, which builds it anew.
    pub fn set_parser_option(&mut self, name: &str, value: Value) -> Result<()> {
        let parser = &mut self.manifest.data.parser;
        parser.options.insert(name.to_owned(), value);
        self.parser = make::<ParserSlot>(&self.registry, "data.parser", parser.clone())?;
        Ok(())
    }

    pub fn recipe(&self) -> Result<Box<dyn Recipe>> {
        make::<RecipeSlot>(&self.registry, "recipe", self.manifest.recipe.clone().unwrap_or_default())
    }

    pub fn objective(&self, stage: usize) -> Result<Box<dyn Objective>> {
        objective_of(&self.registry, stage, &self.manifest.stage[stage])
    }

    /// Whether a stage asks about patients with one visit, too.
    pub fn asks_about_single(&self) -> Result<bool> {
        (0..self.manifest.stage.len())
            .try_fold(false, |any, stage| Ok(any || self.objective(stage)?.asks_about_single()))
    }

    pub fn loss(&self, stage: usize) -> Result<Box<dyn Loss>> {
        loss_of(&self.registry, stage, &self.manifest.stage[stage])
    }

    /// Looks at the options and the files of the knowledge graph's sources, as far as that is quick.
    pub fn check_knowledge(&self) -> Result<()> {
        check_files(&self.manifest.data.knowledge, "data.knowledge")
    }

    /// Looks at the files of the embeddings, as far as that is quick.
    pub fn check_embeddings(&self) -> Result<()> {
        let mut mistakes = Mistakes::default();
        for named in &self.embeddings {
            mistakes.note(named.check());
        }
        mistakes.done()
    }

    /// The parts of the model, to be built on a device.
    pub fn building<'a>(&'a self, device: &'a Device) -> Building<'a> {
        Building { registry: &self.registry, model: &self.manifest.model, device }
    }

    /// Whether laboratory items reach the model: by its lab encoder, or by heads that tell visits apart, `by_visit`.
    pub fn sees_labs(&self, by_visit: bool) -> bool {
        self.checked.sees_items || by_visit
    }

    /// Whose laboratory items enter the model with the examples of an objective; `None` where that does not say.
    pub fn labs(&self, objective: &dyn Objective, data: &Dataset, by_visit: bool) -> Option<Labs> {
        let enter = self.sees_labs(by_visit) && !data.vocabulary.labs.is_empty();
        objective.labs().map(|labs| if enter { labs } else { Labs::None })
    }

    /// The device as training has it.
    pub fn training_device(&self) -> Device {
        self.device.device.clone().autodiff()
    }

    /// Whether the optimizer of stage `index` goes on in the next.
    pub fn carries_on(&self, index: usize) -> bool {
        self.manifest.stage.get(index + 1).is_some_and(Stage::carries_optimizer)
    }

    /// Adds the manifest's lines to an error.
    pub fn placed<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|e| self.source.place(e))
    }

    /// The manifest as TOML text, for `manifest.toml` of a run: without the password of a server.
    pub fn text(&self) -> Result<String> {
        to_toml(&self.manifest.without_password())
    }

    /// The same as a table.
    pub fn table(&self) -> Result<Table> {
        table_of(&self.manifest.without_password())
    }
}

/// Builds the component that stands at a key of the manifest.
pub(super) fn make<K>(registry: &Registry, key: &str, component: ComponentRef) -> Result<K::Object>
where
    K: for<'a> SlotKind<Context<'a> = ()>,
{
    registry.make::<K>(&component.r#type, component.options).map_err(|e| e.within_key(key))
}

/// The objective of stage `index`.
pub(super) fn objective_of(registry: &Registry, index: usize, stage: &Stage) -> Result<Box<dyn Objective>> {
    let (key, objective) = stage.objective();
    make::<ObjectiveSlot>(registry, &format!("stage[{index}].{key}"), objective)
}

/// The loss of stage `index`.
pub(super) fn loss_of(registry: &Registry, index: usize, stage: &Stage) -> Result<Box<dyn Loss>> {
    make::<LossSlot>(registry, &format!("stage[{index}].loss"), stage.loss())
}

/// A manifest as TOML text.
pub(super) fn to_toml(manifest: &Manifest) -> Result<String> {
    toml::to_string(&table_of(manifest)?).map_err(|e| Error::program(format!("the manifest cannot be written: {e}")))
}

fn table_of(manifest: &Manifest) -> Result<Table> {
    Table::try_from(manifest).map_err(|e| Error::program(format!("the manifest cannot be written: {e}")))
}
