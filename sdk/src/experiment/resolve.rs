//! From a manifest to a plan: finds components, fills in what is not written, and checks what can be checked before work
//! starts.

use super::components::{absolute, made_options, named, plugin_path, resolve_component};
use super::embedding::{KgeExperiment, KgeManifest, NamedEmbedding, named_at};
use super::manifest::{ComponentRef, Manifest, PluginRef, Source};
use super::parts::{Building, Checked};
use super::plan::Plan;
use crate::component::*;
use crate::data::knowledge::GraphSource;
use crate::device;
use crate::error::Mistakes;
use crate::ops::Precision;
use crate::options::within_ranges;
use crate::plugin::Registry;
use crate::recipe::{Recipe, StageContext, check_turns, completed_stage};
use crate::{Error, Result};
use burn::tensor::Device;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The plan of a manifest.
pub(super) fn plan(manifest: (Manifest, Source), registry: Registry) -> Result<Plan> {
    resolved(manifest, registry, all)
}

/// The same of its plugins, `[data]` and its stages: what these ask about decides who is learnt from.
pub(super) fn data_plan(manifest: (Manifest, Source), registry: Registry) -> Result<Plan> {
    resolved(manifest, registry, |plan| {
        data(plan)?;
        if plan.manifest.stage.is_empty() {
            return Ok(());
        }
        let recipe = recipe(plan)?;
        (0..plan.manifest.stage.len()).try_for_each(|i| stage(plan, recipe.as_ref(), i))
    })
}

/// The same of its plugins and `[data]` alone.
pub(super) fn table_plan(manifest: (Manifest, Source), registry: Registry) -> Result<Plan> {
    resolved(manifest, registry, data)
}

fn resolved(
    (manifest, source): (Manifest, Source),
    registry: Registry,
    resolve: impl FnOnce(&mut Plan) -> Result<()>,
) -> Result<Plan> {
    let device = device::open("cpu")?;
    let checked = Checked { tells_visits_apart: true, sees_items: true, unasked: Vec::new() };
    let mut plan = Plan { manifest, registry, device, source, parser: None, embeddings: Vec::new(), checked };
    let found = resolve(&mut plan);
    plan.placed(found)?;
    Ok(plan)
}

fn data(plan: &mut Plan) -> Result<()> {
    plugins(plan)?;
    knowledge(plan);
    let mut mistakes = Mistakes::default();
    mistakes.note(parser(plan));
    // Without a plan nobody else will look at files.
    if !mistakes.is_empty() {
        mistakes.note(plan.check_knowledge());
    }
    mistakes.done()
}

/// Completes the parser.
fn parser(plan: &mut Plan) -> Result<()> {
    let written = plan.manifest.data.parser.clone();
    plan.manifest.data.parser = component(plan, Slot::Parser, "data.parser", written)?;
    plan.build_parser()?;
    known_to(plan.parser()?, &plan.manifest.data.knowledge, "data.knowledge")
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

/// Makes the paths of the knowledge graph's sources absolute.
fn knowledge(plan: &mut Plan) {
    let Plan { manifest, source, .. } = plan;
    for (i, part) in manifest.data.knowledge.iter_mut().enumerate() {
        for (key, path) in part.paths().into_iter().filter(|(_, path)| path.given().is_some()) {
            path.0 = absolute(&source.folder_of(&format!("data.knowledge[{i}].{key}")), path.as_path());
        }
    }
}

/// Loads the manifest's plugins.
fn plugins(plan: &mut Plan) -> Result<()> {
    let mut mistakes = Mistakes::default();
    for (i, plugin) in plan.manifest.plugin.iter_mut().enumerate() {
        let key = format!("plugin[{i}]");
        let path = plugin_path(&plugin.path, &plan.source.folder_of(&key));
        mistakes.note(plan.registry.load(&path, plugin.sha256.as_deref()).map_err(|e| e.within_key(&key)));
        plugin.path = path.to_string_lossy().into_owned();
    }
    // Components of a plugin that is not there would be missing too.
    mistakes.done()
}

fn all(plan: &mut Plan) -> Result<()> {
    let mut mistakes = Mistakes::default();
    mistakes.note(data(plan));
    mistakes.note(within_ranges(&plan.manifest.output).map_err(|e| e.within_key("output")));
    mistakes.note(backend(plan));
    let Some(recipe) = mistakes.note(recipe(plan)) else { return mistakes.done() };
    model(plan, recipe.as_ref(), &mut mistakes);
    for i in 0..plan.manifest.stage.len() {
        let found = stage(plan, recipe.as_ref(), i);
        mistakes.note(found);
    }
    mistakes.done()
}

/// Opens the device, and checks that it can do what is asked for.
fn backend(plan: &mut Plan) -> Result<()> {
    plan.device = device::open(&plan.manifest.backend.device)?;
    let (precision, device) = (plan.manifest.backend.precision, &plan.device.name);
    match precision == Precision::Tf32 && !device.starts_with("cuda") {
        true => Err(Error::user(format!("on {device} matrices are multiplied in 32 bits alone, found \"tf32\""))
            .at_key("backend.precision")
            .help("use precision = \"f32\" or \"bf16\", or a device of CUDA")),
        false => Ok(()),
    }
}

fn recipe(plan: &mut Plan) -> Result<Box<dyn Recipe>> {
    let written = plan.manifest.recipe.clone().unwrap_or_default();
    let written = named(&plan.registry, Slot::Recipe, "recipe", written)?;
    plan.manifest.recipe = Some(component(plan, Slot::Recipe, "recipe", written)?);
    plan.recipe()
}

/// Completes the parts of the model, and builds each at a small size.
fn model(plan: &mut Plan, recipe: &dyn Recipe, mistakes: &mut Mistakes) {
    plan.manifest.model.complete(recipe);
    let mut wrong = Vec::new();
    let completed = plan.manifest.model.clone();
    for (key, slot, written) in completed.parts().filter(|(key, _, _)| !completed.lacks(key)) {
        let key_of = format!("model.{key}");
        let part = named(&plan.registry, slot, &key_of, written);
        let part = part.and_then(|part| resolve_component(&mut plan.registry, &plan.source, slot, &key_of, part));
        let part = part.and_then(|part| embeddings(plan, key, slot, &part).map(|()| part));
        match mistakes.note(part) {
            Some(part) => plan.manifest.model.set_part(key, part),
            None => wrong.push(key),
        }
    }
    let (registry, model, device) = (&plan.registry, &plan.manifest.model, &Device::flex());
    let knows = !plan.manifest.data.knowledge.is_empty();
    plan.checked = Building { registry, model, device, unasked: &[] }.check(wrong, knows, mistakes);
    let history = plan.manifest.model.head.history.unwrap_or(!plan.manifest.is_compat());
    plan.manifest.model.head.history = Some(history);
}

/// Reads the manifests of embeddings that a part of the model names in the place of folders.
fn embeddings(plan: &mut Plan, part: &'static str, slot: Slot, component: &ComponentRef) -> Result<()> {
    for option in made_options(&plan.registry, slot, &component.r#type) {
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
        let embedding = embedding(plan, &folder.0).map_err(|e| named_at(e, &key))?;
        plan.embeddings.push(NamedEmbedding { part, option, embedding });
    }
    Ok(())
}

/// The embedding of a manifest.
fn embedding(plan: &mut Plan, manifest: &Path) -> Result<KgeExperiment> {
    let embedding = KgeExperiment::of(KgeManifest::load(manifest, &[])?, &mut plan.registry)?;
    // A parser that cannot be built is a mistake of its own.
    if let Ok(parser) = plan.parser() {
        embedding.placed(known_to(parser, &embedding.manifest.data.source, "data.source"))?;
    }
    Ok(embedding)
}

fn stage(plan: &mut Plan, recipe: &dyn Recipe, i: usize) -> Result<()> {
    let (earlier, paths) = (&plan.manifest.stage[..i], plan.manifest.model.paths());
    let context = StageContext { compat: plan.manifest.is_compat(), earlier, paths: &paths };
    let mut stage = completed_stage(recipe, plan.manifest.stage[i].clone(), &context)?;
    let (key, objective) = stage.objective();
    let mut mistakes = Mistakes::default();
    let objective = mistakes.note(component(plan, Slot::Objective, &format!("stage[{i}].{key}"), objective));
    let loss = mistakes.note(component(plan, Slot::Loss, &format!("stage[{i}].loss"), stage.loss()));
    let (objective, loss) = mistakes.finish(objective.zip(loss))?;
    stage.loss = Some(loss);
    match key {
        "task" => stage.task = Some(objective),
        _ => stage.objective = Some(objective),
    }
    check_turns(&stage, &plan.manifest.stage[..i]).map_err(|e| e.within_key(&format!("stage[{i}]")))?;
    plan.manifest.stage[i] = stage;
    // Building them checks the values of their options.
    let (objective, loss) = (plan.objective(i)?, plan.loss(i)?);
    match objective.link() == loss.link() {
        true => Ok(()),
        false => Err(other_targets(plan, i, objective.link(), loss.link())),
    }
}

/// The error of a loss for other targets than those of the stage's objective, with the losses that are for these.
fn other_targets(plan: &mut Plan, stage: usize, wanted: Option<Link>, found: Option<Link>) -> Error {
    let name = |link: Option<Link>| link.map_or("labels", Link::name);
    let (objective, loss) = (plan.manifest.stage[stage].objective().1, plan.manifest.stage[stage].loss());
    let (task, loss) = (objective.r#type, loss.r#type);
    let message = format!("targets of `{task}` are {}, and `{loss}` compares {}", name(wanted), name(found));
    let error = Error::user(message).at_key(format!("stage[{stage}].loss"));
    let registry = &mut plan.registry;
    if registry.load_shipped().is_err() {
        return error;
    }
    let losses = registry.components().filter(|info| info.slot == Slot::Loss).map(|info| info.name);
    let fits = |name: &&str| registry.make::<LossSlot>(name, Table::new()).is_ok_and(|loss| loss.link() == wanted);
    let losses: Vec<String> = losses.filter(fits).map(|name| format!("`{name}`")).collect();
    error.help(format!("losses for {}: {}", name(wanted), losses.join(", ")))
}

fn component(plan: &mut Plan, slot: Slot, key: &str, written: ComponentRef) -> Result<ComponentRef> {
    let written = match plan.manifest.is_compat() {
        true => with_published_defaults(&mut plan.registry, slot, key, written)?,
        false => written,
    };
    resolve_component(&mut plan.registry, &plan.source, slot, key, written)
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
    let (mut plugins, mut components) = (plugin_files(&manifest.plugin, source), manifest.components());
    let mut open = manifest.open_slots();
    for (part, _, component) in manifest.model.named_parts() {
        for (option, value) in &component.options {
            let folder = MadeFolder(value.as_str().unwrap_or_default().into());
            if folder.is_to_be_made() {
                let key = format!("model.{part}.{option}");
                let path = absolute(&source.folder_of(&key), &folder.0);
                if !KgeManifest::is_meant(&path, &[]).map_err(|e| source.place(named_at(e, &key)))? {
                    continue;
                }
                let (embedding, own) = KgeManifest::load(&path, &[]).map_err(|e| source.place(named_at(e, &key)))?;
                plugins.extend(plugin_files(&embedding.plugin, &own));
                if embedding.model.is_open() {
                    open.insert(Slot::KgeModel);
                } else {
                    components.push((Slot::KgeModel, embedding.model.r#type));
                }
            }
        }
    }
    Ok(Listed { plugins, components, open })
}

fn plugin_files(plugins: &[PluginRef], source: &Source) -> Vec<PathBuf> {
    let path = |(i, plugin): (usize, &PluginRef)| plugin_path(&plugin.path, &source.folder_of(&format!("plugin[{i}]")));
    plugins.iter().enumerate().map(path).collect()
}
