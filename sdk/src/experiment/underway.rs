//! A run under way: from the prepared data, or a checkpoint, through the stages to the results.

use super::assessed::Tested;
use super::cached::Kept;
use super::checkpoint::{Checkpoint, Inside};
use super::fingerprint::Fingerprint;
use super::outcome::{Outcome, StageOutcome, TrainedStage};
use super::plan::Experiment;
use super::prefixes::Prefixes;
use super::recorder::{METRICS, Recorder};
use super::report;
use super::run::{Parts, summarise, write_data};
use super::run_dir::RunDir;
use super::tracking::Trackers;
use super::training::{Keeping, Observers, Trained};
use crate::cache::Key;
use crate::component::Objective;
use crate::data::Prepared;
use crate::model::{Model, parameters, save_weights};
use crate::train::{EpochRecord, Metrics, Optimizer, Start};
use crate::{Progress, Result};

/// Where a run stands: before its stage `next`, or inside it.
struct Standing {
    model: Model,
    optimizer: Optimizer,
    next: usize,
    /// The turn and the place in it, when the model and the optimizer are those of inside the stage.
    from: Option<(usize, Start)>,
}

/// What all stages of a run have in common.
struct Surroundings<'a> {
    data: &'a Prepared,
    /// For each stage that can be kept its key.
    keys: Vec<Key>,
    recorder: &'a Recorder<'a>,
    progress: &'a dyn Progress,
}

/// One stage of it.
struct Now<'a> {
    index: usize,
    objective: &'a dyn Objective,
    parts: &'a Parts,
}

impl Experiment {
    /// Trains and tests what is left after a checkpoint, and writes the results.
    pub(super) fn train_in(
        &self,
        run: &RunDir,
        checkpoint: Option<Checkpoint>,
        text: &str,
        data: &Prepared,
        progress: &dyn Progress,
    ) -> Result<Outcome> {
        let keys = self.stage_keys()?;
        let recorder = self.recorder(run, checkpoint.as_ref(), text, data, progress)?;
        let mut standing = self.begin(checkpoint, data, &recorder)?;
        let around = Surroundings { data, keys, recorder: &recorder, progress };
        while standing.next < self.manifest.stage.len() {
            standing = self.pass_stage(standing, &around)?;
        }
        self.conclude(run, &standing.model, &recorder)
    }

    /// Opens the records of a run: those of a checkpoint go on.
    fn recorder<'a>(
        &'a self,
        run: &'a RunDir,
        checkpoint: Option<&Checkpoint>,
        text: &str,
        data: &Prepared,
        progress: &'a dyn Progress,
    ) -> Result<Recorder<'a>> {
        let state = checkpoint.map(|c| c.state.clone()).unwrap_or_default();
        let lines: String = state.epochs.iter().map(|line| format!("{line}\n")).collect();
        run.write(METRICS, lines.as_bytes())?;
        let minutes = self.manifest.output.checkpoint_minutes;
        let mut trackers = Trackers::start(&self.manifest, run, text, progress)?;
        state.epochs.iter().try_for_each(|line| trackers.line(line, progress))?;
        let recorder = Recorder::new(run, progress, &self.stop, minutes, state, trackers);
        self.write_environment(run)?;
        write_data(run, data)?;
        Fingerprint::of(data).write(run)?;
        run.status("running", "")?;
        match checkpoint {
            Some(_) => recorder.log("resumed from a checkpoint")?,
            None => summarise(data).iter().try_for_each(|line| recorder.log(line))?,
        }
        Ok(recorder)
    }

    /// The fresh model before the first stage, or what a checkpoint holds.
    fn begin(&self, checkpoint: Option<Checkpoint>, data: &Prepared, recorder: &Recorder<'_>) -> Result<Standing> {
        let device = self.device.device.clone().autodiff();
        let mut notes = Vec::new();
        let model = self.model(data, &device, |note| notes.push(note))?;
        self.check_frozen_parts(&model)?;
        if let Some(checkpoint) = checkpoint {
            return self.restore(checkpoint, model, data);
        }
        let has_lab = parameters(&model).iter().any(|p| p.path.starts_with("lab."));
        notes.extend(self.recipe()?.notes(&self.manifest.stage, has_lab));
        notes.iter().try_for_each(|note| recorder.log(note))?;
        Ok(Standing { model, optimizer: Optimizer::new(), next: 0, from: None })
    }

    /// Leads a fresh model to where a checkpoint was written, and takes its weights and optimizer.
    fn restore(&self, checkpoint: Checkpoint, mut model: Model, data: &Prepared) -> Result<Standing> {
        let device = self.device.device.clone().autodiff();
        let stage = checkpoint.state.stage;
        for index in 0..=stage {
            let objective = self.objective(index)?;
            model = self.enter_stage(model, index, objective.as_ref(), data, &device)?;
            if index < stage {
                model = model.keep_heads();
            }
        }
        let (model, best, optimizer) = checkpoint.load(model)?;
        Ok(match checkpoint.state.inside {
            Some(Inside { turn, position }) => {
                Standing { model, optimizer, next: stage, from: Some((turn, Start { position, best })) }
            }
            None => self.after(stage, model, optimizer),
        })
    }

    /// Where a run stands after a stage: its heads may serve later ones.
    fn after(&self, stage: usize, model: Model, optimizer: Optimizer) -> Standing {
        let more = stage + 1 < self.manifest.stage.len();
        let model = if more { model.keep_heads() } else { model };
        Standing { model, optimizer, next: stage + 1, from: None }
    }

    /// Trains the next stage, or takes it from the cache, and tests it.
    fn pass_stage(&self, standing: Standing, around: &Surroundings<'_>) -> Result<Standing> {
        let Standing { mut model, optimizer, next: index, from } = standing;
        let (stage, recorder) = (&self.manifest.stage[index], around.recorder);
        let objective = self.objective(index)?;
        let parts = self.parts(objective.as_ref(), around.data)?;
        if from.is_none() {
            let device = self.device.device.clone().autodiff();
            model = self.enter_stage(model, index, objective.as_ref(), around.data, &device)?;
        }
        let now = Now { index, objective: objective.as_ref(), parts: &parts };
        let (what, trained) = self.trained(model, optimizer, from, &now, around)?;
        recorder.log(&what.line())?;
        let file = format!("checkpoints/{}.safetensors", stage.name(index));
        save_weights(&trained.model, &recorder.run().file(&file))?;
        let tested = if stage.is_tested() { Some(self.tested(&trained, &now, around)?) } else { None };
        let more = index + 1 < self.manifest.stage.len();
        recorder.end_stage(what, tested, &trained.model, &trained.optimizer, more)?;
        Ok(self.after(index, trained.model, trained.optimizer))
    }

    /// The trained stage, from the cache where it was trained before.
    fn trained(
        &self,
        model: Model,
        optimizer: Optimizer,
        from: Option<(usize, Start)>,
        now: &Now<'_>,
        around: &Surroundings<'_>,
    ) -> Result<(TrainedStage, Trained)> {
        let (index, recorder, progress) = (now.index, around.recorder, around.progress);
        let (key, carried_on) = (around.keys.get(index), self.carried_on(index));
        let stage = self.manifest.stage[index].name(index);
        let cached = from.is_none().then(|| self.trained_before(key, &model, carried_on)).flatten();
        recorder.begin_stage(index, from.is_some());
        if let Some(Kept { trained, epochs, seconds, peak_memory }) = cached {
            epochs.lines().try_for_each(|line| recorder.epoch(line))?;
            return Ok((TrainedStage { stage, epoch: trained.epoch, seconds, peak_memory, from_cache: true }, trained));
        }
        let mut on_epoch = |record: &EpochRecord| {
            progress.line(&epoch_line(record));
            recorder.epoch(&record.to_json()?)
        };
        let mut observers = Observers { on_epoch: &mut on_epoch, on_step: None, progress };
        let keeping = Keeping { recorder: Some(recorder), from };
        let (objective, parts) = (now.objective, now.parts);
        let trained = self.train(model, optimizer, index, objective, parts, around.data, &mut observers, keeping)?;
        let (seconds, peak_memory) = recorder.cost_of_stage();
        let what = TrainedStage { stage, epoch: trained.epoch, seconds, peak_memory, from_cache: false };
        self.keep_trained(key, &trained, carried_on, (&what, &recorder.epochs_of_stage()), progress);
        Ok((what, trained))
    }

    /// The table of the test patients.
    fn tested(&self, trained: &Trained, now: &Now<'_>, around: &Surroundings<'_>) -> Result<StageOutcome> {
        let best_on_valid = trained.best_on_valid.as_ref();
        let tested = Tested { model: &trained.model, stage: now.index, epoch: trained.epoch, best_on_valid };
        let (outcome, by_patient) = self.test(&tested, now.objective, now.parts, around.data, around.progress)?;
        by_patient.write(around.recorder.run(), &outcome.stage)?;
        Ok(outcome)
    }

    /// Writes weights, results and the report.
    fn conclude(&self, run: &RunDir, model: &Model, recorder: &Recorder<'_>) -> Result<Outcome> {
        save_weights(model, &run.file("model.safetensors"))?;
        let parameters = parameters(model).iter().map(|p| p.shape.iter().product::<usize>()).sum();
        let (trained, stages) = recorder.stages();
        let (name, device, seconds) = (self.manifest.name.clone(), self.device.name.clone(), recorder.seconds());
        let outcome = Outcome { name, device, parameters, seconds, trained, stages };
        run.write_json("result.json", &outcome)?;
        recorder.finish(&outcome)?;
        run.write_json(report::CHANGES, &self.source.differences())?;
        report::write_report(run)?;
        Ok(outcome)
    }

    /// Refuses prefixes of frozen parameters that the model lacks before anything trains; those of heads, which come with
    /// their stage, are looked at there.
    fn check_frozen_parts(&self, model: &Model) -> Result<()> {
        let prefixes = Prefixes::new(&self.manifest.model, model);
        let mut stages = self.manifest.stage.iter().enumerate();
        stages.try_for_each(|(index, stage)| prefixes.check_frozen_parts(stage, index))
    }
}

/// An epoch as a line.
fn epoch_line(record: &EpochRecord) -> String {
    let metrics = |part: &str, metrics: &Metrics| match metrics.is_empty() {
        true => String::new(),
        false => {
            let shown: Vec<String> = metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
            format!("  {part} {}", shown.join(" "))
        }
    };
    let (valid, test) = (metrics("valid", &record.valid), metrics("test", &record.test));
    let (stage, epoch, loss, seconds) = (&record.stage, record.epoch + 1, record.train_loss, record.seconds);
    format!("{stage} epoch {epoch}: loss {loss:.4}{valid}{test}  ({seconds:.1} s)")
}
