//! What an interrupted run goes on from: the last two states of its training, each in a folder of its own.
//!
//! A checkpoint is written beside the others, forced to the disk and renamed; `SHA256SUMS` has the digest of each of its
//! files. One that does not fit its digests is named and left out, and the one before serves.

use super::outcome::{StageOutcome, TrainedStage, TrainedVectors};
use super::run_dir::{RESUME, RunDir};
use crate::cache::sha256_of;
use crate::model::{Model, load_weights, save_weights};
use crate::storage::{self, Access, Draft, own_folder};
use crate::train::{EpochRecord, Optimizer, Position};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const STATE: &str = "state.cbor";
const WEIGHTS: &str = "weights.safetensors";
const BEST: &str = "best.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const SUMS: &str = "SHA256SUMS";
/// Checkpoints that are kept.
const KEPT: usize = 2;
/// Changes when the files of a checkpoint do.
const FORM: u32 = 2;

/// What a run knows beside weights and optimizer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct State {
    pub form: u32,
    /// Index of the stage.
    pub stage: usize,
    /// Where in it; `None` when it has ended.
    pub inside: Option<Inside>,
    /// Epochs, each with its line of `metrics.jsonl`.
    pub epochs: Vec<(EpochRecord, String)>,
    /// How many of them are this stage's.
    pub epochs_of_stage: usize,
    #[serde(default)]
    pub vectors: Vec<TrainedVectors>,
    pub trained: Vec<TrainedStage>,
    pub tested: Vec<StageOutcome>,
    /// Wall time of the run so far, and that of the stage.
    pub spent: Duration,
    pub spent_in_stage: Duration,
    /// Largest memory of the process in the stage so far, in bytes.
    pub peak_memory: Option<u64>,
}

/// A place inside a stage.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Inside {
    /// Index of the heads that train, where they train in turns.
    pub turn: usize,
    pub position: Position,
}

/// A checkpoint that is whole.
#[derive(Debug)]
pub(super) struct Checkpoint {
    folder: PathBuf,
    pub state: State,
}

impl Checkpoint {
    /// Writes the next checkpoint of a run and removes those before the last two.
    pub fn write(
        run: &RunDir,
        state: &State,
        model: &Model,
        best: Option<&Model>,
        optimizer: &Optimizer,
    ) -> Result<()> {
        let all = run.file(RESUME);
        own_folder(&all)?;
        let before = numbered(&all);
        let next = before.last().map_or(1, |(number, _)| number + 1);
        let draft = Draft::beside(&all.join(format!("{next:08}")))?;
        let folder = draft.path();
        let mut bytes = Vec::new();
        ciborium::into_writer(&State { form: FORM, ..state.clone() }, &mut bytes)
            .map_err(|e| Error::program(format!("cannot write a checkpoint: {e}")))?;
        storage::write(&folder.join(STATE), &bytes)?;
        save_weights(model, &folder.join(WEIGHTS))?;
        optimizer.save(&folder.join(OPTIMIZER))?;
        if let Some(best) = best {
            save_weights(best, &folder.join(BEST))?;
        }
        let mut sums = String::new();
        for name in [STATE, WEIGHTS, OPTIMIZER, BEST] {
            let file = folder.join(name);
            if file.exists() {
                let sum = sha256_of(&file).map_err(|e| Error::io("read", &file, e))?;
                sums += &format!("{sum}  {name}\n");
            }
        }
        storage::write(&folder.join(SUMS), sums.as_bytes())?;
        draft.commit(Access::Private)?;
        for (_, old) in before.iter().rev().skip(KEPT - 1) {
            fs::remove_dir_all(old).map_err(|e| Error::io("remove the checkpoint", old, e))?;
        }
        Ok(())
    }

    /// The last checkpoint of a run that is whole; those after it that are not go to `damaged`, with what is wrong.
    pub fn last(run: &RunDir, mut damaged: impl FnMut(&Path, &str)) -> Option<Self> {
        numbered(&run.file(RESUME)).into_iter().rev().find_map(|(_, folder)| match read(&folder) {
            Ok(state) => Some(Self { folder, state }),
            Err(what) => {
                damaged(&folder, &what);
                None
            }
        })
    }

    /// `model` with the weights at the checkpoint, the best weights so far, and the optimizer.
    pub fn load(&self, model: Model) -> Result<(Model, Option<Model>, Optimizer)> {
        let best = self.folder.join(BEST);
        let best = best.exists().then(|| load_weights(model.clone(), &best)).transpose()?;
        let optimizer = Optimizer::load(&self.folder.join(OPTIMIZER), &model.device())?;
        Ok((load_weights(model, &self.folder.join(WEIGHTS))?, best, optimizer))
    }
}

/// The state in a checkpoint whose files are as they were written.
fn read(folder: &Path) -> std::result::Result<State, String> {
    let sums = fs::read_to_string(folder.join(SUMS)).map_err(|e| format!("{SUMS}: {e}"))?;
    for needed in [STATE, WEIGHTS, OPTIMIZER] {
        if !sums.lines().any(|line| line.ends_with(&format!("  {needed}"))) {
            return Err(format!("{SUMS} does not name {needed}"));
        }
    }
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").ok_or_else(|| format!("{SUMS} has a line without a name"))?;
        let found = sha256_of(&folder.join(name)).map_err(|e| format!("{name}: {e}"))?;
        if found != sum {
            return Err(format!("{name} differs from what was written"));
        }
    }
    let bytes = fs::read(folder.join(STATE)).map_err(|e| format!("{STATE}: {e}"))?;
    let state: State = ciborium::from_reader(bytes.as_slice()).map_err(|e| format!("{STATE}: {e}"))?;
    match state.form {
        FORM => Ok(state),
        other => Err(format!("it is of form {other}, and this version reads form {FORM}")),
    }
}

/// Whole checkpoints by number, in order.
fn numbered(all: &Path) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(all).into_iter().flatten().flatten();
    let mut found: Vec<(u64, PathBuf)> =
        entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path()))).collect();
    found.sort();
    found
}
