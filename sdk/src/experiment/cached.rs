//! What a run takes from the cache, and what it leaves there: cohorts and trained stages.
//!
//! A cohort depends on the parser, its options, and the files that it reads; a stage on everything before it. What
//! comes from a component that is linked into the program, or whose files cannot be named, is never cached: nothing
//! would tell when it changes.

use super::manifest::ComponentRef;
use super::outcome::TrainedStage;
use super::plan::{Experiment, path_options};
use super::training::Trained;
use crate::cache::{Cache, Key, fingerprint};
use crate::component::{Inputs, Parser, Slot};
use crate::data::{Cohort, Prepared, cohort_file};
use crate::model::{Model, load_weights, save_weights};
use crate::plugin::Stamp;
use crate::train::Optimizer;
use crate::{Error, Progress, Result, storage};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const COHORT: &str = "cohort";
const STAGE: &str = "stage";
/// Changes when the files of an entry do.
const FORM: u32 = 3;

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
    /// Wall time of the training, in seconds.
    seconds: f64,
    /// Largest memory of the process in it, in bytes.
    peak_memory: Option<u64>,
}

/// A stage from the cache.
pub(super) struct Kept {
    pub trained: Trained,
    /// Its lines of `metrics.jsonl`.
    pub epochs: String,
    /// What it took to train.
    pub seconds: f64,
    pub peak_memory: Option<u64>,
}

impl Experiment {
    /// The cohort: from the cache, or parsed and added to it.
    pub(super) fn cohort(
        &self,
        parser: &dyn Parser,
        parse: impl FnOnce() -> Result<Cohort>,
        progress: &dyn Progress,
    ) -> Result<Cohort> {
        let Some(cache) = &self.cache else { return parse() };
        let Some(key) = self.cohort_key(parser)? else { return parse() };
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

    /// The cohort that `parse` reads, from files that stayed as they were meanwhile.
    ///
    /// # Errors
    /// Those of `parse`, and when a file changed, which is named: a table of half the rows is a table, too.
    pub(super) fn undisturbed(&self, parser: &dyn Parser, parse: impl FnOnce() -> Result<Cohort>) -> Result<Cohort> {
        let before = self.seen(parser);
        let cohort = parse();
        let after = self.seen(parser);
        let changed = before.iter().find(|(file, seen)| after.get(*file) != Some(*seen));
        match changed.map(|(file, _)| file).or_else(|| after.keys().find(|file| !before.contains_key(*file))) {
            Some(file) => Err(Error::user("this file changed while it was read")
                .at_file(file)
                .help("wait until whatever writes it is done, and begin again")),
            None => cohort,
        }
    }

    /// The files that the parser and its options name, by what tells them from others.
    fn seen(&self, parser: &dyn Parser) -> BTreeMap<PathBuf, Option<Value>> {
        let component = &self.manifest.data.parser;
        let paths = path_options(&self.registry, Slot::Parser, &component.r#type);
        let options = component.options.iter().filter(|(name, _)| paths.contains(name));
        let named = options.filter_map(|(_, value)| Some(PathBuf::from(value.as_str()?)));
        let files = parser.inputs().map(|inputs| inputs.files).unwrap_or_default();
        let all = named.chain(files).filter(|path| path.is_file());
        all.map(|path| (path.clone(), fingerprint(&path).ok())).collect()
    }

    /// Everything that determines the cohort; `None` when that is not known.
    fn cohort_key(&self, parser: &dyn Parser) -> Result<Option<Key>> {
        let Some(Inputs { files, seed }) = parser.inputs() else { return Ok(None) };
        let Some(component) = self.component_identity(Slot::Parser, &self.manifest.data.parser)? else {
            return Ok(None);
        };
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

    /// The files that the parser reads, by what tells them from others; null for a parser that does not name them.
    pub(super) fn data_files(&self) -> Result<Value> {
        let Some(Inputs { files, .. }) = self.parser()?.inputs() else { return Ok(Value::Null) };
        let files = files.iter().map(|file| fingerprint(file)).collect::<Result<Vec<_>>>()?;
        let named = files.into_iter().enumerate().map(|(i, file)| {
            let name = file["name"].as_str().map_or_else(|| i.to_string(), str::to_owned);
            (name, file)
        });
        Ok(named.collect::<Map<_, _>>().into())
    }

    /// The files that the options of a component name, by option. Those that cannot be read are left out: what needs
    /// them will say so.
    pub(super) fn files_of(&self, slot: Slot, component: &ComponentRef) -> Vec<(String, Value)> {
        let paths = path_options(&self.registry, slot, &component.r#type);
        let files = component.options.iter().filter(|(name, _)| paths.contains(name));
        let file = |(name, value): (&String, &toml::Value)| {
            let path = value.as_str().filter(|path| !path.is_empty())?;
            Some((name.clone(), fingerprint(Path::new(path)).ok()?))
        };
        files.filter_map(file).collect()
    }

    /// The keys of the stages, as far as they are known: each of everything up to its end.
    pub(super) fn stage_keys(&self) -> Result<Vec<Key>> {
        let parser = self.parser()?;
        if self.cache.is_none() {
            return Ok(Vec::new());
        }
        let Some(cohort) = self.cohort_key(parser.as_ref())? else { return Ok(Vec::new()) };
        let written = |what: &'static str, value: serde_json::Result<Value>| {
            value.map_err(|e| Error::program(format!("{what} cannot be written as JSON: {e}")))
        };
        let parts = &self.manifest.model;
        let mut model = Vec::new();
        for (_, slot, part) in parts.parts() {
            let Some(identity) = self.component_identity(slot, &part)? else { return Ok(Vec::new()) };
            model.push(identity);
        }
        let mut before = json!({
            "form": FORM,
            "sdk": sdk(),
            "cohort": cohort.hex(),
            "nodes": self.manifest.data.nodes,
            "split": written("the split", serde_json::to_value(&self.manifest.data.split))?,
            "model": model,
            "history": parts.head.history,
            "seed": self.manifest.seed,
            "compat": self.manifest.compat,
            "device": self.device.name,
            "precision": self.manifest.backend.precision,
            "threads": rayon::current_num_threads(),
        });
        let mut keys = Vec::new();
        for (index, stage) in self.manifest.stage.iter().enumerate() {
            let objective = self.component_identity(Slot::Objective, &stage.objective().1)?;
            let Some((objective, loss)) = objective.zip(self.component_identity(Slot::Loss, &stage.loss())?) else {
                break;
            };
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

    /// Name, options, plugin and files of a component. `None` when it is neither in a plugin nor in the SDK, or has files
    /// that cannot be read: what needs them will say so.
    fn component_identity(&self, slot: Slot, component: &ComponentRef) -> Result<Option<Value>> {
        let plugin = match self.registry.sha256(slot, &component.r#type) {
            Some(sha256) => json!(sha256),
            None if self.registry.is_builtin(slot, &component.r#type) => Value::Null,
            None => return Ok(None),
        };
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

    /// A stage that was trained before: `model` with its weights.
    pub(super) fn trained_before(&self, key: Option<&Key>, model: &Model, with_optimizer: bool) -> Option<Kept> {
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
        let Numbers { epoch, seconds, peak_memory, .. } = numbers;
        let trained = Trained { model: load(WEIGHTS)?, optimizer, epoch, best_on_valid };
        Some(Kept { trained, epochs, seconds, peak_memory })
    }

    /// Adds a trained stage to the cache.
    pub(super) fn keep_trained(
        &self,
        key: Option<&Key>,
        trained: &Trained,
        with_optimizer: bool,
        (what, epochs): (&TrainedStage, &str),
        progress: &dyn Progress,
    ) {
        let Some((cache, key)) = self.cache.as_ref().zip(key) else { return };
        let about = format!("{} {}, kept epoch {}", self.manifest.name, what.stage, trained.epoch + 1);
        let write = |folder: &Path| {
            let numbers = Numbers {
                epoch: trained.epoch,
                best_epoch: trained.best_on_valid.as_ref().map(|(epoch, _)| *epoch),
                seconds: what.seconds,
                peak_memory: what.peak_memory,
            };
            let text =
                serde_json::to_vec(&numbers).map_err(|e| Error::program(format!("cannot write {TRAINED}: {e}")))?;
            storage::write(&folder.join(TRAINED), &text)?;
            storage::write(&folder.join(EPOCHS), epochs.as_bytes())?;
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
pub(super) fn sdk() -> Value {
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
