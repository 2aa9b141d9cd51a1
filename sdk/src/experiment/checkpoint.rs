//! What an interrupted run goes on from: the last [states](super::states) of its training.

use super::outcome::{StageOutcome, TrainedStage, TrainedVectors};
use super::run_dir::RunDir;
use super::states::States;
use crate::model::{Model, load_weights, save_weights};
use crate::storage;
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
        let mut bytes = Vec::new();
        ciborium::into_writer(&State { form: FORM, ..state.clone() }, &mut bytes)
            .map_err(|e| Error::program(format!("cannot write a checkpoint: {e}")))?;
        States::of(run, "").write(|folder| {
            storage::write(&folder.join(STATE), &bytes)?;
            save_weights(model, &folder.join(WEIGHTS))?;
            optimizer.save(&folder.join(OPTIMIZER))?;
            best.map_or(Ok(()), |best| save_weights(best, &folder.join(BEST)))
        })
    }

    /// The last checkpoint of a run that is whole; lines on those after it that are not go to `damaged`.
    pub fn last(run: &RunDir, damaged: impl FnMut(String)) -> Option<Self> {
        let whole = |folder: &Path| read(folder).map(|state| Self { folder: folder.to_owned(), state });
        States::of(run, "").last(&[STATE, WEIGHTS, OPTIMIZER], whole, damaged)
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
    let bytes = fs::read(folder.join(STATE)).map_err(|e| format!("{STATE}: {e}"))?;
    let state: State = ciborium::from_reader(bytes.as_slice()).map_err(|e| format!("{STATE}: {e}"))?;
    match state.form {
        FORM => Ok(state),
        other => Err(format!("it is of form {other}, and this version reads form {FORM}")),
    }
}
