//! What a run takes from the cache, and what it leaves there: cohorts and trained stages.
//!
//! A cohort depends on the parser, its options, and the files that it reads; a stage on everything before it. What
//! comes from a component that is linked into the program, or whose files cannot be named, is never cached: nothing
//! would tell when it changes.

use super::manifest::ComponentRef;
use super::plan::{Experiment, path_options};
use super::training::Trained;
use crate::cache::{Cache, Key, fingerprint};
use crate::component::{Inputs, Parser, Slot};
use crate::data::{Cohort, Prepared, cohort_file};
use crate::model::{Model, load_weights, save_weights};
use crate::plugin::Stamp;
use crate::train::Optimizer;
use crate::{Error, Progress, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;

const COHORT: &str = "cohort";
const STAGE: &str = "stage";
/// Changes when the files of an entry do.
const FORM: u32 = 2;

const WEIGHTS: &str = "weights.safetensors";
const BEST: &str = "best_on_valid.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const EPOCHS: &str = "metrics.jsonl";
const TRAINED: &str = "trained.json";

/// What is known of a trained stage beside its weights.
#[derive(Serialize, Deserialize)]
struct Numbers {
    epoch: usize,
    best_epoch: Option<usize>,
}

impl Experiment {
    /// The cohort: from the cache, or parsed and added to it.
    pub(super) fn cohort(
        &self,
        parser: &dyn Parser,
        parse: impl FnOnce() -> Result<Cohort>,
        progress: &dyn Progress,
    ) -> Result<Cohort> {
        let key = self.cohort_key(parser)?;
        let Some((cache, key)) = self.cache.as_ref().zip(key) else { return parse() };
        if let Some(entry) = cache.get(COHORT, &key)
            && let Some(cohort) = cohort_file::load(&entry)
        {
            progress.line(&format!("cohort: from the cache ({})", entry.display()));
            return Ok(cohort);
        }
        let cohort = parse()?;
        let about = format!(
            "{}: {} patients, {} admissions",
            self.manifest.data.parser.r#type,
            cohort.patients.len(),
            cohort.admissions.values().len()
        );
        keep(cache, COHORT, &key, &about, |folder| cohort_file::save(&cohort, folder), progress);
        Ok(cohort)
    }

    /// Everything that determines the cohort; `None` when that is not known.
    fn cohort_key(&self, parser: &dyn Parser) -> Result<Option<Key>> {
        let (Some(_), Some(Inputs { files, seed })) = (&self.cache, parser.inputs()) else { return Ok(None) };
        let Some(component) = self.identity(Slot::Parser, &self.manifest.data.parser)? else { return Ok(None) };
        let files = files.iter().map(|file| fingerprint(file)).collect::<Result<Vec<_>>>()?;
        Ok(Some(Key::of(json!({
            "form": FORM,
            "sdk": sdk(),
            "parser": component,
            "files": files,
            "seed": seed.then_some(self.manifest.seed),
            "compat": self.manifest.compat,
        }))))
    }

    /// The keys of the stages, as far as they are known: each of everything up to its end.
    pub(super) fn stage_keys(&self) -> Result<Vec<Key>> {
        let parser = self.parser()?;
        let Some(cohort) = self.cohort_key(parser.as_ref())? else { return Ok(Vec::new()) };
        let written = |what: &'static str, value: serde_json::Result<Value>| {
            value.map_err(|e| Error::program(format!("{what} cannot be written as JSON: {e}")))
        };
        let parts = &self.manifest.model;
        let components = [
            (Slot::NodeInit, &parts.node_init),
            (Slot::GraphEncoder, &parts.graph_encoder),
            (Slot::Fusion, &parts.code_fusion),
            (Slot::Fusion, &parts.visit_fusion),
            (Slot::Lab, &parts.lab),
        ];
        let mut model = Vec::new();
        for (slot, part) in components {
            let Some(identity) = self.identity(slot, part)? else { return Ok(Vec::new()) };
            model.push(identity);
        }
        let mut before = json!({
            "form": FORM,
            "sdk": sdk(),
            "cohort": cohort.hex(),
            "split": written("the split", serde_json::to_value(&self.manifest.data.split))?,
            "model": model,
            "head": written("the head", serde_json::to_value(&parts.head))?,
            "seed": self.manifest.seed,
            "compat": self.manifest.compat,
            "device": self.device.name,
            "precision": self.manifest.backend.precision,
            "threads": rayon::current_num_threads(),
        });
        let mut keys = Vec::new();
        for (index, stage) in self.manifest.stage.iter().enumerate() {
            let objective = self.identity(Slot::Objective, &stage.objective().1)?;
            let Some((objective, loss)) = objective.zip(self.identity(Slot::Loss, &stage.loss())?) else { break };
            let table = written("a stage", serde_json::to_value(stage))?;
            let key = Key::of(json!({
                "before": before,
                "index": index,
                "stage": table,
                "optimizer_kept": self.carried_on(index),
                "objective": objective,
                "loss": loss,
            }));
            before = json!(key.hex());
            keys.push(key);
        }
        Ok(keys)
    }

    /// Name, options, plugin and files of a component. `None` when it is in no plugin, or has files that cannot be read:
    /// what needs them will say so.
    fn identity(&self, slot: Slot, component: &ComponentRef) -> Result<Option<Value>> {
        let Some(plugin) = self.registry.sha256(slot, &component.r#type) else { return Ok(None) };
        let paths = path_options(&self.registry, slot, &component.r#type);
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

    /// A stage that was trained before: `model` with its weights, and its lines of `metrics.jsonl`.
    pub(super) fn trained_before(
        &self,
        key: Option<&Key>,
        model: &Model,
        with_optimizer: bool,
    ) -> Option<(Trained, String)> {
        let entry = self.cache.as_ref()?.get(STAGE, key?)?;
        let numbers: Numbers = serde_json::from_slice(&fs::read(entry.join(TRAINED)).ok()?).ok()?;
        let epochs = fs::read_to_string(entry.join(EPOCHS)).ok()?;
        let load = |file: &str| load_weights(model.clone(), &entry.join(file)).ok();
        let best_on_valid = match numbers.best_epoch {
            Some(epoch) => Some((epoch, load(BEST)?)),
            None => None,
        };
        let optimizer = match with_optimizer {
            true => Optimizer::load(&entry.join(OPTIMIZER), &model.device()).ok()?,
            false => Optimizer::new(),
        };
        Some((Trained { model: load(WEIGHTS)?, optimizer, epoch: numbers.epoch, best_on_valid }, epochs))
    }

    /// Adds a trained stage to the cache.
    pub(super) fn keep_trained(
        &self,
        key: Option<&Key>,
        name: &str,
        trained: &Trained,
        with_optimizer: bool,
        epochs: &str,
        progress: &dyn Progress,
    ) {
        let Some((cache, key)) = self.cache.as_ref().zip(key) else { return };
        let about = format!("{} {name}, kept epoch {}", self.manifest.name, trained.epoch + 1);
        let write = |folder: &Path| {
            let numbers =
                Numbers { epoch: trained.epoch, best_epoch: trained.best_on_valid.as_ref().map(|(epoch, _)| *epoch) };
            let text =
                serde_json::to_vec(&numbers).map_err(|e| Error::program(format!("cannot write {TRAINED}: {e}")))?;
            let files = [(TRAINED, text), (EPOCHS, epochs.as_bytes().to_vec())];
            for (name, contents) in files {
                fs::write(folder.join(name), contents).map_err(|e| Error::io("write", folder.join(name), e))?;
            }
            if let Some((_, best)) = &trained.best_on_valid {
                save_weights(best, &folder.join(BEST))?;
            }
            if with_optimizer {
                trained.optimizer.save(&folder.join(OPTIMIZER))?;
            }
            save_weights(&trained.model, &folder.join(WEIGHTS))
        };
        keep(cache, STAGE, key, &about, write, progress);
    }

    /// The data, with the graph as the device wants it.
    pub(super) fn with_precision(&self, mut data: Prepared) -> Prepared {
        data.graph = data.graph.with_precision(self.manifest.backend.precision);
        data
    }
}

/// The SDK that runs.
fn sdk() -> Value {
    Stamp::current()
        .fields()
        .into_iter()
        .map(|(what, value)| (what.to_owned(), json!(value)))
        .collect::<Map<_, _>>()
        .into()
}

/// Adds an entry. A cache that cannot be written (a full disk, a read-only folder) is no reason to lose the result.
fn keep(
    cache: &Cache,
    kind: &str,
    key: &Key,
    about: &str,
    write: impl FnOnce(&Path) -> Result<()>,
    progress: &dyn Progress,
) {
    if let Err(error) = cache.put(kind, key, about, write) {
        progress.line(&format!("warning: not cached: {}", error.to_string().lines().next().unwrap_or_default()));
    }
}
