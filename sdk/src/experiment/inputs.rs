//! The files that components read, and what tells one component with its options from another.

use super::manifest::{ComponentRef, Manifest};
use super::plan::Plan;
use crate::cache::{Key, fingerprint};
use crate::component::{Inputs, Parser, Slot};
use crate::data::knowledge::GraphSource;
use crate::data::tables::Table;
use crate::plugin::{Registry, Stamp};
use crate::{Error, Result};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Changes when the files of an entry do.
pub(super) const FORM: u32 = 5;

/// The options of a component that are paths, by its schema.
pub(super) fn path_options(registry: &Registry, slot: Slot, name: &str) -> Vec<String> {
    let Ok(info) = registry.info(slot, name) else { return Vec::new() };
    let properties = info.schema.get("properties").and_then(|p| p.as_object());
    let is_path = |option: &serde_json::Value| option.get("format").and_then(|f| f.as_str()) == Some("path");
    properties.into_iter().flatten().filter(|(_, option)| is_path(option)).map(|(name, _)| name.clone()).collect()
}

/// The paths in the options of a component, by option.
fn paths(registry: &Registry, slot: Slot, component: &ComponentRef) -> Vec<(String, PathBuf)> {
    let names = path_options(registry, slot, &component.r#type);
    let written = component.options.iter().filter(|(name, _)| names.contains(name));
    let path = |(name, value): (&String, &toml::Value)| {
        let path = value.as_str().filter(|path| !path.is_empty())?;
        Some((name.clone(), PathBuf::from(path)))
    };
    written.filter_map(path).collect()
}

/// The files that the options of a component name, by option. Those that cannot be read are left out: what needs them
/// will say so.
pub(super) fn files_of(registry: &Registry, slot: Slot, component: &ComponentRef) -> Vec<(String, Value)> {
    let files = paths(registry, slot, component).into_iter();
    files.filter_map(|(name, path)| Some((name, fingerprint(&path).ok()?))).collect()
}

/// The files that the parser reads, by what tells them from others; null for a parser that does not name them.
pub(super) fn data_files(parser: &dyn Parser) -> Result<Value> {
    let Some(Inputs { files, .. }) = parser.inputs() else { return Ok(Value::Null) };
    let files = files.iter().map(|file| fingerprint(file)).collect::<Result<Vec<_>>>()?;
    let named = files.into_iter().enumerate().map(|(i, file)| {
        let name = file["name"].as_str().map_or_else(|| i.to_string(), str::to_owned);
        (name, file)
    });
    Ok(named.collect::<Map<_, _>>().into())
}

/// The files of the knowledge graph's sources by content, a prepared folder by those of its files that are read.
pub(super) fn knowledge_files(manifest: &Manifest) -> Result<Value> {
    let mut sources = manifest.data.knowledge.clone();
    let mut files = Map::new();
    for (i, source) in sources.iter_mut().enumerate() {
        let folder = matches!(source, GraphSource::Cooccurrence { .. });
        for (key, path) in source.paths().into_iter().filter(|(_, path)| path.given().is_some()) {
            let path = path.as_path();
            let found = match folder {
                true => prepared(path),
                false => fingerprint(path),
            };
            let file = found.map_err(|e| e.within_key(&format!("data.knowledge[{i}].{key}")))?;
            files.insert(format!("knowledge[{i}] {key}"), file);
        }
    }
    Ok(files.into())
}

/// What a source reads of a folder that `dualk prepare` wrote.
fn prepared(folder: &Path) -> Result<Value> {
    let table = Table::open(folder, "graph", &[])?;
    Ok(json!([fingerprint(table.path())?, fingerprint(&folder.join("vocabulary.json"))?]))
}

/// The files that the parser and its options name, as they are now.
pub(super) fn seen(plan: &Plan, parser: &dyn Parser) -> BTreeMap<PathBuf, Option<Value>> {
    let named = paths(&plan.registry, Slot::Parser, &plan.manifest.data.parser).into_iter().map(|(_, path)| path);
    let files = parser.inputs().map(|inputs| inputs.files).unwrap_or_default();
    let all = named.chain(files).filter(|path| path.is_file());
    all.map(|path| (path.clone(), fingerprint(&path).ok())).collect()
}

/// Name, options, plugin and files of a component. `None` when it is neither in a plugin nor in the SDK, or has files that
/// cannot be read: what needs them will say so.
pub(super) fn component_identity(registry: &Registry, slot: Slot, component: &ComponentRef) -> Result<Option<Value>> {
    let plugin = match registry.sha256(slot, &component.r#type) {
        Some(sha256) => json!(sha256),
        None if registry.is_builtin(slot, &component.r#type) => Value::Null,
        None => return Ok(None),
    };
    let paths = path_options(registry, slot, &component.r#type);
    let mut options = Map::new();
    for (name, value) in &component.options {
        let value = match value.as_str().filter(|path| paths.contains(name) && !path.is_empty()) {
            // The tables in a parser's folder are among its inputs.
            Some(path) if slot == Slot::Parser && Path::new(path).is_dir() => Value::Null,
            Some(path) => match fingerprint(Path::new(path)) {
                Ok(file) => file,
                Err(_) => return Ok(None),
            },
            None => serde_json::to_value(value)
                .map_err(|e| Error::program(format!("options cannot be written as JSON: {e}")))?,
        };
        options.insert(name.clone(), value);
    }
    Ok(Some(json!({ "type": component.r#type, "plugin": plugin, "options": options })))
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

/// A part of a manifest as JSON.
pub(super) fn written(what: &str, value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|e| Error::program(format!("{what} cannot be written as JSON: {e}")))
}

/// The SDK that runs.
pub(super) fn sdk() -> Value {
    Stamp::current()
        .fields()
        .into_iter()
        .map(|(what, value)| (what.to_owned(), json!(value)))
        .collect::<Map<_, _>>()
        .into()
}
