//! Trained stages that a run takes from the cache, and leaves there.
//!
//! A cohort depends on the parser, its options, and the files that it reads; a stage on everything before it. What
//! comes from a component that is linked into the program, or whose files cannot be named, is never cached: nothing
//! would tell when it changes.

use super::components::{FORM, component_identity, sdk, without_paths, written};
use super::inputs::{cohort_key, knowledge_files, part_identity};
use super::manifest::{Manifest, Stage};
use super::outcome::TrainedStage;
use super::plan::Plan;
use super::training::Trained;
use crate::cache::{Cache, Key};
use crate::component::Slot;
use crate::model::{Model, load_weights, save_weights};
use crate::train::{EpochRecord, Optimizer};
use crate::{Error, Progress, Result, simd, storage};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const STAGE: &str = "stage";

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
    /// Its epochs, each with its line of `metrics.jsonl`.
    pub epochs: Vec<(EpochRecord, String)>,
    /// What it took to train.
    pub seconds: f64,
    pub peak_memory: Option<u64>,
}

/// The stages of a plan in a cache.
pub(super) struct StageCache<'a> {
    plan: &'a Plan,
    cache: Option<&'a Cache>,
    keys: Vec<Key>,
}

impl<'a> StageCache<'a> {
    pub fn new(plan: &'a Plan, cache: Option<&'a Cache>) -> Result<Self> {
        let keys = if cache.is_some() { stage_keys(plan)? } else { Vec::new() };
        Ok(Self { plan, cache, keys })
    }

    /// A stage that was trained before: `model` with its weights.
    pub fn get(&self, index: usize, model: &Model) -> Option<Kept> {
        let entry = self.cache?.get(STAGE, self.keys.get(index)?)?;
        let numbers: Numbers = serde_json::from_slice(&fs::read(entry.join(TRAINED)).ok()?).ok()?;
        let text = fs::read_to_string(entry.join(EPOCHS)).ok()?;
        let epoch = |line: &str| -> Result<_> { Ok((EpochRecord::from_json(line)?, line.to_owned())) };
        let epochs = text.lines().map(epoch).collect::<Result<Vec<_>>>().ok()?;
        let load = |file: &str| load_weights(model.clone(), &entry.join(file)).ok();
        let best_on_valid = match numbers.best_epoch {
            Some(epoch) => Some((epoch, load(BEST)?)),
            None => None,
        };
        let optimizer = match self.plan.carries_on(index) {
            true => Optimizer::load(&entry.join(OPTIMIZER), &model.device()).ok()?,
            false => Optimizer::new(),
        };
        let Numbers { epoch, seconds, peak_memory, .. } = numbers;
        let trained = Trained { model: load(WEIGHTS)?, optimizer, epoch, best_on_valid };
        Some(Kept { trained, epochs, seconds, peak_memory })
    }

    /// Adds a trained stage.
    pub fn put(&self, index: usize, trained: &Trained, what: &TrainedStage, epochs: &str, progress: &dyn Progress) {
        let Some((cache, key)) = self.cache.zip(self.keys.get(index)) else { return };
        let about = format!("{} {}, kept epoch {}", self.plan.manifest.name, what.stage, trained.epoch + 1);
        let with_optimizer = self.plan.carries_on(index);
        cache.keep(STAGE, key, &about, |folder| write(folder, trained, what, epochs, with_optimizer), progress);
    }
}

fn write(folder: &Path, trained: &Trained, what: &TrainedStage, epochs: &str, with_optimizer: bool) -> Result<()> {
    let numbers = Numbers {
        epoch: trained.epoch,
        best_epoch: trained.best_on_valid.as_ref().map(|(epoch, _)| *epoch),
        seconds: what.seconds,
        peak_memory: what.peak_memory,
    };
    let text = serde_json::to_vec(&numbers).map_err(|e| Error::program(format!("cannot write {TRAINED}: {e}")))?;
    storage::write(&folder.join(TRAINED), &text)?;
    storage::write(&folder.join(EPOCHS), epochs.as_bytes())?;
    if let Some((_, best)) = &trained.best_on_valid {
        save_weights(best, &folder.join(BEST))?;
    }
    if with_optimizer {
        trained.optimizer.save(&folder.join(OPTIMIZER))?;
    }
    save_weights(&trained.model, &folder.join(WEIGHTS))
}

/// The keys of the stages, as far as they are known: each of everything up to its end.
pub(super) fn stage_keys(plan: &Plan) -> Result<Vec<Key>> {
    let mut keys = Vec::new();
    let Some(mut before) = before_stages(plan)? else { return Ok(keys) };
    for (index, stage) in plan.manifest.stage.iter().enumerate() {
        let Some(key) = stage_key(plan, index, stage, &before)? else { break };
        before = json!(key.hex());
        keys.push(key);
    }
    Ok(keys)
}

/// What the first stage depends on beside itself; `None` when that is not known.
fn before_stages(plan: &Plan) -> Result<Option<Value>> {
    let Some(cohort) = cohort_key(plan, plan.parser.as_ref())? else { return Ok(None) };
    let manifest = &plan.manifest;
    let mut model = Vec::new();
    let has = |key: &str| manifest.model.asks_for(key, &plan.registry);
    for (key, slot, part) in manifest.model.named_parts().filter(|(key, _, _)| has(key)) {
        let Some(identity) = part_identity(plan, key, slot, part)? else { return Ok(None) };
        model.push(identity);
    }
    Ok(Some(json!({
        "form": FORM,
        "sdk": sdk(),
        "cohort": cohort.hex(),
        "nodes": manifest.data.nodes,
        "knowledge": knowledge(manifest)?,
        "split": written("the split", &manifest.data.split)?,
        "single": plan.asks_about_single()?,
        "model": model,
        "history": manifest.model.head.history,
        "prior": manifest.model.head.prior,
        "demographics": manifest.model.demographics,
        "seed": manifest.seed,
        "compat": manifest.compat,
        "device": plan.device.name,
        "precision": manifest.backend.precision,
        "threads": rayon::current_num_threads(),
        "instructions": simd::instructions(),
    })))
}

/// The sources of the knowledge graph, their files by content.
fn knowledge(manifest: &Manifest) -> Result<Value> {
    let files = knowledge_files(manifest)?;
    Ok(json!({ "sources": without_paths("the knowledge graph", &manifest.data.knowledge)?, "files": files }))
}

fn stage_key(plan: &Plan, index: usize, stage: &Stage, before: &Value) -> Result<Option<Key>> {
    let objective = component_identity(&plan.registry, Slot::Objective, &stage.objective().1)?;
    let loss = component_identity(&plan.registry, Slot::Loss, &stage.loss())?;
    let Some((objective, loss)) = objective.zip(loss) else { return Ok(None) };
    Ok(Some(Key::of(json!({
        "before": before,
        "index": index,
        "stage": written("a stage", stage)?,
        "optimizer_kept": plan.carries_on(index),
        "objective": objective,
        "loss": loss,
    }))))
}
