//! Records how a run goes: lines, epochs, checkpoints.

use super::checkpoint::{Checkpoint, Inside, State};
use super::outcome::{Outcome, StageOutcome, TrainedStage, TrainedVectors};
use super::run_dir::{METRICS, RunDir};
use super::stop::{Stop, name_of};
use super::tracking::Trackers;
use crate::model::{Model, first_not_finite};
use crate::train::{EpochRecord, Keeper, Moment, Optimizer, Position};
use crate::{Error, Progress, Result, memory, storage};
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// Checkpoints at ends of epochs take at most this fraction of the time.
const PART_OF_TIME: u32 = 20;

/// What is known of a run in progress.
pub(super) struct Recorder<'a> {
    run: &'a RunDir,
    progress: &'a dyn Progress,
    stop: &'a Stop,
    /// Between two checkpoints inside an epoch.
    pause: Duration,
    state: RefCell<State>,
    /// When this process took over, and when it began with the stage.
    begun: Instant,
    stage_begun: Cell<Instant>,
    turn: Cell<usize>,
    last: Cell<Instant>,
    cost: Cell<Duration>,
    warned: Cell<bool>,
    trackers: RefCell<Trackers>,
}

impl<'a> Recorder<'a> {
    /// Goes on from `state`.
    pub fn new(
        run: &'a RunDir,
        progress: &'a dyn Progress,
        stop: &'a Stop,
        minutes: f64,
        state: State,
        trackers: Trackers,
    ) -> Self {
        let pause = Duration::try_from_secs_f64(minutes * 60.0).unwrap_or(Duration::MAX);
        let now = Instant::now();
        Self {
            run,
            progress,
            stop,
            pause,
            state: RefCell::new(state),
            begun: now,
            stage_begun: Cell::new(now),
            turn: Cell::new(0),
            last: Cell::new(now),
            cost: Cell::new(Duration::ZERO),
            warned: Cell::new(false),
            trackers: RefCell::new(trackers),
        }
    }

    /// The run's folder.
    pub fn run(&self) -> &RunDir {
        self.run
    }

    /// A line for the reader and the log.
    pub fn log(&self, line: &str) -> Result<()> {
        self.progress.line(line);
        self.run.append("log.txt", line)
    }

    /// A stage begins; `resumed` when it goes on from the middle.
    pub fn begin_stage(&self, index: usize, resumed: bool) {
        memory::forget_peak();
        self.stage_begun.set(Instant::now());
        self.last.set(Instant::now());
        let mut state = self.state.borrow_mut();
        state.stage = index;
        if !resumed {
            state.epochs_of_stage = 0;
            (state.spent_in_stage, state.peak_memory) = (Duration::ZERO, None);
        }
    }

    /// The heads of this index train now.
    pub fn begin_turn(&self, turn: usize) {
        self.turn.set(turn);
    }

    /// An epoch of the stage, and its line.
    pub fn epoch(&self, record: &EpochRecord, line: &str) -> Result<()> {
        self.run.append(METRICS, line)?;
        self.trackers.borrow_mut().epoch(record, self.progress)?;
        let mut state = self.state.borrow_mut();
        state.epochs.push((record.clone(), line.to_owned()));
        state.epochs_of_stage += 1;
        Ok(())
    }

    /// The run has its results: whoever follows it is told.
    pub fn finish(&self, outcome: &Outcome) -> Result<()> {
        self.trackers.borrow_mut().finish(outcome, self.run, self.progress)
    }

    /// The lines of the stage's epochs.
    pub fn epochs_of_stage(&self) -> String {
        let state = self.state.borrow();
        let first = state.epochs.len() - state.epochs_of_stage;
        state.epochs[first..].iter().map(|(_, line)| format!("{line}\n")).collect()
    }

    /// Wall time and largest memory of the stage that trains.
    pub fn cost_of_stage(&self) -> (f64, Option<u64>) {
        let state = self.state.borrow();
        let spent = state.spent_in_stage + self.stage_begun.get().elapsed();
        (spent.as_secs_f64(), memory::peak().max(state.peak_memory))
    }

    /// Wall time of the run, over all of its processes.
    pub fn seconds(&self) -> f64 {
        (self.state.borrow().spent + self.begun.elapsed()).as_secs_f64()
    }

    /// Keeps the vectors that the model starts from, for checkpoints and the outcome.
    pub fn begin_with(&self, vectors: Vec<TrainedVectors>) {
        self.state.borrow_mut().vectors = vectors;
    }

    /// The vectors that the model starts from, none where no manifest of embeddings is named.
    pub fn vectors(&self) -> Vec<TrainedVectors> {
        self.state.borrow().vectors.clone()
    }

    /// All epochs so far.
    pub fn history(&self) -> Vec<EpochRecord> {
        self.state.borrow().epochs.iter().map(|(record, _)| record.clone()).collect()
    }

    /// All trained and tested stages so far.
    pub fn stages(&self) -> (Vec<TrainedStage>, Vec<StageOutcome>) {
        let state = self.state.borrow();
        (state.trained.clone(), state.tested.clone())
    }

    /// A stage has ended: with `model`, and tested perhaps. Stops here when that was asked for and more is to come.
    pub fn end_stage(
        &self,
        trained: TrainedStage,
        tested: Option<StageOutcome>,
        model: &Model,
        optimizer: &Optimizer,
        more: bool,
    ) -> Result<()> {
        {
            let mut state = self.state.borrow_mut();
            state.trained.push(trained);
            state.tested.extend(tested);
        }
        // The weights beside the checkpoint must be there when it is.
        storage::sync_tree(&self.run.file("checkpoints"))?;
        self.save(None, model, None, optimizer);
        match self.stop.requested().filter(|_| more) {
            Some(signal) => Err(stopped(signal)),
            None => Ok(()),
        }
    }

    /// Writes a checkpoint. One that cannot be written stops no run: the reader is told once.
    fn save(&self, inside: Option<Inside>, model: &Model, best: Option<&Model>, optimizer: &Optimizer) {
        let begun = Instant::now();
        let (_, peak_memory) = self.cost_of_stage();
        let mut state = self.state.borrow().clone();
        state.inside = inside;
        state.spent += self.begun.elapsed();
        state.spent_in_stage += self.stage_begun.get().elapsed();
        state.peak_memory = peak_memory;
        if let Err(error) = Checkpoint::write(self.run, &state, model, best, optimizer)
            && !self.warned.replace(true)
        {
            self.progress.line(&format!("warning: no checkpoint: {error}"));
        }
        self.cost.set(begun.elapsed());
        self.last.set(Instant::now());
    }

    fn is_due(&self, epoch_ended: bool) -> bool {
        let since = self.last.get().elapsed();
        since >= self.pause || epoch_ended && since >= self.cost.get() * PART_OF_TIME
    }
}

impl Keeper for Recorder<'_> {
    fn look(&self, moment: &Moment<'_>) -> Result<()> {
        let signal = self.stop.requested();
        if signal.is_none() && !self.is_due(moment.epoch_ended) {
            return Ok(());
        }
        // What is damaged is not kept in place of what is not.
        if let Some((path, number)) = first_not_finite(moment.model) {
            let Position { epoch, step, .. } = moment.position();
            let place = format!("stage {}, epoch {}, before step {}", moment.stage, epoch + 1, step + 1);
            return Err(Error::user(format!("{place}: the parameter `{path}` has {number}"))
                .help("lower the stage's `lr`, or check the node features for extreme values"));
        }
        let inside = Inside { turn: self.turn.get(), position: moment.position() };
        self.save(Some(inside), moment.model, moment.best, moment.optimizer);
        signal.map_or(Ok(()), |signal| Err(stopped(signal)))
    }
}

fn stopped(signal: u8) -> Error {
    Error::stopped(signal, format!("stopped by {}", name_of(signal)))
}
