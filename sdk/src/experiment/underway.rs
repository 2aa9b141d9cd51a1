//! A run under way: from the prepared data, or a checkpoint, through the stages to the results.

use super::cached::{Kept, StageCache};
use super::checkpoint::{Checkpoint, Inside};
use super::dataset::summarise;
use super::fingerprint::Fingerprint;
use super::made::{Made, Making, is_begun, untrained};
use super::model::{check_heads, fresh_model, led_to};
use super::outcome::{Outcome, StageOutcome, TrainedStage};
use super::patients::{PatientTable, patient_table};
use super::plan::Plan;
use super::prefixes::Prefixes;
use super::recorder::Recorder;
use super::records::{contents, count_parameters, write_data, write_environment};
use super::report::{CHANGES, Contents};
use super::run_dir::{METRICS, RunDir};
use super::stage::{OpenStage, check_stages};
use super::stop::Stop;
use super::tested::{Tested, test};
use super::tracking::Trackers;
use super::training::{Keeping, Observers, Trained, train};
use crate::cache::Cache;
use crate::data::Dataset;
use crate::model::{Model, parameters, save_weights};
use crate::train::{EpochRecord, Metrics, Optimizer, Start};
use crate::{Progress, Result};
use serde_json::Value;
use std::cell::RefCell;

/// Where a run stands: before its stage `next`, or inside it.
struct Standing {
    model: Model,
    optimizer: Optimizer,
    next: usize,
    /// The turn and the place in it, when the model and the optimizer are those of inside the stage.
    from: Option<(usize, Start)>,
}

/// A run that trains.
pub(super) struct Underway<'a> {
    plan: &'a Plan,
    data: &'a Dataset,
    /// The cache of what is made before the stages.
    kept: Option<&'a Cache>,
    cache: StageCache<'a>,
    stop: &'a Stop,
    recorder: Recorder<'a>,
    progress: &'a dyn Progress,
    /// What was written of the machine and of the data.
    environment: Value,
    fingerprint: Fingerprint,
    /// The stage that was tested last, and its metrics by patient.
    patients: RefCell<Option<(String, PatientTable)>>,
}

impl<'a> Underway<'a> {
    /// Opens the records of a run: those of a checkpoint go on.
    pub fn open(
        plan: &'a Plan,
        cache: Option<&'a Cache>,
        stop: &'a Stop,
        run: &'a RunDir,
        checkpoint: Option<&Checkpoint>,
        (data, fingerprint): (&'a Dataset, Fingerprint),
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let (kept, cache) = (cache, StageCache::new(plan, cache)?);
        let state = checkpoint.map(|c| c.state.clone()).unwrap_or_default();
        let lines: String = state.epochs.iter().map(|(_, line)| format!("{line}\n")).collect();
        run.write(METRICS, lines.as_bytes())?;
        let minutes = plan.manifest.output.checkpoint_minutes;
        let mut trackers = Trackers::start(&plan.manifest, run, (plan.text()?.as_str(), plan.table()?), progress)?;
        state.epochs.iter().try_for_each(|(record, _)| trackers.epoch(record, progress))?;
        let recorder = Recorder::new(run, progress, stop, minutes, state, trackers);
        let environment = write_environment(run, plan)?;
        write_data(run, data)?;
        fingerprint.write(run)?;
        run.status("running", "")?;
        match checkpoint {
            Some(_) => recorder.log("resumed from a checkpoint")?,
            None if is_begun(run) => recorder.log("resumed before the first stage")?,
            None => summarise(data).iter().try_for_each(|line| recorder.log(line))?,
        }
        let patients = RefCell::default();
        Ok(Self { plan, data, kept, cache, stop, recorder, progress, environment, fingerprint, patients })
    }

    /// Trains and tests what is left after a checkpoint, and writes the results.
    pub fn train(&self, checkpoint: Option<Checkpoint>) -> Result<Outcome> {
        check_stages(self.plan, self.data, checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.state.stage))?;
        let mut standing = self.begin(checkpoint)?;
        while standing.next < self.plan.manifest.stage.len() {
            standing = self.pass_stage(standing)?;
        }
        self.conclude(&standing.model)
    }

    /// The fresh model before the first stage, or what a checkpoint holds.
    fn begin(&self, checkpoint: Option<Checkpoint>) -> Result<Standing> {
        let (mut notes, device) = (Vec::new(), self.plan.training_device());
        let made = match &checkpoint {
            // It has the weights of all parts.
            Some(_) => untrained(self.plan)?,
            None => {
                // Vectors may train for long.
                if !self.plan.embeddings.is_empty() {
                    self.check(&fresh_model(self.plan, &untrained(self.plan)?, self.data, &device, |_| {})?)?;
                }
                self.made()?
            }
        };
        let model = fresh_model(self.plan, &made, self.data, &device, |note| notes.push(note))?;
        self.check(&model)?;
        if let Some(checkpoint) = checkpoint {
            return self.restore(checkpoint, model);
        }
        notes.extend(self.plan.recipe()?.notes(&self.plan.manifest.stage, &parameters(&model)));
        notes.iter().try_for_each(|note| self.recorder.log(note))?;
        Ok(Standing { model, optimizer: Optimizer::new(), next: 0, from: None })
    }

    /// Refuses stages that say something of parts which the model has not, before anything trains; prefixes of heads, which come
    /// with their stage, are looked at there.
    fn check(&self, model: &Model) -> Result<()> {
        let prefixes = Prefixes::new(model);
        let mut stages = self.plan.manifest.stage.iter().enumerate();
        stages.try_for_each(|(index, stage)| prefixes.check_frozen_parts(stage, index))?;
        check_heads(self.plan, self.data, model)
    }

    /// The folders of vectors that parts of the model name by manifests.
    fn made(&self) -> Result<Made> {
        let Self { plan, data, kept: cache, stop, ref recorder, progress, .. } = *self;
        let (run, log) = (Some(recorder.run()), &|line: &str| recorder.log(line));
        let (made, vectors) = Making { plan, data, cache, run, stop, progress, log }.trained()?;
        recorder.begin_with(vectors);
        Ok(made)
    }

    /// Leads a fresh model to where a checkpoint was written, and takes its weights and optimizer.
    fn restore(&self, checkpoint: Checkpoint, model: Model) -> Result<Standing> {
        let stage = checkpoint.state.stage;
        let (model, _) = led_to(self.plan, stage, self.data, model)?;
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
        let more = stage + 1 < self.plan.manifest.stage.len();
        let model = if more { model.keep_heads() } else { model };
        Standing { model, optimizer, next: stage + 1, from: None }
    }

    /// Trains the next stage, or takes it from the cache, and tests it.
    fn pass_stage(&self, standing: Standing) -> Result<Standing> {
        let Standing { mut model, optimizer, next: index, from } = standing;
        let stage = OpenStage::new(self.plan, index, self.data)?;
        if from.is_none() {
            model = stage.enter(model)?;
        }
        let (what, trained) = self.trained(model, optimizer, from, &stage)?;
        self.recorder.log(&what.line())?;
        let file = format!("checkpoints/{}.safetensors", stage.name());
        save_weights(&trained.model, &self.recorder.run().file(&file))?;
        let tested = stage.options().is_tested().then(|| self.tested(&trained, &stage)).transpose()?;
        let more = index + 1 < self.plan.manifest.stage.len();
        self.recorder.end_stage(what, tested, &trained.model, &trained.optimizer, more)?;
        Ok(self.after(index, trained.model, trained.optimizer))
    }

    /// The trained stage, from the cache where it was trained before.
    fn trained(
        &self,
        model: Model,
        optimizer: Optimizer,
        from: Option<(usize, Start)>,
        stage: &OpenStage<'_>,
    ) -> Result<(TrainedStage, Trained)> {
        let (index, name, recorder, progress) = (stage.index, stage.name(), &self.recorder, self.progress);
        let cached = from.is_none().then(|| self.cache.get(index, &model)).flatten();
        recorder.begin_stage(index, from.is_some());
        if let Some(Kept { trained, epochs, seconds, peak_memory }) = cached {
            epochs.iter().try_for_each(|(record, line)| recorder.epoch(record, line))?;
            let (stage, epoch) = (name, trained.epoch);
            return Ok((TrainedStage { stage, epoch, seconds, peak_memory, from_cache: true }, trained));
        }
        let mut on_epoch = |record: &EpochRecord| {
            progress.line(&epoch_line(record));
            recorder.epoch(record, &record.to_json()?)
        };
        let mut observers = Observers { on_epoch: &mut on_epoch, on_step: None, progress };
        let keeping = Keeping { recorder: Some(recorder), from };
        let trained = train(stage, model, optimizer, &mut observers, keeping)?;
        let (seconds, peak_memory) = recorder.cost_of_stage();
        let what = TrainedStage { stage: name, epoch: trained.epoch, seconds, peak_memory, from_cache: false };
        self.cache.put(index, &trained, &what, &recorder.epochs_of_stage(), progress);
        Ok((what, trained))
    }

    /// The table of the test patients.
    fn tested(&self, trained: &Trained, stage: &OpenStage<'_>) -> Result<StageOutcome> {
        let best_on_valid = trained.best_on_valid.as_ref();
        let tested = Tested { model: &trained.model, epoch: trained.epoch, best_on_valid };
        let (outcome, by_patient) = test(stage, &tested, self.progress)?;
        by_patient.write(self.recorder.run(), &outcome.stage)?;
        self.patients.replace(Some((outcome.stage.clone(), by_patient)));
        Ok(outcome)
    }

    /// Writes weights, results and the report.
    fn conclude(&self, model: &Model) -> Result<Outcome> {
        let (recorder, run) = (&self.recorder, self.recorder.run());
        save_weights(model, &run.file("model.safetensors"))?;
        let (trained, stages) = recorder.stages();
        let (name, device) = (self.plan.manifest.name.clone(), self.plan.device.name.clone());
        let (parameters, seconds) = (count_parameters(model), recorder.seconds());
        let vectors = recorder.vectors();
        let outcome = Outcome { name, device, parameters, seconds, vectors, trained, stages };
        run.write_json("result.json", &outcome)?;
        recorder.finish(&outcome)?;
        let changes = self.plan.source.differences();
        run.write_json(CHANGES, &changes)?;
        let patients = self.patients_of(outcome.stages.last());
        let contents = contents(self.plan, self.data, self.environment.clone(), outcome)?;
        let (history, fingerprint) = (recorder.history(), Some(self.fingerprint.clone()));
        let contents = Contents { history, changes, fingerprint, ..contents }.compared(run, patients);
        contents.write(run)?;
        Ok(contents.outcome)
    }

    /// The metrics by patient of a tested stage. Where it was tested before a checkpoint, they are in their file.
    fn patients_of(&self, tested: Option<&StageOutcome>) -> Option<PatientTable> {
        let stage = &tested?.stage;
        match self.patients.take() {
            Some((of, patients)) if of == *stage => Some(patients),
            _ => patient_table(self.recorder.run(), stage).ok().flatten(),
        }
    }
}

/// An epoch as a line.
fn epoch_line(record: &EpochRecord) -> String {
    let metrics = |split: &str, metrics: &Metrics| match metrics.is_empty() {
        true => String::new(),
        false => {
            let shown: Vec<String> = metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
            format!("  {split} {}", shown.join(" "))
        }
    };
    let (valid, test) = (metrics("valid", &record.valid), metrics("test", &record.test));
    let (stage, epoch, loss, seconds) = (&record.stage, record.epoch + 1, record.train_loss, record.seconds);
    format!("{stage} epoch {epoch}: loss {loss:.4}{valid}{test}  ({seconds:.1} s)")
}
