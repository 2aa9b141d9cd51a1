//! From a manifest to a plan: finds components, fills in what is not written, and checks what can be checked before work
//! starts.

use super::components::{absolute, made_options, named, plugin_path, resolve_component};
use super::embedding::{KgeExperiment, KgeManifest, NamedEmbedding, named_at};
use super::manifest::{ComponentRef, Manifest, PluginRef, Prior, Source};
use super::parts::{Building, Checked};
use super::plan::{Plan, loss_of, make, objective_of};
use crate::component::*;
use crate::data::knowledge::{GraphSource, check_files};
use crate::device::{self, NamedDevice};
use crate::error::{Mistakes, listed as listed_names};
use crate::ops::Precision;
use crate::options::within_ranges;
use crate::plugin::Registry;
use crate::recipe::{Recipe, RecipeSlot, StageContext, check_turns, completed_stage};
use crate::{Error, Result};
use burn::tensor::Device;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The plan of a manifest.
pub(super) fn plan(manifest: (Manifest, Source), registry: Registry) -> Result<Plan> {
    resolved(manifest, registry, Draft::all)
}

/// The same of its plugins, `[data]` and its stages: what these ask about decides who is learnt from.
pub(super) fn data_plan(manifest: (Manifest, Source), registry: Registry) -> Result<Plan> {
    resolved(manifest, registry, |draft| {
        let found = draft.tables()?;
        if !draft.manifest.stage.is_empty() {
            let recipe = draft.recipe()?;
            (0..draft.manifest.stage.len()).try_for_each(|i| draft.stage(recipe.as_ref(), i, &found.checked.paths))?;
        }
        Ok(found)
    })
}

/// The same of its plugins and `[data]` alone.
pub(super) fn table_plan(manifest: (Manifest, Source), registry: Registry) -> Result<Plan> {
    resolved(manifest, registry, Draft::tables)
}

fn resolved(
    (manifest, source): (Manifest, Source),
    registry: Registry,
    resolve: impl FnOnce(&mut Draft) -> Result<Found>,
) -> Result<Plan> {
    let mut draft = Draft { manifest, registry, source };
    let found = resolve(&mut draft);
    let Draft { manifest, registry, source } = draft;
    let Found { parser, device, embeddings, checked } = found.map_err(|e| source.place(e))?;
    Ok(Plan { manifest, registry, device, source, parser, embeddings, checked, chosen_on_valid: false })
}

/// A manifest whose defaults are being filled in, with the components that are found.
struct Draft {
    manifest: Manifest,
    registry: Registry,
    source: Source,
}

/// What a plan has beside its [`Draft`].
struct Found {
    parser: Box<dyn Parser>,
    device: NamedDevice,
    embeddings: Vec<NamedEmbedding>,
    checked: Checked,
}

impl Draft {
    fn all(&mut self) -> Result<Found> {
        let mut mistakes = Mistakes::default();
        let parser = self.data(&mut mistakes);
        mistakes.note(within_ranges(&self.manifest.output).map_err(|e| e.within_key("output")));
        let device = mistakes.note(self.backend());
        let Some(recipe) = mistakes.note(self.recipe()) else { return mistakes.finish(None) };
        let (embeddings, checked) = self.model(recipe.as_ref(), parser.as_deref(), &mut mistakes);
        for i in 0..self.manifest.stage.len() {
            mistakes.note(self.stage(recipe.as_ref(), i, &checked.paths));
        }
        let found = parser.zip(device).map(|(parser, device)| Found { parser, device, embeddings, checked });
        mistakes.finish(found)
    }

    /// Plugins and `[data]`, for work on tables, which no model sees.
    fn tables(&mut self) -> Result<Found> {
        let mut mistakes = Mistakes::default();
        let parser = self.data(&mut mistakes);
        let parser = mistakes.finish(parser)?;
        Ok(Found { parser, device: device::open("cpu")?, embeddings: Vec::new(), checked: Checked::default() })
    }

    /// Loads the plugins and completes `[data]`; its parser, as soon as that can be built.
    fn data(&mut self, mistakes: &mut Mistakes) -> Option<Box<dyn Parser>> {
        // Components of a plugin that is not there would be missing too.
        mistakes.note(self.plugins())?;
        self.knowledge();
        let parser = mistakes.note(self.parser());
        let sources = &self.manifest.data.knowledge;
        let known = parser.as_deref().map(|parser| known_to(parser, sources, "data.knowledge"));
        // Without a plan nobody else will look at files.
        if known.and_then(|known| mistakes.note(known)).is_none() {
            mistakes.note(check_files(sources, "data.knowledge"));
        }
        parser
    }

    /// Completes the parser, and builds it, which checks the values of its options.
    fn parser(&mut self) -> Result<Box<dyn Parser>> {
        let written = self.manifest.data.parser.clone();
        self.manifest.data.parser = self.component(Slot::Parser, "data.parser", written)?;
        make::<ParserSlot>(&self.registry, "data.parser", self.manifest.data.parser.clone())
    }

    /// Makes the paths of the knowledge graph's sources absolute.
    fn knowledge(&mut self) {
        for (i, part) in self.manifest.data.knowledge.iter_mut().enumerate() {
            for (key, path) in part.paths().into_iter().filter(|(_, path)| path.given().is_some()) {
                path.0 = absolute(&self.source.folder_of(&format!("data.knowledge[{i}].{key}")), path.as_path());
            }
        }
    }

    /// Loads the manifest's plugins.
    fn plugins(&mut self) -> Result<()> {
        let mut mistakes = Mistakes::default();
        for (i, plugin) in self.manifest.plugin.iter_mut().enumerate() {
            let key = format!("plugin[{i}]");
            let path = plugin_path(&plugin.path, &self.source.folder_of(&key));
            mistakes.note(self.registry.load(&path, plugin.sha256.as_deref()).map_err(|e| e.within_key(&key)));
            plugin.path = path.to_string_lossy().into_owned();
        }
        mistakes.done()
    }

    /// Opens the device, and checks that it can do what is asked for.
    fn backend(&self) -> Result<NamedDevice> {
        let device = device::open(&self.manifest.backend.device)?;
        match self.manifest.backend.precision == Precision::Tf32 && !device.name.starts_with("cuda") {
            true => {
                Err(Error::user(format!("on {} matrices are multiplied in 32 bits alone, found \"tf32\"", device.name))
                    .at_key("backend.precision")
                    .help("use precision = \"f32\" or \"bf16\", or a device of CUDA"))
            }
            false => Ok(device),
        }
    }

    fn recipe(&mut self) -> Result<Box<dyn Recipe>> {
        let written = self.manifest.recipe.clone().unwrap_or_default();
        let written = named(&self.registry, Slot::Recipe, "recipe", written)?;
        let completed = self.component(Slot::Recipe, "recipe", written)?;
        self.manifest.recipe = Some(completed.clone());
        make::<RecipeSlot>(&self.registry, "recipe", completed)
    }

    /// Completes the parts of the model, and builds each at a small size: the embeddings that they name by manifests, and what
    /// the parts say of the model.
    fn model(
        &mut self,
        recipe: &dyn Recipe,
        parser: Option<&dyn Parser>,
        mistakes: &mut Mistakes,
    ) -> (Vec<NamedEmbedding>, Checked) {
        self.manifest.model.complete(recipe);
        let (mut wrong, mut embeddings) = (Vec::new(), Vec::new());
        let completed = self.manifest.model.clone();
        for (key, slot, written) in completed.parts().filter(|(key, _, _)| !completed.lacks(key)) {
            match mistakes.note(self.part(key, slot, written, parser)) {
                Some((part, named)) => {
                    self.manifest.model.set_part(key, part);
                    embeddings.extend(named);
                }
                None => wrong.push(key),
            }
        }
        let (registry, model, device) = (&self.registry, &self.manifest.model, &Device::flex());
        let knows = !self.manifest.data.knowledge.is_empty();
        let checked = Building { registry, model, device }.check(wrong, knows, mistakes);
        let is_sound = !self.manifest.is_compat();
        let heads = &mut self.manifest.model.head;
        heads.history.get_or_insert(is_sound);
        heads.prior.get_or_insert(if is_sound { Prior::Mean } else { Prior::Nothing });
        (embeddings, checked)
    }

    /// A completed part of the model, with the embeddings that it names by manifests.
    fn part(
        &mut self,
        key: &'static str,
        slot: Slot,
        written: ComponentRef,
        parser: Option<&dyn Parser>,
    ) -> Result<(ComponentRef, Vec<NamedEmbedding>)> {
        let key_of = format!("model.{key}");
        let part = named(&self.registry, slot, &key_of, written)?;
        let part = resolve_component(&mut self.registry, &self.source, slot, &key_of, part)?;
        let embeddings = self.embeddings(key, slot, &part, parser)?;
        Ok((part, embeddings))
    }

    /// Reads the manifests of embeddings that a part of the model names in the place of folders.
    fn embeddings(
        &mut self,
        part: &'static str,
        slot: Slot,
        component: &ComponentRef,
        parser: Option<&dyn Parser>,
    ) -> Result<Vec<NamedEmbedding>> {
        let mut embeddings = Vec::new();
        for option in made_options(&self.registry, slot, &component.r#type) {
            let path = component.options.get(&option).and_then(Value::as_str).unwrap_or_default();
            let folder = MadeFolder(path.into());
            if !folder.is_to_be_made() {
                continue;
            }
            let key = format!("model.{part}.{option}");
            if slot == Slot::Head {
                return Err(Error::user(
                    "expected a run folder, found a manifest: embeddings are made for parts before the heads",
                )
                .at_key(key)
                .help("`dualk kge train` prints the folder of its run"));
            }
            let embedding = self.embedding(&folder.0, parser).map_err(|e| named_at(e, &key))?;
            embeddings.push(NamedEmbedding { part, option, embedding });
        }
        Ok(embeddings)
    }

    /// The embedding of a manifest. A parser that cannot be built is a mistake of its own.
    fn embedding(&mut self, manifest: &Path, parser: Option<&dyn Parser>) -> Result<KgeExperiment> {
        let embedding = KgeExperiment::of(KgeManifest::load(manifest, &[])?, &mut self.registry)?;
        if let Some(parser) = parser {
            embedding.placed(known_to(parser, &embedding.manifest.data.source, "data.source"))?;
        }
        Ok(embedding)
    }

    fn stage(&mut self, recipe: &dyn Recipe, i: usize, paths: &[&'static str]) -> Result<()> {
        let earlier = &self.manifest.stage[..i];
        let context = StageContext { compat: self.manifest.is_compat(), earlier, paths };
        let mut stage = completed_stage(recipe, self.manifest.stage[i].clone(), &context)?;
        let (key, objective) = stage.objective();
        let mut mistakes = Mistakes::default();
        let objective = mistakes.note(self.component(Slot::Objective, &format!("stage[{i}].{key}"), objective));
        let loss = mistakes.note(self.component(Slot::Loss, &format!("stage[{i}].loss"), stage.loss()));
        let (objective, loss) = mistakes.finish(objective.zip(loss))?;
        stage.loss = Some(loss);
        match key {
            "task" => stage.task = Some(objective),
            _ => stage.objective = Some(objective),
        }
        check_turns(&stage, &self.manifest.stage[..i]).map_err(|e| e.within_key(&format!("stage[{i}]")))?;
        self.manifest.stage[i] = stage;
        // Building them checks the values of their options.
        let stage = &self.manifest.stage[i];
        let (objective, loss) = (objective_of(&self.registry, i, stage)?, loss_of(&self.registry, i, stage)?);
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
        let registry = &mut self.registry;
        if registry.load_shipped().is_err() {
            return error;
        }
        let losses = registry.components().filter(|info| info.slot == Slot::Loss).map(|info| info.name);
        let fits = |name: &&str| registry.make::<LossSlot>(name, Table::new()).is_ok_and(|loss| loss.link() == wanted);
        let losses: Vec<String> = losses.filter(fits).map(|name| format!("`{name}`")).collect();
        error.help(format!("losses for {}: {}", name(wanted), listed_names(&losses, "`dualk list loss`")))
    }

    fn component(&mut self, slot: Slot, key: &str, written: ComponentRef) -> Result<ComponentRef> {
        let written = match self.manifest.is_compat() {
            true => with_published_defaults(&mut self.registry, slot, key, written)?,
            false => written,
        };
        resolve_component(&mut self.registry, &self.source, slot, key, written)
    }
}

/// Looks whether the parser knows what sources, which stand at `key`, ask it for, before it reads anything.
fn known_to(parser: &dyn Parser, sources: &[GraphSource], key: &str) -> Result<()> {
    for (i, source) in sources.iter().enumerate() {
        if let GraphSource::Parser { strength } = source {
            let facts = parser.knowledge(*strength).and_then(|facts| GraphSource::check_facts(&facts));
            facts.map_err(|e| e.within_key(&format!("{key}[{i}]")))?;
        }
    }
    Ok(())
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

/// What a manifest asks of plugins, as [`Registry::files`] takes it.
pub struct Listed {
    /// The files of plugins that it lists.
    pub plugins: Vec<PathBuf>,
    /// The components that it names.
    pub components: Vec<(Slot, String)>,
    /// The slots of which it names none where it could.
    pub open: BTreeSet<Slot>,
}

/// The plugins that a manifest lists and the components that it names; those of the embeddings that its model names by manifests
/// among them. No component is asked which of its options these are: they are the paths of `.toml` files.
///
/// # Errors
/// When the manifest of an embedding cannot be read.
pub fn listed((manifest, source): &(Manifest, Source)) -> Result<Listed> {
    let (plugins, components) = (plugin_files(&manifest.plugin, source), manifest.components());
    let mut listed = Listed { plugins, components, open: manifest.open_slots() };
    for (part, _, component) in manifest.model.named_parts() {
        for (option, value) in &component.options {
            let folder = MadeFolder(value.as_str().unwrap_or_default().into());
            if folder.is_to_be_made() {
                let key = format!("model.{part}.{option}");
                let path = absolute(&source.folder_of(&key), &folder.0);
                let named = Source::load(&path, &[]).map_err(|e| source.place(named_at(e, &key)))?;
                if named.names_triples() {
                    let embedding = KgeManifest::from_source(named);
                    listed.add(&embedding.map_err(|e| source.place(named_at(e, &key)))?);
                }
            }
        }
    }
    Ok(listed)
}

/// The plugins that the manifest of an embedding lists, and its model.
pub fn listed_of_embedding(manifest: &(KgeManifest, Source)) -> Listed {
    let mut listed = Listed { plugins: Vec::new(), components: Vec::new(), open: BTreeSet::new() };
    listed.add(manifest);
    listed
}

impl Listed {
    /// Adds what an embedding asks for.
    fn add(&mut self, (embedding, source): &(KgeManifest, Source)) {
        self.plugins.extend(plugin_files(&embedding.plugin, source));
        if embedding.model.is_open() {
            self.open.insert(Slot::KgeModel);
        } else {
            self.components.push((Slot::KgeModel, embedding.model.r#type.clone()));
        }
    }
}

fn plugin_files(plugins: &[PluginRef], source: &Source) -> Vec<PathBuf> {
    let path = |(i, plugin): (usize, &PluginRef)| plugin_path(&plugin.path, &source.folder_of(&format!("plugin[{i}]")));
    plugins.iter().enumerate().map(path).collect()
}
