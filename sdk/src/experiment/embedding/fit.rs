//! The training loop of an embedding: losses, looks at the validation triples, checkpoints, and stopping early.

use super::experiment::KgeExperiment;
use crate::data::knowledge::Triple;
use crate::device::NamedDevice;
use crate::error::counted;
use crate::experiment::states::States;
use crate::experiment::stop::{Stop, name_of};
use crate::kge::{
    Batch, Checkpoint, Done, EmbeddingModel, KnowledgeGraph, Known, LinkMetrics, Parameters, RankMetrics, Sampler,
    Trained, Trainer, ranks_on, save_checkpoint, window,
};
use crate::progress::{Silent, Task};
use crate::{Error, Progress, Result, storage};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Checkpoints take at most this fraction of the time.
const PART_OF_TIME: u32 = 20;
/// The file of a checkpoint.
const STATE: &str = "state.safetensors";

/// What training goes by beside its manifest.
pub(in crate::experiment) struct Records<'a> {
    /// The text beside the progress bar.
    pub task: &'a str,
    /// The file with a line a hundredth of the steps, if any.
    pub metrics: Option<PathBuf>,
    /// The checkpoints; without them nothing is kept of training that stops.
    pub checkpoints: Option<States>,
    /// Minutes between two checkpoints.
    pub minutes: f64,
    /// The wish to stop.
    pub stop: &'a Stop,
    /// Where progress is shown.
    pub progress: &'a dyn Progress,
}

impl KgeExperiment {
    /// Trains from `state` to the last step, after which a checkpoint is written, too: what follows may be interrupted.
    ///
    /// # Errors
    /// When the loss or a parameter is not finite, a file cannot be written, or somebody asked to stop: a checkpoint is written then.
    pub(super) fn fit(&self, graph: &KnowledgeGraph, state: Checkpoint, records: &Records<'_>) -> Result<Checkpoint> {
        let _listening = records.stop.listen();
        if let Some(file) = &records.metrics {
            storage::write(file, state.done.history.as_bytes())?;
        }
        match state.done.step < self.manifest.train.steps {
            true => self.fit_from(graph, state, records),
            false => Ok(state),
        }
    }

    fn fit_from(&self, graph: &KnowledgeGraph, state: Checkpoint, records: &Records<'_>) -> Result<Checkpoint> {
        let (train, model, progress) = (&self.manifest.train, self.model(), records.progress);
        let options = self.sample_options();
        let (window, known) = (window(&options), Known::new(&graph.train));
        let Checkpoint { parameters, done: Done { step: first, seconds: before, losses, history } } = state;
        let device = self.device()?;
        let trainer = Trainer::new(model, parameters, self.adam(), window, train.adversarial as f32, &device)?;
        let sampler = Sampler::new(graph, &known, options, first).at_once(trainer.batches_at_once());
        let prefetched = trainer.prefetched_batches();
        let mut task = progress.begin(records.task, "steps", Some(u64::from(train.steps)));
        task.go_on_from(u64::from(first));
        let mut training = Training {
            experiment: self,
            graph,
            model,
            valid: sample(&graph.valid, train.validate_triples),
            known: self.known(graph),
            device,
            trainer,
            records,
            task,
            keeper: Keeper::new(records),
            clock: Clock { begun: Instant::now(), looked: Duration::ZERO, before },
            losses,
            history,
        };
        std::thread::scope(|scope| {
            let (sender, receiver) = std::sync::mpsc::sync_channel(prefetched);
            scope
                .spawn(move || sampler.map(|batch| sender.send(batch).ok()).take_while(Option::is_some).for_each(drop));
            receiver.into_iter().try_for_each(|batch| training.pass(&batch))
        })?;
        training.end()
    }
}

/// An embedding in training.
struct Training<'a> {
    experiment: &'a KgeExperiment,
    graph: &'a KnowledgeGraph,
    model: &'a dyn EmbeddingModel,
    /// The validation triples that are looked at, and what is known to be true.
    valid: Vec<Triple>,
    known: Known,
    device: NamedDevice,
    trainer: Trainer<'a>,
    records: &'a Records<'a>,
    task: Box<dyn Task + 'a>,
    keeper: Keeper<'a>,
    clock: Clock,
    /// Sum and number of the losses since the last line.
    losses: (f64, u32),
    history: String,
}

impl Training<'_> {
    fn pass(&mut self, batch: &Batch) -> Result<()> {
        let train = &self.experiment.manifest.train;
        let step = batch.step + 1;
        let validates = train.validate_every > 0 && step.is_multiple_of(train.validate_every) && !self.valid.is_empty();
        // A hundredth of the steps is what an epoch is elsewhere.
        let writes = validates || step.is_multiple_of((train.steps / 100).max(1)) || step == train.steps;
        let losses = self.trainer.step(batch, writes)?;
        losses.into_iter().try_for_each(|loss| self.add(loss, step))?;
        self.task.advance(1);
        if writes {
            self.write(batch.step, validates)?;
        }
        match step < train.steps {
            true => self.keep(step, writes),
            false => Ok(()),
        }
    }

    fn add(&mut self, loss: f64, step: u32) -> Result<()> {
        if !loss.is_finite() {
            let by = if matches!(self.trainer, Trainer::Cpu(_)) { "after" } else { "by" };
            return Err(Error::user(format!("the loss is {loss} {by} step {step}"))
                .at_key("train.lr")
                .help("try a smaller learning rate"));
        }
        self.losses = (self.losses.0 + loss, self.losses.1 + 1);
        Ok(())
    }

    /// A line of `metrics.jsonl` about the steps since the last.
    fn write(&mut self, index: u32, validates: bool) -> Result<()> {
        let mean = self.losses.0 / f64::from(self.losses.1);
        self.losses = (0.0, 0);
        let (step, seconds) = (index + 1, self.clock.seconds());
        let mut line = json!({ "step": step, "loss": mean, "lr": self.trainer.rate(index), "seconds": seconds });
        let mut shown = format!("loss {mean:.4}");
        if validates {
            let metrics = self.validated(step)?;
            shown += &format!(" valid mrr {:.4}", metrics.mrr);
            self.records
                .progress
                .line(&format!("step {step}: {shown} hits@10 {:.4}  ({seconds:.0} s)", metrics.hits10));
            line["valid"] = json!(metrics);
        }
        self.task.message(&shown);
        if let Some(file) = &self.records.metrics {
            storage::append(file, &line.to_string())?;
        }
        self.history += &format!("{line}\n");
        Ok(())
    }

    /// Metrics on valid; the time is not that of training.
    fn validated(&mut self, step: u32) -> Result<RankMetrics> {
        let looks = Instant::now();
        let parameters = self.trainer.parameters()?;
        self.check(&parameters, step)?;
        let trained = Trained { model: self.model, parameters: &parameters };
        let ranks = ranks_on(&self.device, &trained, &self.valid, &self.known, &Silent)?;
        let metrics = LinkMetrics::new(&ranks, self.experiment.ties(), 0, 0).both;
        self.clock.looked += looks.elapsed();
        Ok(metrics)
    }

    /// Writes a checkpoint where one is due, and stops where that was asked for.
    fn keep(&mut self, step: u32, epoch_ended: bool) -> Result<()> {
        let signal = self.records.stop.requested();
        if signal.is_none() && !self.keeper.is_due(epoch_ended) {
            return Ok(());
        }
        let parameters = self.trainer.parameters()?;
        self.check(&parameters, step)?;
        let (seconds, history) = (self.clock.seconds(), self.history.clone());
        self.keeper.save(&parameters, &Done { step, seconds, losses: self.losses, history });
        match signal {
            None => Ok(()),
            Some(signal) => Err(stopped(signal, step)),
        }
    }

    /// Refuses what is damaged: it is neither kept nor ranked.
    fn check(&self, parameters: &Parameters, step: u32) -> Result<()> {
        parameters.check_finite(&format!("after step {step}"), &self.graph.entities, &self.graph.relations)
    }

    fn end(mut self) -> Result<Checkpoint> {
        let (step, seconds, graph) = (self.experiment.manifest.train.steps, self.clock.seconds(), self.graph);
        let parameters = self.trainer.into_parameters()?;
        parameters.check_finite(&format!("after step {step}"), &graph.entities, &graph.relations)?;
        self.task.finish(&format!("{} in {seconds:.1} s", counted(step, "step")));
        let done = Done { step, seconds, losses: self.losses, history: self.history };
        self.keeper.save(&parameters, &done);
        match self.records.stop.requested() {
            None => Ok(Checkpoint { parameters, done }),
            Some(signal) => Err(stopped(signal, step)),
        }
    }
}

/// The end that somebody asked for after a step.
fn stopped(signal: u8, step: u32) -> Error {
    Error::stopped(signal, format!("stopped by {} after step {step}", name_of(signal)))
}

/// Ends the ranking of triples where somebody asked to stop: the checkpoint after the last `step` is there.
pub(super) fn check_wanted(stop: &Stop, step: u32) -> Result<()> {
    match stop.requested() {
        None => Ok(()),
        Some(signal) => {
            let message = format!("stopped by {} after step {step}, while triples were ranked", name_of(signal));
            Err(Error::stopped(signal, message))
        }
    }
}

/// Time of training, over all processes of a run, without that of looking at validation triples.
struct Clock {
    begun: Instant,
    looked: Duration,
    before: f64,
}

impl Clock {
    fn seconds(&self) -> f64 {
        self.before + self.begun.elapsed().saturating_sub(self.looked).as_secs_f64()
    }
}

/// Writes checkpoints when they are due.
struct Keeper<'a> {
    records: &'a Records<'a>,
    /// Between two checkpoints.
    pause: Duration,
    last: Instant,
    cost: Duration,
    warned: bool,
}

impl<'a> Keeper<'a> {
    fn new(records: &'a Records<'a>) -> Self {
        let pause = Duration::try_from_secs_f64(records.minutes * 60.0).unwrap_or(Duration::MAX);
        Self { records, pause, last: Instant::now(), cost: Duration::ZERO, warned: false }
    }

    /// As for `dualk run`, a hundredth of the steps being an epoch: when the pause is over, and at the end of an epoch,
    /// unless checkpoints would take more than their share of the time. Without a pause after every step, whatever it costs.
    fn is_due(&self, epoch_ended: bool) -> bool {
        if self.records.checkpoints.is_none() {
            return false;
        }
        let since = self.last.elapsed();
        self.pause.is_zero() || (since >= self.pause || epoch_ended) && since >= self.cost * PART_OF_TIME
    }

    /// Writes one. One that cannot be written stops no run: the reader is told once.
    fn save(&mut self, parameters: &Parameters, done: &Done) {
        let Some(states) = &self.records.checkpoints else { return };
        let begun = Instant::now();
        let made = states.write(|folder| save_checkpoint(&folder.join(STATE), parameters, done));
        if let Err(error) = made
            && !std::mem::replace(&mut self.warned, true)
        {
            self.records.progress.line(&format!("warning: no checkpoint: {error}"));
        }
        (self.cost, self.last) = (begun.elapsed(), Instant::now());
    }
}

/// Every n-th triple, so that about `most` remain.
fn sample(triples: &[Triple], most: usize) -> Vec<Triple> {
    let step = triples.len().div_ceil(most.max(1)).max(1);
    triples.iter().copied().step_by(step).collect()
}

/// Training of parameters like `fresh` at its last checkpoint that is whole, if there is one; lines on those after it go to `log`.
pub(super) fn last_checkpoint(
    states: &States,
    fresh: &Parameters,
    log: &dyn Fn(&str) -> Result<()>,
) -> Result<Option<Checkpoint>> {
    let read = |folder: &Path| Checkpoint::load(&folder.join(STATE), fresh).map_err(|e| format!("{STATE}: {e}"));
    let mut damaged = Vec::new();
    let last = states.last(&[STATE], read, |line| damaged.push(line));
    damaged.iter().try_for_each(|line| log(line))?;
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::run_dir::RunDir;

    #[test]
    fn checkpoints_take_a_twentieth_of_the_time_at_most() {
        let stop = Stop::new();
        let is_due = |minutes: f64, ago: u64, cost: u64, epoch_ended: bool| {
            let checkpoints = Some(States::of(&RunDir::at(Path::new("run")), ""));
            let records = Records { task: "", metrics: None, checkpoints, minutes, stop: &stop, progress: &Silent };
            let keeper = Keeper {
                last: Instant::now().checked_sub(Duration::from_millis(ago)).unwrap(),
                cost: Duration::from_millis(cost),
                ..Keeper::new(&records)
            };
            keeper.is_due(epoch_ended)
        };
        // A pause of 0.6 s.
        assert!(!is_due(0.01, 300, 0, false) && is_due(0.01, 300, 0, true));
        assert!(is_due(0.01, 700, 0, false));
        assert!(!is_due(0.01, 700, 50, true) && is_due(0.01, 1200, 50, false));
        assert!(is_due(0.0, 0, 1_000_000, false));
        assert!(!is_due(f64::INFINITY, 1000, 0, false) && is_due(f64::INFINITY, 1000, 0, true));
    }
}
