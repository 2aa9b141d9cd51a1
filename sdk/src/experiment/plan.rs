//! A manifest with its components found and checked: everything that can be known before work starts.

use super::building::Building;
use super::manifest::{ComponentRef, Manifest, PluginRef, Source, SweepOptions};
use super::stop::Stop;
use crate::cache::Cache;
use crate::component::*;
use crate::device::{self, NamedDevice};
use crate::error::Mistakes;
use crate::ops::Precision;
use crate::plugin::Registry;
use crate::recipe::{Recipe, RecipeSlot, StageContext, check_turns, completed_stage};
use crate::{Error, Result};
use burn::tensor::Device;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// An experiment that is ready to run: plugins are loaded, components exist, options are complete.
pub struct Experiment {
    /// The manifest with every default filled in and every path absolute.
    pub manifest: Manifest,
    pub(super) registry: Registry,
    pub(super) device: NamedDevice,
    pub(super) cache: Option<Cache>,
    pub(super) stop: Stop,
    pub(super) source: Source,
    sweep: Option<SweepOptions>,
}

impl Experiment {
    /// Loads the manifest's plugins and checks every component's options.
    ///
    /// # Errors
    /// Name the manifest's line.
    pub fn new(manifest: (Manifest, Source), registry: Registry) -> Result<Self> {
        Self::with(manifest, registry, Self::resolve)
    }

    /// The same for the manifest's plugins and `[data]` alone: enough for [`Experiment::prepare`].
    ///
    /// # Errors
    /// Name the manifest's line.
    pub fn data_only(manifest: (Manifest, Source), registry: Registry) -> Result<Self> {
        Self::with(manifest, registry, Self::resolve_data)
    }

    fn with(
        (mut manifest, source): (Manifest, Source),
        registry: Registry,
        resolve: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<Self> {
        let cache = manifest.output.cache.as_deref().map(Cache::at);
        // A run is one member: its resolved manifest has no sweep.
        let sweep = manifest.sweep.take();
        let (device, stop) = (device::open("cpu")?, Stop::new());
        let mut plan = Self { manifest, registry, device, cache, stop, source, sweep };
        match resolve(&mut plan) {
            Ok(()) => Ok(plan),
            Err(error) => Err(plan.source.place(error)),
        }
    }

    /// The same, which keeps cohorts and trained stages in `cache` and takes them from there, unless the manifest names
    /// another folder.
    pub fn with_cache(mut self, cache: Option<Cache>) -> Self {
        self.cache = self.cache.or(cache);
        self
    }

    /// The same without any cache, whatever the manifest says.
    pub fn without_cache(self) -> Self {
        Self { cache: None, ..self }
    }

    /// The same, which stops training when `stop` is asked for.
    pub fn stopping_at(self, stop: Stop) -> Self {
        Self { stop, ..self }
    }

    /// The manifest with every default filled in and every path absolute, as TOML.
    ///
    /// # Errors
    /// When an option cannot be written as TOML.
    pub fn resolved(&self) -> Result<String> {
        to_toml(&self.manifest)
    }

    /// The same, of which an option of the parser has another value.
    pub(super) fn with_parser_option(mut self, name: &str, value: Value) -> Result<Self> {
        self.manifest.data.parser.options.insert(name.to_owned(), value);
        self.parser()?; // checks the value
        Ok(self)
    }

    /// Its components and plugins, for another experiment.
    pub(super) fn into_registry(self) -> Registry {
        self.registry
    }

    /// The sweep that the manifest describes; a run trains the manifest as it is.
    pub fn sweep(&self) -> Option<&SweepOptions> {
        self.sweep.as_ref()
    }

    /// Components and plugins in use.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The device that was chosen.
    pub fn device(&self) -> &NamedDevice {
        &self.device
    }

    /// Checks raw tables and files that the components read, as far as that is quick.
    ///
    /// # Errors
    /// Name the file, or the manifest's line.
    pub fn check(&self) -> Result<()> {
        self.placed(self.parser().and_then(|parser| {
            crate::boundary::guard::catch(|| parser.check()).map_err(|e| e.within_key("data.parser"))
        }))
    }

    /// Adds the manifest's lines to an error.
    pub(super) fn placed<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|e| self.source.place(e))
    }

    pub(super) fn parser(&self) -> Result<Box<dyn Parser>> {
        let parser = &self.manifest.data.parser;
        self.registry
            .make::<ParserSlot>(&parser.r#type, parser.options.clone())
            .map_err(|e| e.within_key("data.parser"))
    }

    pub(super) fn recipe(&self) -> Result<Box<dyn Recipe>> {
        let recipe = self.manifest.recipe.clone().unwrap_or_default();
        self.registry.make::<RecipeSlot>(&recipe.r#type, recipe.options).map_err(|e| e.within_key("recipe"))
    }

    pub(super) fn objective(&self, stage: usize) -> Result<Box<dyn Objective>> {
        let (key, objective) = self.manifest.stage[stage].objective();
        let made = self.registry.make::<ObjectiveSlot>(&objective.r#type, objective.options);
        made.map_err(|e| e.within_key(&format!("stage[{stage}].{key}")))
    }

    pub(super) fn loss(&self, stage: usize) -> Result<Box<dyn Loss>> {
        let loss = self.manifest.stage[stage].loss();
        let made = self.registry.make::<LossSlot>(&loss.r#type, loss.options);
        made.map_err(|e| e.within_key(&format!("stage[{stage}].loss")))
    }

    fn resolve_data(&mut self) -> Result<()> {
        let mut mistakes = Mistakes::default();
        for i in 0..self.manifest.plugin.len() {
            let key = format!("plugin[{i}]");
            let plugin = self.manifest.plugin[i].clone();
            let path = plugin_path(&plugin.path, &self.source.folder_of(&key));
            mistakes.note(self.registry.load(&path, plugin.sha256.as_deref()).map_err(|e| e.within_key(&key)));
            self.manifest.plugin[i].path = path.to_string_lossy().into_owned();
        }
        // Components of a plugin that is not there would be missing too.
        mistakes.done()?;
        let parser = self.manifest.data.parser.clone();
        self.manifest.data.parser = self.component(Slot::Parser, "data.parser", parser)?;
        // Building it checks the values of its options.
        self.parser().map(|_| ())
    }

    fn resolve(&mut self) -> Result<()> {
        let mut mistakes = Mistakes::default();
        mistakes.note(self.resolve_data());
        let minutes = self.manifest.output.checkpoint_minutes;
        if minutes.is_nan() || minutes < 0.0 {
            let error = Error::user(format!("expected minutes, at least 0, found {minutes}"));
            let error = error.at_key("output.checkpoint_minutes");
            mistakes.note::<()>(Err(error.help("`inf` writes checkpoints at ends of epochs alone")));
        }
        if let Some(device) = mistakes.note(device::open(&self.manifest.backend.device)) {
            self.device = device;
            mistakes.note(self.check_precision());
        }
        let recipe = match mistakes.note(self.resolve_recipe()) {
            Some(recipe) => recipe,
            None => return mistakes.done(),
        };
        self.manifest.model.complete(recipe.as_ref());
        let before = mistakes.len();
        for (key, slot, written) in self.manifest.model.clone().parts() {
            let key_of = format!("model.{key}");
            let part = self.named(slot, &key_of, written);
            let part = part.and_then(|part| resolve_component(&mut self.registry, &self.source, slot, &key_of, part));
            if let Some(part) = mistakes.note(part) {
                self.manifest.model.set_part(key, part);
            }
        }
        if mistakes.len() == before {
            let (registry, model, device) = (&self.registry, &self.manifest.model, &Device::flex());
            Building { registry, model, device }.check(&mut mistakes);
        }
        let history = self.manifest.model.head.history.unwrap_or(!self.manifest.is_compat());
        self.manifest.model.head.history = Some(history);
        for i in 0..self.manifest.stage.len() {
            let resolved = self.resolve_stage(recipe.as_ref(), i);
            mistakes.note(resolved);
        }
        mistakes.done()
    }

    fn check_precision(&self) -> Result<()> {
        if self.manifest.backend.precision != Precision::F32 && self.device.name != "cpu" {
            let message = format!("on {} graph kernels read rows in f32 alone, found \"bf16\"", self.device.name);
            return Err(Error::user(message)
                .at_key("backend.precision")
                .help("use precision = \"f32\", or device = \"cpu\""));
        }
        Ok(())
    }

    fn resolve_recipe(&mut self) -> Result<Box<dyn Recipe>> {
        let written = self.named(Slot::Recipe, "recipe", self.manifest.recipe.clone().unwrap_or_default())?;
        let recipe = self.component(Slot::Recipe, "recipe", written)?;
        self.manifest.recipe = Some(recipe);
        self.recipe()
    }

    /// What is written, of the default component of its slot where it names none.
    fn named(&self, slot: Slot, key: &str, written: ComponentRef) -> Result<ComponentRef> {
        match written.is_open() {
            true => Ok(ComponentRef { r#type: self.registry.default_of(slot).map_err(|e| e.at_key(key))?, ..written }),
            false => Ok(written),
        }
    }

    fn resolve_stage(&mut self, recipe: &dyn Recipe, i: usize) -> Result<()> {
        let (earlier, paths) = (&self.manifest.stage[..i], self.manifest.model.paths());
        let context = StageContext { compat: self.manifest.is_compat(), earlier, paths: &paths };
        let mut stage = completed_stage(recipe, self.manifest.stage[i].clone(), &context)?;
        let (key, objective) = stage.objective();
        let objective = self.component(Slot::Objective, &format!("stage[{i}].{key}"), objective)?;
        stage.loss = Some(self.component(Slot::Loss, &format!("stage[{i}].loss"), stage.loss())?);
        match key {
            "task" => stage.task = Some(objective),
            _ => stage.objective = Some(objective),
        }
        check_turns(&stage, &self.manifest.stage[..i]).map_err(|e| e.within_key(&format!("stage[{i}]")))?;
        self.manifest.stage[i] = stage;
        // Building them checks the values of their options.
        let (objective, loss) = (self.objective(i)?, self.loss(i)?);
        match objective.link() == loss.link() {
            true => Ok(()),
            false => Err(self.other_targets(i, objective.link(), loss.link())),
        }
    }

    /// The error of a loss for other targets than those of the stage's objective, with the losses that are for these.
    fn other_targets(&mut self, stage: usize, wanted: Option<Link>, found: Option<Link>) -> Error {
        let name = |link: Option<Link>| link.map_or("labels", Link::name);
        let (objective, loss) = (self.manifest.stage[stage].objective().1, self.manifest.stage[stage].loss());
        let (task, loss) = (objective.r#type, loss.r#type);
        let message = format!("targets of `{task}` are {}, and `{loss}` compares {}", name(wanted), name(found));
        let error = Error::user(message).at_key(format!("stage[{stage}].loss"));
        if self.registry.load_shipped().is_err() {
            return error;
        }
        let losses = self.registry.components().filter(|info| info.slot == Slot::Loss).map(|info| info.name);
        let fits =
            |name: &&str| self.registry.make::<LossSlot>(name, Table::new()).is_ok_and(|loss| loss.link() == wanted);
        let losses: Vec<String> = losses.filter(fits).map(|name| format!("`{name}`")).collect();
        error.help(format!("losses for {}: {}", name(wanted), losses.join(", ")))
    }

    fn component(&mut self, slot: Slot, key: &str, written: ComponentRef) -> Result<ComponentRef> {
        let written = match self.manifest.is_compat() {
            true => with_published_defaults(&mut self.registry, slot, key, written)?,
            false => written,
        };
        resolve_component(&mut self.registry, &self.source, slot, key, written)
    }
}

/// Fills in what the published code has where a manifest with `compat` says nothing: options name it in their schema as
/// `x-compat`.
fn with_published_defaults(
    registry: &mut Registry,
    slot: Slot,
    key: &str,
    mut written: ComponentRef,
) -> Result<ComponentRef> {
    registry.require(slot, &written.r#type).map_err(|e| e.within_key(key))?;
    let Ok(info) = registry.info(slot, &written.r#type) else { return Ok(written) };
    for (name, option) in info.schema.get("properties").and_then(|p| p.as_object()).into_iter().flatten() {
        let published = option.get("x-compat").and_then(|value| Value::try_from(value).ok());
        if let Some(published) = published.filter(|_| !written.options.contains_key(name)) {
            written.options.insert(name.clone(), published);
        }
    }
    Ok(written)
}

/// Finds a component, makes its paths absolute and fills in its defaults.
pub(crate) fn resolve_component(
    registry: &mut Registry,
    source: &Source,
    slot: Slot,
    key: &str,
    written: ComponentRef,
) -> Result<ComponentRef> {
    let ComponentRef { r#type, mut options } = written;
    registry.require(slot, &r#type).map_err(|e| e.within_key(key))?;
    let paths = path_options(registry, slot, &r#type);
    for (name, value) in options.iter_mut().filter(|(name, _)| paths.contains(name)) {
        if let Value::String(path) = value
            && !path.is_empty()
        {
            *path =
                absolute(&source.folder_of(&format!("{key}.{name}")), Path::new(path)).to_string_lossy().into_owned();
        }
    }
    let options = registry.check(slot, &r#type, options).map_err(|e| match source.is_set(&format!("{key}.type")) {
        true => e
            .within_key(key)
            .help(format!("--set '{key}={{ type = \"{type}\" }}' drops the options of the other type", type = r#type)),
        false => e.within_key(key),
    })?;
    Ok(ComponentRef { r#type, options })
}

/// The options of a component that are paths, by its schema.
pub(super) fn path_options(registry: &Registry, slot: Slot, name: &str) -> Vec<String> {
    let Ok(info) = registry.info(slot, name) else { return Vec::new() };
    let properties = info.schema.get("properties").and_then(|p| p.as_object());
    let is_path = |option: &serde_json::Value| option.get("format").and_then(|f| f.as_str()) == Some("path");
    properties.into_iter().flatten().filter(|(_, option)| is_path(option)).map(|(name, _)| name.clone()).collect()
}

/// The plugins that a manifest lists, as [`Registry::load`] takes them.
pub fn listed_plugins((manifest, source): &(Manifest, Source)) -> Vec<PathBuf> {
    let path = |(i, plugin): (usize, &PluginRef)| plugin_path(&plugin.path, &source.folder_of(&format!("plugin[{i}]")));
    manifest.plugin.iter().enumerate().map(path).collect()
}

/// A name as it is; a path from the folder of the manifest.
pub(crate) fn plugin_path(written: &str, folder: &Path) -> PathBuf {
    match written.contains(['/', '\\', '.']) {
        true => absolute(folder, Path::new(written)),
        false => written.into(),
    }
}

/// `path`, taken from `folder` when it is relative; the current folder when that is where it is.
pub(crate) fn absolute(folder: &Path, path: &Path) -> std::path::PathBuf {
    let joined = folder.join(path);
    let chosen = if !joined.exists() && path.exists() { path.to_owned() } else { joined };
    std::path::absolute(&chosen).unwrap_or(chosen)
}

/// A manifest as TOML text, for `manifest.toml` of a run.
pub(super) fn to_toml(manifest: &Manifest) -> Result<String> {
    let table =
        Table::try_from(manifest).map_err(|e| Error::program(format!("the manifest cannot be written: {e}")))?;
    toml::to_string(&table).map_err(|e| Error::program(format!("the manifest cannot be written: {e}")))
}
