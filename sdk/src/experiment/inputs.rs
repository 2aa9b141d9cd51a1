//! What decides the results of a plan: files, parts, cohort.

use super::components::{FORM, component_identity, files_of, paths, sdk, source_files, written};
use super::identity::Identity;
use super::manifest::{ComponentRef, Manifest};
use super::plan::Plan;
use crate::cache::{Key, fingerprint};
use crate::component::{Inputs, Parser, Slot};
use crate::{Error, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The files that the parser reads, by what tells them from others; null for a parser that does not name them.
fn data_files(parser: &dyn Parser) -> Result<Value> {
    let Some(Inputs { files, .. }) = parser.inputs() else { return Ok(Value::Null) };
    let files = files.iter().map(|file| fingerprint(file)).collect::<Result<Vec<_>>>()?;
    let named = files.into_iter().enumerate().map(|(i, file)| {
        let name = file["name"].as_str().map_or_else(|| i.to_string(), str::to_owned);
        (name, file)
    });
    Ok(named.collect::<Map<_, _>>().into())
}

/// The files of the knowledge graph's sources by content, a prepared folder by those of its files that are read.
pub(super) fn knowledge_files(manifest: &Manifest) -> Result<Map<String, Value>> {
    let files = source_files(&manifest.data.knowledge, "data.knowledge")?;
    Ok(files.into_iter().map(|(name, file)| (format!("knowledge{name}"), file)).collect())
}

/// The files that the parser and its options name, as they are now.
pub(super) fn seen(plan: &Plan, parser: &dyn Parser) -> BTreeMap<PathBuf, Option<Value>> {
    let named = paths(&plan.registry, Slot::Parser, &plan.manifest.data.parser).into_iter().map(|(_, path)| path);
    let files = parser.inputs().map(|inputs| inputs.files).unwrap_or_default();
    let all = named.chain(files).filter(|path| path.is_file());
    all.map(|path| (path.clone(), fingerprint(&path).ok())).collect()
}

/// What tells a part of the model from another, as [`component_identity`]; for embeddings that are made from a manifest stands
/// what they are made from.
pub(super) fn part_identity(plan: &Plan, key: &str, slot: Slot, mut part: ComponentRef) -> Result<Option<Value>> {
    let mut made = Map::new();
    for named in plan.embeddings.iter().filter(|named| named.part == key) {
        if !named.embedding.has_known_model() {
            return Ok(None);
        }
        part.options.remove(&named.option);
        made.insert(named.option.clone(), named.made_from()?);
    }
    let identity = component_identity(&plan.registry, slot, &part)?;
    Ok(identity.map(|mut identity| {
        if !made.is_empty() {
            identity["made"] = made.into();
        }
        identity
    }))
}

/// Everything that determines the cohort; `None` when that is not known.
pub(super) fn cohort_key(plan: &Plan, parser: &dyn Parser) -> Result<Option<Key>> {
    let Some(Inputs { files, seed, split }) = parser.inputs() else { return Ok(None) };
    let component = component_identity(&plan.registry, Slot::Parser, &plan.manifest.data.parser)?;
    let Some(component) = component else { return Ok(None) };
    let files = files.iter().map(|file| fingerprint(file)).collect::<Result<Vec<_>>>()?;
    let of_plan = &plan.manifest.data.split;
    let split = match split && of_plan.is_random() {
        true => json!({ "options": written("the split", of_plan)?, "single": plan.asks_about_single()? }),
        false => Value::Null,
    };
    Ok(Some(Key::of(json!({
        "form": FORM,
        "sdk": sdk(),
        "parser": component,
        "files": files,
        "seed": seed.then_some(plan.manifest.seed),
        "split": split,
        "compat": plan.manifest.compat,
    }))))
}

/// What decides the results of a plan.
///
/// # Errors
/// When a file that it reads cannot be read.
pub(super) fn identity(plan: &Plan) -> Result<Identity> {
    let mut manifest = serde_json::to_value(&plan.manifest)
        .map_err(|e| Error::program(format!("the manifest cannot be written as JSON: {e}")))?;
    if let Some(table) = manifest.as_object_mut() {
        table.shift_remove("output");
    }
    let mut files = Map::new();
    for (slot, component) in components(&plan.manifest) {
        for (option, file) in files_of(&plan.registry, slot, &component) {
            files.insert(format!("{slot} {} {option}", component.r#type), file);
        }
    }
    // As of files above: those that cannot be read are left out.
    let made = plan.embeddings.iter().filter_map(|named| Some((named, named.made_from().ok()?)));
    files.extend(made.map(|(named, made)| (format!("{} {}", named.part, named.option), made)));
    files.extend(knowledge_files(&plan.manifest)?);
    let plugins: Map<String, Value> =
        plan.registry.plugins().iter().map(|p| (p.name.clone(), json!(p.sha256))).collect();
    let made_from = json!({
        "manifest": manifest,
        "sdk": sdk(),
        "plugins": plugins,
        "data": data_files(plan.parser()?)?,
        "files": files,
        "device": plan.device.name,
        "threads": rayon::current_num_threads(),
    });
    Ok(Identity { sha256: Key::of(made_from.clone()).hex().to_owned(), made_from })
}

/// The components of model and stages.
fn components(manifest: &Manifest) -> impl Iterator<Item = (Slot, ComponentRef)> {
    let parts = manifest.model.named_parts().map(|(_, slot, part)| (slot, part));
    let stages = manifest.stage.iter();
    parts.chain(stages.flat_map(|stage| [(Slot::Objective, stage.objective().1), (Slot::Loss, stage.loss())]))
}
