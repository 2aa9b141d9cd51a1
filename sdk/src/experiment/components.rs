//! Components as manifests name them: found and completed, their files, and what tells one with its options from another.

use super::manifest::{ComponentRef, Heads, Source};
use crate::cache::fingerprint;
use crate::component::Slot;
use crate::data::knowledge::GraphSource;
use crate::data::tables::Table;
use crate::kge::EMBEDDINGS;
use crate::options::{FilePath, MadeFolder};
use crate::plugin::{Registry, Stamp};
use crate::{Error, Result};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Changes when the files of an entry do.
pub(super) const FORM: u32 = 5;

/// The key of a schema that marks an option that says what a model sees, and nothing of what it is asked.
const INPUT: &str = "x-input";

/// The options of a component whose schema has a key with this value.
fn options_with(registry: &Registry, slot: Slot, name: &str, key: &str, value: impl Into<Value>) -> Vec<String> {
    let value: Value = value.into();
    let Ok(info) = registry.info(slot, name) else { return Vec::new() };
    let properties = info.schema.get("properties").and_then(|p| p.as_object());
    let has = |option: &Value| option.get(key) == Some(&value);
    properties.into_iter().flatten().filter(|(_, option)| has(option)).map(|(name, _)| name.clone()).collect()
}

/// The options of a component that are paths, by its schema.
pub(super) fn path_options(registry: &Registry, slot: Slot, name: &str) -> Vec<String> {
    options_with(registry, slot, name, "format", "path")
}

/// Options of a component that are a [`MadeFolder`].
pub(super) fn made_options(registry: &Registry, slot: Slot, name: &str) -> Vec<String> {
    options_with(registry, slot, name, MadeFolder::MARK, MadeFolder::EMBEDDING)
}

/// The options of an objective that say what a model sees of a patient, and nothing of what it is asked.
pub(super) fn input_options(registry: &Registry, objective: &str) -> Vec<String> {
    options_with(registry, Slot::Objective, objective, INPUT, true)
}

/// The paths in the options of a component, by option; of a folder of embeddings that of their file.
pub(super) fn paths(registry: &Registry, slot: Slot, component: &ComponentRef) -> Vec<(String, PathBuf)> {
    let names = path_options(registry, slot, &component.r#type);
    let made = made_options(registry, slot, &component.r#type);
    let written = component.options.iter().filter(|(name, _)| names.contains(name));
    let path = |(name, value): (&String, &toml::Value)| {
        let path = Path::new(value.as_str().filter(|path| !path.is_empty())?);
        Some((name.clone(), if made.contains(name) { path.join(EMBEDDINGS) } else { path.to_owned() }))
    };
    written.filter_map(path).collect()
}

/// The files of sources of a knowledge graph by content, by source and key; a prepared folder by those of its files that are
/// read.
///
/// # Errors
/// When a file cannot be read; the keys are those of sources that stand at `key`.
pub(super) fn source_files(sources: &[GraphSource], key: &str) -> Result<Vec<(String, Value)>> {
    let mut files = Vec::new();
    for (i, source) in sources.to_vec().iter_mut().enumerate() {
        let folder = matches!(source, GraphSource::Cooccurrence { .. });
        for (name, path) in source.paths().into_iter().filter(|(_, path)| path.given().is_some()) {
            let path = path.as_path();
            let found = match folder {
                true => prepared(path),
                false => fingerprint(path),
            };
            files.push((format!("[{i}] {name}"), found.map_err(|e| e.within_key(&format!("{key}[{i}].{name}")))?));
        }
    }
    Ok(files)
}

/// What a source reads of a folder that `dualk prepare` wrote.
fn prepared(folder: &Path) -> Result<Value> {
    let table = Table::open(folder, "graph", &[])?;
    Ok(json!([fingerprint(table.path())?, fingerprint(&folder.join("vocabulary.json"))?]))
}

/// Sources without their paths, for which [`source_files`] stand.
pub(super) fn without_paths(what: &str, sources: &[GraphSource]) -> Result<Value> {
    let mut sources = sources.to_vec();
    sources.iter_mut().flat_map(GraphSource::paths).for_each(|(_, path)| *path = FilePath::default());
    written(what, &sources)
}

/// Name, options, plugin and files of a component. `None` when it is in no plugin that was loaded from a file, or has files
/// that cannot be read: what needs them will say so.
pub(super) fn component_identity(registry: &Registry, slot: Slot, component: &ComponentRef) -> Result<Option<Value>> {
    let Some(plugin) = registry.sha256(slot, &component.r#type) else { return Ok(None) };
    let paths = paths(registry, slot, component);
    let mut options = Map::new();
    for (name, value) in &component.options {
        let value = match paths.iter().find(|(option, _)| option == name) {
            // The tables in a parser's folder are among its inputs.
            Some((_, path)) if slot == Slot::Parser && path.is_dir() => Value::Null,
            Some((_, path)) => match fingerprint(path) {
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

/// What is written, of the default component of its slot where it names none.
pub(super) fn named(registry: &Registry, slot: Slot, key: &str, written: ComponentRef) -> Result<ComponentRef> {
    match written.is_open() {
        true => Ok(ComponentRef { r#type: registry.default_of(slot).map_err(|e| e.at_key(key))?, ..written }),
        false => Ok(written),
    }
}

/// Finds a component, makes its paths absolute and fills in its defaults.
pub(super) fn resolve_component(
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
        if let toml::Value::String(path) = value
            && !path.is_empty()
        {
            *path =
                absolute(&source.folder_of(&format!("{key}.{name}")), Path::new(path)).to_string_lossy().into_owned();
        }
    }
    // A head may leave its type out, so that a misspelt one is among its options.
    let beside = if slot == Slot::Head { [&["type"][..], &Heads::SWITCHES[..]].concat() } else { Vec::new() };
    let options = registry.check_beside(slot, &r#type, options, &beside).map_err(|e| e.within_key(key));
    let options = options.map_err(|e| match source.is_set(&format!("{key}.type")) {
        true => {
            e.help(format!("--set '{key}={{ type = \"{type}\" }}' drops the options of the other type", type = r#type))
        }
        false => e,
    })?;
    Ok(ComponentRef { r#type, options })
}

/// A name as it is; a path from the folder of the manifest.
pub(super) fn plugin_path(written: &str, folder: &Path) -> PathBuf {
    match written.contains(['/', '\\', '.']) {
        true => absolute(folder, Path::new(written)),
        false => written.into(),
    }
}

/// `path`, taken from `folder` when it is relative; the current folder when that is where it is.
pub(super) fn absolute(folder: &Path, path: &Path) -> PathBuf {
    let joined = folder.join(path);
    let chosen = if !joined.exists() && path.exists() { path.to_owned() } else { joined };
    std::path::absolute(&chosen).unwrap_or(chosen)
}
