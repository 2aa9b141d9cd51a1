//! Training a stage of an experiment.

use super::manifest::{Mode, Stage};
use super::plan::Experiment;
use super::prefixes::Prefixes;
use super::recorder::Recorder;
use super::run::Parts;
use crate::boundary::guard;
use crate::component::Objective;
use crate::data::Prepared;
use crate::device::generator;
use crate::model::{Model, freeze};
use crate::train::{EpochRecord, Fit, Keeper, Moment, Optimizer, Start, StepRecord, derive_seed};
use crate::{Progress, Result};
use std::ops::Range;

/// A stage as training leaves it.
pub struct Trained {
    /// With the weights that were selected.
    pub model: Model,
    /// The optimizer after the last step.
    pub optimizer: Optimizer,
    /// The epoch of the weights, from 0.
    pub epoch: usize,
    /// Epoch and model that were best on valid, where others were selected.
    pub best_on_valid: Option<(usize, Model)>,
}

/// Who is told how training goes.
pub struct Observers<'a> {
    /// Of every epoch; an error ends the training.
    pub on_epoch: &'a mut dyn FnMut(&EpochRecord) -> Result<()>,
    /// Of every step, each of which is then waited for.
    pub on_step: Option<&'a dyn Fn(StepRecord)>,
    /// Of how long it takes.
    pub progress: &'a dyn Progress,
}

/// Where the training of a stage begins, and who records how it goes.
#[derive(Default)]
pub(super) struct Keeping<'a> {
    pub recorder: Option<&'a Recorder<'a>>,
    /// The turn and the place in it, when the model and the optimizer are those of a checkpoint.
    pub from: Option<(usize, Start)>,
}

impl Keeping<'_> {
    fn begin_turn(&self, turn: usize) {
        self.recorder.iter().for_each(|recorder| recorder.begin_turn(turn));
    }
}

impl Keeper for Keeping<'_> {
    fn look(&self, moment: &Moment<'_>) -> Result<()> {
        self.recorder.map_or(Ok(()), |recorder| recorder.look(moment))
    }
}

impl Experiment {
    /// Trains stage `index` of a model that [entered](Experiment::enter_stage) it, with the optimizer of the stage before,
    /// which goes on where the manifest says so.
    ///
    /// # Errors
    /// Name the manifest's line.
    pub fn train_stage(
        &self,
        model: Model,
        optimizer: Optimizer,
        index: usize,
        data: &Prepared,
        observers: &mut Observers<'_>,
    ) -> Result<Trained> {
        let train = || {
            let objective = self.objective(index)?;
            let parts = self.parts(objective.as_ref(), data)?;
            self.train(model, optimizer, index, objective.as_ref(), &parts, data, observers, Keeping::default())
        };
        generator::alone(|| self.placed(guard::catch(train)))
    }

    /// Trains the heads of a stage: all together, or each in turn.
    #[allow(clippy::too_many_arguments)] // two call sites; a struct would only rename them
    pub(super) fn train(
        &self,
        mut model: Model,
        mut optimizer: Optimizer,
        index: usize,
        objective: &dyn Objective,
        parts: &Parts,
        data: &Prepared,
        observers: &mut Observers<'_>,
        mut keeping: Keeping<'_>,
    ) -> Result<Trained> {
        let stage = &self.manifest.stage[index];
        let prefixes = Prefixes::new(&self.manifest.model, &model);
        prefixes.check_frozen(stage, index)?;
        prefixes.check_rates(stage, index)?;
        if keeping.from.is_none() && !stage.carries_optimizer() {
            optimizer = Optimizer::new();
        }
        let (rates, algorithm) = (stage.rates(), stage.optimizer());
        let loss = self.loss(index)?;
        let heads = model.head_specs().len();
        let (mut epoch, mut best_on_valid) = (0, None);
        let first = keeping.from.as_ref().map_or(0, |(turn, _)| *turn);
        for (turn, heads) in turns(stage, heads).into_iter().enumerate().skip(first) {
            keeping.begin_turn(turn);
            let name = match stage.mode() {
                Mode::Joint => stage.name(index),
                Mode::Individual => format!("{}:{}", stage.name(index), model.head_specs()[turn].name),
            };
            let frozen = frozen(stage, &heads, model.head_specs().len());
            model = freeze(model, &frozen);
            let fit = Fit {
                name: &name,
                graph: &data.graph,
                objective,
                loss: loss.as_ref(),
                train: &parts.train,
                valid: &parts.valid,
                watch: self.manifest.is_compat().then_some(&parts.test),
                heads,
                frozen: &frozen,
                dropout_in_frozen: self.manifest.is_compat(),
                epochs: stage.epochs(),
                dropout_epochs: stage.dropout_epochs,
                batch: stage.batch(),
                shuffle: stage.shuffle(),
                accumulate: stage.accumulate(),
                rates: &rates,
                algorithm: &algorithm,
                clip_norm: stage.clip_norm,
                patience: stage.patience,
                select: stage.select(),
                seed: derive_seed(self.manifest.seed, &[2, index as u64, turn as u64]),
                progress: observers.progress,
                on_step: observers.on_step,
            };
            let start = keeping.from.take().map(|(_, start)| start).unwrap_or_default();
            let fitted = fit.run_from(model, optimizer, start, &keeping, &mut *observers.on_epoch)?;
            (model, optimizer) = (fitted.model, fitted.optimizer);
            (epoch, best_on_valid) = (fitted.epoch, fitted.best_on_valid);
        }
        Ok(Trained { model, optimizer, epoch, best_on_valid })
    }
}

/// The heads that train together, in their order.
fn turns(stage: &Stage, heads: usize) -> Vec<Range<usize>> {
    match stage.mode() {
        Mode::Joint => std::iter::once(0..heads).collect(),
        Mode::Individual => (0..heads).map(|head| head..head + 1).collect(),
    }
}

/// What does not train: the manifest's prefixes, and the heads whose turn it is not.
fn frozen(stage: &Stage, heads: &Range<usize>, all: usize) -> Vec<String> {
    let others = (0..all).filter(|h| !heads.contains(h)).map(|h| format!("heads.{h}"));
    stage.freeze().iter().cloned().chain(others).collect()
}
