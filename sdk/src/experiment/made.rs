//! The folders that parts of a model name by manifests: embeddings of knowledge graphs, trained or taken from the cache before
//! the model is built.

use super::embedding::{NamedEmbedding, Records, VECTORS, Vectors, file_stem};
use super::manifest::Model;
use super::outcome::TrainedVectors;
use super::plan::Plan;
use super::run_dir::{METRICS, RESUME, RunDir};
use super::states::States;
use super::stop::Stop;
use crate::cache::Cache;
use crate::data::Dataset;
use crate::data::knowledge::OfCohort;
use crate::storage::{self, Access};
use crate::{Error, Progress, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use toml::Value;

const TRAINED: &str = "trained.json";

/// What is known of vectors beside them.
#[derive(Serialize, Deserialize)]
struct Numbers {
    valid_mrr: Option<f64>,
    /// Seconds of training.
    seconds: f64,
}

/// The folders, each with the part and the option that name it. Some go when this does: the model must be built by then.
#[derive(Default)]
pub(super) struct Made {
    folders: Vec<(&'static str, String, PathBuf)>,
    temporary: Vec<TempDir>,
}

impl Made {
    /// The parts of a model, whose options name the folders and no manifests.
    pub fn named_in(&self, model: &Model) -> Model {
        let mut model = model.clone();
        for (part, option, folder) in &self.folders {
            model.set_option(part, option, Value::String(folder.to_string_lossy().into_owned()));
        }
        model
    }

    fn add(&mut self, named: &NamedEmbedding, folder: PathBuf) {
        self.folders.push((named.part, named.option.clone(), folder));
    }

    /// A folder that goes when this does.
    fn temporary(&mut self) -> Result<PathBuf> {
        let folder = tempfile::tempdir().map_err(|e| Error::io("create a folder in", std::env::temp_dir(), e))?;
        let path = folder.path().to_owned();
        self.temporary.push(folder);
        Ok(path)
    }
}

/// Keeps the manifests of the embeddings in the folder of a run, so that it can be evaluated without them.
pub(super) fn keep_manifests(plan: &Plan, run: &RunDir) -> Result<()> {
    let copy =
        |named: &NamedEmbedding| run.write(&copy_name(&named.file_stem()), named.embedding.resolved()?.as_bytes());
    plan.embeddings.iter().try_for_each(copy)
}

/// Names the manifests of embeddings that a run keeps in the place of those that they are copies of. Runs of older versions have
/// none.
pub(super) fn name_kept_manifests(run: &RunDir, model: &mut Model) {
    let parts: Vec<_> = model.named_parts().collect();
    for (part, _, component) in parts {
        for option in component.options.keys() {
            let copy = copy_name(&file_stem(part, option));
            if run.file(&copy).is_file() {
                // Relative to the manifest of the run.
                model.set_option(part, option, Value::String(copy));
            }
        }
    }
}

fn copy_name(stem: &str) -> String {
    format!("{stem}.toml")
}

/// Whether an unfinished run has vectors, or a checkpoint of their training.
pub(super) fn is_begun(run: &RunDir) -> bool {
    let entries = fs::read_dir(run.file(RESUME)).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(VECTORS))
}

/// Folders with vectors that were not trained, from which features have the shape that they have from trained ones: for models whose
/// weights are read afterwards, or of no consequence.
pub(super) fn untrained(plan: &Plan) -> Result<Made> {
    let mut made = Made::default();
    for named in &plan.embeddings {
        let folder = made.temporary()?;
        named.placed(named.embedding.untrained())?.write(&folder)?;
        made.add(named, folder);
    }
    Ok(made)
}

/// Calls `work` with what sources that read no file go by.
fn with_cohort<T>(plan: &Plan, data: &Dataset, work: impl FnOnce(&OfCohort<'_>) -> Result<T>) -> Result<T> {
    let facts = |strength: f64| plan.parser.knowledge(strength);
    work(&OfCohort { codes: &data.vocabulary.codes, facts: &facts })
}

/// Making trained vectors.
pub(super) struct Making<'a> {
    pub plan: &'a Plan,
    pub data: &'a Dataset,
    pub cache: Option<&'a Cache>,
    /// The unfinished run that keeps checkpoints of the training, and vectors that are not cached.
    pub run: Option<&'a RunDir>,
    pub stop: &'a Stop,
    pub progress: &'a dyn Progress,
    /// Takes lines for the reader and the log.
    pub log: &'a dyn Fn(&str) -> Result<()>,
}

impl Making<'_> {
    /// The folders, and what is known of each.
    ///
    /// # Errors
    /// Those of reading graphs and of training; they name the embedding's manifest. The wish to stop leaves a checkpoint.
    pub fn trained(&self) -> Result<(Made, Vec<TrainedVectors>)> {
        let (mut made, mut known) = (Made::default(), Vec::new());
        with_cohort(self.plan, self.data, |cohort| {
            for named in &self.plan.embeddings {
                let (folder, what) = self.one(named, cohort, &mut made)?;
                (self.log)(&what.line())?;
                made.add(named, folder);
                known.push(what);
            }
            Ok(())
        })?;
        Ok((made, known))
    }

    /// The vectors of one manifest: of the cache, of the run that was interrupted, or trained.
    fn one(&self, named: &NamedEmbedding, cohort: &OfCohort<'_>, made: &mut Made) -> Result<(PathBuf, TrainedVectors)> {
        let key = named.placed(named.embedding.key(cohort))?;
        let cached = self.cache.zip(key.as_ref());
        if let Some(folder) = cached.and_then(|(cache, key)| cache.get(VECTORS, key))
            && let Some(numbers) = read(&folder)
        {
            return Ok((folder, about(named, numbers, true)));
        }
        let kept = self.kept(named);
        if let Some(folder) = &kept
            && let Some(numbers) = read(folder)
        {
            return Ok((folder.clone(), about(named, numbers, false)));
        }
        let vectors = named.placed(self.train(named, cohort))?;
        let (valid_mrr, seconds) = (vectors.valid_mrr, vectors.seconds);
        let what = about(named, Numbers { valid_mrr, seconds }, false);
        if let Some((cache, key)) = cached {
            cache.keep(VECTORS, key, &what.line(), |folder| write(&vectors, folder), self.progress);
            if let Some(folder) = cache.get(VECTORS, key) {
                return Ok((folder, what));
            }
        }
        let folder = match kept {
            Some(folder) => {
                folder.parent().map_or(Ok(()), storage::own_folder)?;
                storage::folder(&folder, Access::Private, |new| write(&vectors, new))?;
                folder
            }
            None => {
                let folder = made.temporary()?;
                write(&vectors, &folder)?;
                folder
            }
        };
        Ok((folder, what))
    }

    fn train(&self, named: &NamedEmbedding, cohort: &OfCohort<'_>) -> Result<Vectors> {
        let records = Records {
            task: &format!("vectors {}", named.embedding.manifest.name),
            metrics: None,
            checkpoints: self.run.map(|run| States::of(run, format!("{}-", named.file_stem()))),
            minutes: self.plan.manifest.output.checkpoint_minutes,
            stop: self.stop,
            progress: self.progress,
        };
        named.embedding.vectors(cohort, &records, self.log)
    }

    /// Where an unfinished run keeps vectors; the checkpoints of their training are beside it.
    fn kept(&self, named: &NamedEmbedding) -> Option<PathBuf> {
        self.run.map(|run| run.file(RESUME).join(named.file_stem()))
    }
}

/// What is known of vectors.
fn about(named: &NamedEmbedding, Numbers { valid_mrr, seconds }: Numbers, from_cache: bool) -> TrainedVectors {
    TrainedVectors { key: named.key(), name: named.embedding.manifest.name.clone(), valid_mrr, seconds, from_cache }
}

/// What [`write`] wrote beside the vectors; `None` where nothing whole is there.
fn read(folder: &Path) -> Option<Numbers> {
    serde_json::from_slice(&fs::read(folder.join(TRAINED)).ok()?).ok()
}

fn write(vectors: &Vectors, folder: &Path) -> Result<()> {
    let numbers = Numbers { valid_mrr: vectors.valid_mrr, seconds: vectors.seconds };
    let text = serde_json::to_vec(&numbers).map_err(|e| Error::program(format!("cannot write {TRAINED}: {e}")))?;
    storage::write(&folder.join(TRAINED), &text)?;
    storage::write(&folder.join(METRICS), vectors.history.as_bytes())?;
    vectors.write(folder)
}
