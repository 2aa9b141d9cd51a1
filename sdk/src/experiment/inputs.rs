//! What decides the results of a plan: files, parts, cohort.

use super::components::{FORM, component_identity, paths, sdk, source_files, written};
use super::identity::Identity;
use super::manifest::{ComponentRef, Manifest};
use super::plan::Plan;
use crate::cache::{Key, fingerprint, fingerprint_in_place};
use crate::component::{Inputs, Parser, Slot};
use crate::plugin::LoadedPlugin;
use crate::{Error, Result, simd};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The files that the parser reads, by what of their paths they do not have in common; null for a parser that does not name
/// them.
fn data_files(inputs: Option<&Inputs>) -> Result<Value> {
    let Some(Inputs { files, .. }) = inputs else { return Ok(Value::Null) };
    let named = names(files).into_iter().zip(files);
    let named = named.map(|(name, file)| Ok((name, fingerprint(file)?)));
    Ok(named.collect::<Result<Map<_, _>>>()?.into())
}

/// Paths below the folder that all of these files are in: each another one, and the same wherever that folder lies.
fn names(files: &[PathBuf]) -> Vec<String> {
    let parts = |file: &PathBuf| -> Vec<String> {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
        file.iter().map(|part| part.to_string_lossy().into_owned()).collect()
    };
    let paths: Vec<Vec<String>> = files.iter().map(parts).collect();
    let alike = |path: &Vec<String>| {
        let (folders, same) = (path.len().saturating_sub(1), path.iter().zip(&paths[0]));
        folders.min(same.take_while(|(a, b)| a == b).count())
    };
    let shared = paths.iter().map(alike).min().unwrap_or(0);
    paths.iter().map(|path| path[shared..].join("/")).collect()
}

/// Plugins by their package's name; further ones of a name have their number beside it.
fn plugins(loaded: &[LoadedPlugin]) -> Map<String, Value> {
    let mut named = Map::new();
    for LoadedPlugin { name, sha256, .. } in loaded {
        let mut keys = std::iter::once(name.clone()).chain((2..).map(|n| format!("{name} ({n})")));
        let free = keys.find(|key| !named.contains_key(key));
        named.extend(free.map(|key| (key, json!(sha256))));
    }
    named
}

/// The files of the knowledge graph's sources by content, a prepared folder by those of its files that are read.
pub(super) fn knowledge_files(manifest: &Manifest) -> Result<Map<String, Value>> {
    let files = source_files(&manifest.data.knowledge, "data.knowledge")?;
    Ok(files.into_iter().map(|(name, file)| (format!("knowledge{name}"), file)).collect())
}

/// The files that the parser and its options name, as they are now. Their contents count, not what else is changed of them,
/// such as permissions.
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
    let files = files.iter().map(|file| fingerprint_in_place(file)).collect::<Result<Vec<_>>>()?;
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

/// What decides the results of a plan, as far as it is known before the data are prepared.
///
/// # Errors
/// When a file that it reads cannot be read.
pub(super) fn identity(plan: &Plan) -> Result<Identity> {
    let mut manifest = serde_json::to_value(&plan.manifest)
        .map_err(|e| Error::program(format!("the manifest cannot be written as JSON: {e}")))?;
    if let Some(table) = manifest.as_object_mut() {
        table.shift_remove("output");
    }
    let inputs = plan.parser.inputs();
    let mut files = option_files(plan, inputs.as_ref());
    // As of the files of options: those that cannot be read are left out.
    let made = plan.embeddings.iter().filter_map(|named| Some((named, named.made_from().ok()?)));
    files.extend(made.map(|(named, made)| (format!("{} {}", named.part, named.option), made)));
    files.extend(knowledge_files(&plan.manifest)?);
    Ok(Identity::of(json!({
        "manifest": manifest,
        "sdk": sdk(),
        "plugins": plugins(plan.registry.plugins()),
        "data": data_files(inputs.as_ref())?,
        "files": files,
        "device": plan.device.name,
        "threads": rayon::current_num_threads(),
        "instructions": simd::instructions_on(&plan.device.name),
    })))
}

/// The files that options name, by key and option, but for those that are the parser's inputs. Those that cannot be read are
/// left out: what needs them will say so.
fn option_files(plan: &Plan, inputs: Option<&Inputs>) -> Map<String, Value> {
    let is_input = |path: &PathBuf| inputs.is_some_and(|inputs| inputs.files.contains(path));
    let mut files = Map::new();
    for (key, slot, component) in components(&plan.manifest) {
        let named = paths(&plan.registry, slot, &component).into_iter().filter(|(_, path)| !is_input(path));
        files.extend(named.filter_map(|(option, path)| Some((format!("{key} {option}"), fingerprint(&path).ok()?))));
    }
    files
}

/// The components of data, model and stages, by their keys.
fn components(manifest: &Manifest) -> impl Iterator<Item = (String, Slot, ComponentRef)> {
    let parser = ("data.parser".to_owned(), Slot::Parser, manifest.data.parser.clone());
    let parts = manifest.model.named_parts().map(|(key, slot, part)| (key.to_owned(), slot, part));
    let stages = manifest.stage.iter().enumerate().flat_map(|(i, stage)| {
        let (key, objective) = stage.objective();
        let loss = (format!("stage[{i}].loss"), Slot::Loss, stage.loss());
        [(format!("stage[{i}].{key}"), Slot::Objective, objective), loss]
    });
    std::iter::once(parser).chain(parts).chain(stages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_name_are_told_apart_wherever_they_lie() {
        let named = |files: &[&str]| names(&files.iter().map(PathBuf::from).collect::<Vec<_>>());
        for root in ["/data", "/home/ann/of the clinic"] {
            let at = |file: &str| format!("{root}/{file}");
            assert_eq!(named(&[&at("a/t.csv"), &at("b/t.csv")]), ["a/t.csv", "b/t.csv"]);
            assert_eq!(named(&[&at("visits.csv"), &at("codes.csv")]), ["visits.csv", "codes.csv"]);
            assert_eq!(named(&[&at("t.csv"), &at("t.csv.d/t.csv")]), ["t.csv", "t.csv.d/t.csv"]);
            assert_eq!(named(&[&at("a/t.csv")]), ["t.csv"]);
        }
        assert!(named(&[]).is_empty());
    }

    #[test]
    fn results_go_by_the_instructions_of_the_processor_where_that_computes_them() {
        assert_eq!(simd::instructions_on("cpu"), Some(simd::instructions()));
        assert_eq!(["cuda:0", "wgpu"].map(simd::instructions_on), [None; 2]);
    }

    #[test]
    fn plugins_of_one_package_are_told_apart() {
        let plugin = |name: &str, sha256: &str| LoadedPlugin {
            name: name.into(),
            version: "1".into(),
            file: None,
            sha256: Some(sha256.into()),
        };
        let all = plugins(&[plugin("mine", "a"), plugin("gat", "b"), plugin("mine", "c"), plugin("mine", "d")]);
        assert_eq!(json!(all), json!({ "mine": "a", "gat": "b", "mine (2)": "c", "mine (3)": "d" }));
    }
}
