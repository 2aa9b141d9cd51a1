//! Training a stage of an experiment.

use super::manifest::{Mode, Stage};
use super::prefixes::Prefixes;
use super::recorder::Recorder;
use super::stage::OpenStage;
use crate::component::Loss;
use crate::model::{Model, freeze};
use crate::train::{
    Algorithm, EpochRecord, Fit, Fitted, Keeper, Moment, Optimizer, Rates, Start, StepRecord, derive_seed,
};
use crate::{Progress, Result};
use std::ops::Range;

/// A stage as training leaves it.
pub struct Trained {
    /// The model with the weights that were selected.
    pub model: Model,
    /// The optimizer after the last step.
    pub optimizer: Optimizer,
    /// The epoch of the weights, from 0.
    pub epoch: usize,
    /// Epoch and model that were best on valid, where others were selected.
    pub best_on_valid: Option<(usize, Model)>,
}

/// What is called while a stage trains.
pub struct Observers<'a> {
    /// Called after every epoch; an error ends the training.
    pub on_epoch: &'a mut dyn FnMut(&EpochRecord) -> Result<()>,
    /// Called after every step, each of which is then waited for.
    pub on_step: Option<&'a dyn Fn(StepRecord)>,
    /// Where progress is shown.
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

/// A stage as it trains: what stays the same in all of its turns.
struct Training<'a> {
    stage: &'a OpenStage<'a>,
    loss: Box<dyn Loss>,
    rates: Rates,
    algorithm: Algorithm,
}

/// Trains the heads of a stage that the model has entered: all together, or each in turn.
pub(super) fn train(
    stage: &OpenStage<'_>,
    model: Model,
    optimizer: Optimizer,
    observers: &mut Observers<'_>,
    keeping: Keeping<'_>,
) -> Result<Trained> {
    let options = stage.options();
    let prefixes = Prefixes::new(&model);
    prefixes.check_frozen(options, stage.index)?;
    prefixes.check_rates(options, stage.index)?;
    let goes_on = keeping.from.is_some() || options.carries_optimizer();
    let optimizer = if goes_on { optimizer } else { Optimizer::new() };
    let (loss, rates, algorithm) = (stage.plan.loss(stage.index)?, options.rates(), options.optimizer());
    let trained = Trained { model, optimizer, epoch: 0, best_on_valid: None };
    Training { stage, loss, rates, algorithm }.run(trained, observers, keeping)
}

impl Training<'_> {
    fn run(&self, mut trained: Trained, observers: &mut Observers<'_>, mut keeping: Keeping<'_>) -> Result<Trained> {
        let all = trained.model.head_specs().len();
        let first = keeping.from.as_ref().map_or(0, |(turn, _)| *turn);
        for (turn, heads) in turns(self.stage.options(), all).into_iter().enumerate().skip(first) {
            keeping.begin_turn(turn);
            let start = keeping.from.take().map(|(_, start)| start).unwrap_or_default();
            let name = self.turn_name(&trained.model, turn);
            let frozen = frozen(self.stage.options(), &heads, all);
            let fit = self.fit(&name, turn, heads, &frozen, observers);
            let model = freeze(trained.model, &frozen);
            let fitted = fit.run_from(model, trained.optimizer, start, &keeping, &mut *observers.on_epoch)?;
            let Fitted { model, optimizer, epoch, best_on_valid, .. } = fitted;
            trained = Trained { model, optimizer, epoch, best_on_valid };
        }
        Ok(trained)
    }

    /// The stage's name, with the head whose turn it is.
    fn turn_name(&self, model: &Model, turn: usize) -> String {
        match self.stage.options().mode() {
            Mode::Joint => self.stage.name(),
            Mode::Individual => format!("{}:{}", self.stage.name(), model.head_specs()[turn].name),
        }
    }

    fn fit<'a, 'o: 'a>(
        &'a self,
        name: &'a str,
        turn: usize,
        heads: Range<usize>,
        frozen: &'a [String],
        observers: &Observers<'o>,
    ) -> Fit<'a> {
        let OpenStage { plan, index, data, objective, splits } = self.stage;
        let (options, compat) = (self.stage.options(), plan.manifest.is_compat());
        Fit {
            name,
            graph: &data.graph,
            objective: objective.as_ref(),
            loss: self.loss.as_ref(),
            train: &splits.train,
            valid: &splits.valid,
            watch: compat.then_some(&splits.test),
            heads,
            frozen,
            dropout_in_frozen: compat,
            epochs: options.epochs(),
            dropout_epochs: options.dropout_epochs,
            batch: options.batch(),
            shuffle: options.shuffle(),
            accumulate: options.accumulate(),
            rates: &self.rates,
            algorithm: &self.algorithm,
            clip_norm: options.clip_norm,
            patience: options.patience,
            select: options.select(),
            seed: derive_seed(plan.manifest.seed, &[2, *index as u64, turn as u64]),
            progress: observers.progress,
            on_step: observers.on_step,
        }
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
