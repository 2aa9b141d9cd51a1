//! Running an experiment.

use super::assessed::Tested;
use super::cached::Kept;
use super::checkpoint::{Checkpoint, Inside};
use super::fingerprint::Fingerprint;
use super::identity::Identity;
use super::manifest::Stage;
use super::outcome::{Outcome, TrainedStage};
use super::plan::{Experiment, to_toml};
use super::prefixes::Prefixes;
use super::recorder::{METRICS, Recorder};
use super::report;
use super::run_dir::RunDir;
use super::tracking::Trackers;
use super::training::{Keeping, Observers, Trained};
use crate::boundary::guard;
use crate::cache::Key;
use crate::component::{Objective, ParserContext, Part};
use crate::data::{Examples, Prepared, flow, prepare};
use crate::device::generator;
use crate::model::{Model, parameters, save_weights};
use crate::plugin::{LockedPlugin, PluginsLock, Stamp};
use crate::train::{EpochRecord, Metrics, Optimizer, Start};
use crate::{Error, Progress, Result};
use serde_json::json;
use std::path::Path;

/// Examples of a stage.
pub(super) struct Parts {
    pub train: Examples,
    pub valid: Examples,
    pub test: Examples,
}

impl Experiment {
    /// Reads the raw tables and prepares cohort, vocabulary, split and graph.
    ///
    /// # Errors
    /// Name the file and line, or the manifest's.
    pub fn prepare(&self, progress: &dyn Progress) -> Result<Prepared> {
        let data = self.placed(guard::catch(|| self.prepared(progress)))?;
        losses(&data).iter().for_each(|line| progress.line(line));
        Ok(data)
    }

    pub(super) fn prepared(&self, progress: &dyn Progress) -> Result<Prepared> {
        let parser = self.parser()?;
        let context = ParserContext { progress, compat: self.manifest.is_compat(), seed: self.manifest.seed };
        let parse = || {
            let cohort = parser.parse(&context).map_err(|e| e.within_key("data.parser"))?;
            cohort.validate()?;
            Ok(cohort)
        };
        let mut cohort = self.cohort(parser.as_ref(), parse, progress)?;
        for (i, kind) in self.manifest.data.nodes.iter().enumerate() {
            if cohort.events(kind).is_none() {
                let error = Error::user(format!("this cohort has no `{kind}`")).at_key(format!("data.nodes[{i}]"));
                let kinds = cohort.events.iter().map(|events| events.kind.clone());
                return Err(error.suggest(kind, kinds).help("parsers read them when their options say so"));
            }
        }
        cohort.nodes = self.manifest.data.nodes.clone();
        if let Some(limit) = self.manifest.data.loss_limit {
            flow::check(&cohort.flow, limit).map_err(|e| e.within_key("data"))?;
        }
        let data = prepare(cohort, &self.manifest.data.split).map_err(|e| e.within_key("data.split"))?;
        Ok(self.with_precision(data))
    }

    /// Prepares the data, trains all stages and evaluates; returns the results and the run's folder.
    ///
    /// One run at a time: others of this process wait, because burn's generator is the process's and runs that drew from
    /// it in turns would not repeat. A run keeps all cores busy by itself.
    ///
    /// # Errors
    /// Leave no folder behind, or one that [`Experiment::resume`] goes on with.
    pub fn run(&self, progress: &dyn Progress) -> Result<(Outcome, RunDir)> {
        self.run_alone(false, progress)
    }

    /// The same from the last checkpoint of a run of the same [identity](super::Identity) that was killed, stopped or
    /// failed; anew where there is none. On the CPU, weights and metrics are those of a run that was never interrupted,
    /// to the bit.
    ///
    /// # Errors
    /// Those of [`Experiment::run`].
    pub fn resume(&self, progress: &dyn Progress) -> Result<(Outcome, RunDir)> {
        self.run_alone(true, progress)
    }

    fn run_alone(&self, resume: bool, progress: &dyn Progress) -> Result<(Outcome, RunDir)> {
        generator::alone(|| self.placed(guard::catch(|| self.run_stages(resume, progress))))
    }

    fn run_stages(&self, resume: bool, progress: &dyn Progress) -> Result<(Outcome, RunDir)> {
        if self.manifest.stage.is_empty() {
            return Err(
                Error::user("the manifest has no [[stage]]").help("`dualk prepare` needs none; `dualk run` does")
            );
        }
        if self.manifest.evaluate_only {
            return Err(Error::user("this manifest describes imported weights, and not how they were trained")
                .at_key("evaluate_only")
                .help("`dualk eval RUN` evaluates them; to train, start from experiments/mimic4.toml"));
        }
        let text = to_toml(&self.manifest)?;
        let identity = self.identity()?;
        let (left, checkpoint) = self.left(&identity, resume, progress);
        let data = self.prepared(progress)?;
        let output = &self.manifest.output;
        let run = match left {
            Some(run) => run,
            None => RunDir::create(&output.runs, &self.manifest.name, &identity, &text, output.access)?,
        };
        let listening = self.stop.listen();
        let trained = guard::catch(|| self.train_in(&run, checkpoint, &text, &data, progress));
        drop(listening);
        match trained {
            Ok(outcome) => Ok((outcome, run.finish()?)),
            Err(error) => Err(run.end_with(error)),
        }
    }

    /// The run to go on with and its last whole checkpoint, said in one line.
    fn left(&self, identity: &Identity, resume: bool, progress: &dyn Progress) -> (Option<RunDir>, Option<Checkpoint>) {
        let output = &self.manifest.output;
        let left = RunDir::unfinished(&output.runs, &self.manifest.name, identity, output.access);
        let Some(run) = left else {
            if resume {
                progress.line("no run of this experiment was interrupted: starting anew");
            }
            return (None, None);
        };
        let folder = run.path().display().to_string();
        if !resume {
            progress.line(&format!("starting anew; --resume would go on with {folder}"));
            return (None, None);
        }
        let damaged =
            |path: &Path, what: &str| progress.line(&format!("damaged checkpoint {}: {what}", path.display()));
        match Checkpoint::last(&run, damaged) {
            Some(checkpoint) => {
                let state = &checkpoint.state;
                let stage = self.manifest.stage[state.stage].name(state.stage);
                let place = match &state.inside {
                    Some(Inside { position, .. }) => {
                        format!("epoch {}, step {}", position.epoch + 1, position.step + 1)
                    }
                    None => "its end".to_owned(),
                };
                progress.line(&format!("going on with {folder}: stage {stage}, {place}"));
                (Some(run), Some(checkpoint))
            }
            None => {
                progress.line(&format!("no checkpoint in {folder} is whole: starting anew"));
                (None, None)
            }
        }
    }

    /// Trains and tests what is left after a checkpoint, and writes the results.
    fn train_in(
        &self,
        run: &RunDir,
        checkpoint: Option<Checkpoint>,
        text: &str,
        data: &Prepared,
        progress: &dyn Progress,
    ) -> Result<Outcome> {
        let keys = self.stage_keys()?;
        let state = checkpoint.as_ref().map(|c| c.state.clone()).unwrap_or_default();
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
        match &checkpoint {
            Some(_) => recorder.log("resumed from a checkpoint")?,
            None => summarise(data).iter().try_for_each(|line| recorder.log(line))?,
        }
        let device = self.device.device.clone().autodiff();
        let mut notes = Vec::new();
        let mut model = self.model(data, &device, |note| notes.push(note))?;
        if checkpoint.is_none() {
            notes.iter().try_for_each(|note| recorder.log(note))?;
            let has_lab = parameters(&model).iter().any(|p| p.path.starts_with("lab."));
            self.recipe()?.notes(&self.manifest.stage, has_lab).iter().try_for_each(|note| recorder.log(note))?;
        }
        self.check_frozen_parts(&model)?;
        let mut optimizer = Optimizer::new();
        let (mut first, mut from) = (0, None);
        if let Some(checkpoint) = checkpoint {
            first = checkpoint.state.stage;
            for index in 0..=first {
                let objective = self.objective(index)?;
                model = self.enter_stage(model, index, objective.as_ref(), data, &device)?;
                if index < first {
                    model = model.keep_heads();
                }
            }
            let (loaded, best, state) = checkpoint.load(model)?;
            (model, optimizer) = (loaded, state);
            match checkpoint.state.inside {
                Some(Inside { turn, position }) => from = Some((turn, Start { position, best })),
                None => {
                    first += 1;
                    if first < self.manifest.stage.len() {
                        model = model.keep_heads();
                    }
                }
            }
        }
        for index in first..self.manifest.stage.len() {
            (model, optimizer) =
                self.run_stage((model, optimizer), index, keys.get(index), data, from.take(), &recorder, progress)?;
        }
        save_weights(&model, &run.file("model.safetensors"))?;
        let parameters = parameters(&model).iter().map(|p| p.shape.iter().product::<usize>()).sum();
        let (trained, stages) = recorder.stages();
        let (name, device, seconds) = (self.manifest.name.clone(), self.device.name.clone(), recorder.seconds());
        let outcome = Outcome { name, device, parameters, seconds, trained, stages };
        run.write_json("result.json", &outcome)?;
        recorder.finish(&outcome)?;
        run.write_json(report::CHANGES, &self.source.differences())?;
        report::write_report(run)?;
        Ok(outcome)
    }

    /// Trains a stage, or takes it from the cache, and tests it; `from` is where its training was interrupted, the model
    /// and the optimizer being those of that place.
    #[allow(clippy::too_many_arguments)] // one call site; a struct would only rename them
    fn run_stage(
        &self,
        (mut model, optimizer): (Model, Optimizer),
        index: usize,
        key: Option<&Key>,
        data: &Prepared,
        from: Option<(usize, Start)>,
        recorder: &Recorder<'_>,
        progress: &dyn Progress,
    ) -> Result<(Model, Optimizer)> {
        let (stage, run) = (&self.manifest.stage[index], recorder.run());
        let name = stage.name(index);
        let objective = self.objective(index)?;
        let parts = self.parts(objective.as_ref(), data)?;
        if from.is_none() {
            let device = self.device.device.clone().autodiff();
            model = self.enter_stage(model, index, objective.as_ref(), data, &device)?;
        }
        let carried_on = self.carried_on(index);
        let cached = from.is_none().then(|| self.trained_before(key, &model, carried_on)).flatten();
        recorder.begin_stage(index, from.is_some());
        let (what, trained) = match cached {
            Some(Kept { trained, epochs, seconds, peak_memory }) => {
                epochs.lines().try_for_each(|line| recorder.epoch(line))?;
                let epoch = trained.epoch;
                (TrainedStage { stage: name.clone(), epoch, seconds, peak_memory, from_cache: true }, trained)
            }
            None => {
                let mut on_epoch = |record: &EpochRecord| {
                    progress.line(&epoch_line(record));
                    recorder.epoch(&record.to_json()?)
                };
                let mut observers = Observers { on_epoch: &mut on_epoch, on_step: None, progress };
                let keeping = Keeping { recorder: Some(recorder), from };
                let objective = objective.as_ref();
                let trained = self.train(model, optimizer, index, objective, &parts, data, &mut observers, keeping)?;
                let (epoch, (seconds, peak_memory)) = (trained.epoch, recorder.cost_of_stage());
                let what = TrainedStage { stage: name.clone(), epoch, seconds, peak_memory, from_cache: false };
                self.keep_trained(key, &trained, carried_on, (&what, &recorder.epochs_of_stage()), progress);
                (what, trained)
            }
        };
        recorder.log(&what.line())?;
        let Trained { model, optimizer, epoch, best_on_valid } = trained;
        save_weights(&model, &run.file(&format!("checkpoints/{name}.safetensors")))?;
        let mut tested = None;
        if stage.is_tested() {
            let trained = Tested { model: &model, stage: index, epoch, best_on_valid: best_on_valid.as_ref() };
            let (outcome, by_patient) = self.test(&trained, objective.as_ref(), &parts, data, progress)?;
            by_patient.write(run, &outcome.stage)?;
            tested = Some(outcome);
        }
        let more = index + 1 < self.manifest.stage.len();
        recorder.end_stage(what, tested, &model, &optimizer, more)?;
        Ok((if more { model.keep_heads() } else { model }, optimizer))
    }

    /// Refuses prefixes of frozen parameters that the model lacks before anything trains; those of heads, which come with
    /// their stage, are looked at there.
    fn check_frozen_parts(&self, model: &Model) -> Result<()> {
        let prefixes = Prefixes::new(&self.manifest.model, model);
        let mut stages = self.manifest.stage.iter().enumerate();
        stages.try_for_each(|(index, stage)| prefixes.check_frozen_parts(stage, index))
    }

    /// Whether the optimizer of stage `index` goes on in the next.
    pub(super) fn carried_on(&self, index: usize) -> bool {
        self.manifest.stage.get(index + 1).is_some_and(Stage::carries_optimizer)
    }

    pub(super) fn parts(&self, objective: &dyn Objective, data: &Prepared) -> Result<Parts> {
        let examples = |part| objective.examples(data, part);
        Ok(Parts { train: examples(Part::Train)?, valid: examples(Part::Valid)?, test: examples(Part::Test)? })
    }

    pub(super) fn write_environment(&self, run: &RunDir) -> Result<()> {
        let stamp = Stamp::current();
        let fields: serde_json::Map<_, _> = stamp.fields().into_iter().map(|(k, v)| (k.to_owned(), json!(v))).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let environment = json!({ "sdk": fields, "device": self.device.name, "threads": threads });
        run.write_json("environment.json", &environment)?;
        let plugins = self.registry.plugins().iter().map(LockedPlugin::from).collect();
        run.write("plugins.lock", PluginsLock::text(plugins)?.as_bytes())
    }
}

/// What is known of the data: its sizes, what was left out, and the vocabulary with the names of codes.
pub(super) fn write_data(run: &RunDir, data: &Prepared) -> Result<()> {
    run.write_json("summary.json", &data.summary())?;
    run.write_json("vocabulary.json", &data.names())
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

/// The data in a few lines.
fn summarise(data: &Prepared) -> Vec<String> {
    let (cohort, vocabulary, split) = (&data.cohort, &data.vocabulary, &data.split);
    let pairs = (data.graph.nodes() as f64 - 1.0).powi(2).max(1.0);
    let mut lines = vec![
        format!(
            "{} patients, {} admissions, {} codes ({} to predict), {} lab items",
            cohort.patients.len(),
            cohort.admissions.values().len(),
            vocabulary.codes.len() - 1,
            vocabulary.target_codes,
            vocabulary.labs.len()
        ),
        format!(
            "split: {} pretrain, {} train, {} valid, {} test",
            split.pretrain.len(),
            split.train.len(),
            split.valid.len(),
            split.test.len()
        ),
        format!(
            "graph: {} nodes, {} edges ({:.1} % of pairs)",
            data.graph.nodes(),
            data.graph.edges(),
            100.0 * data.graph.edges() as f64 / pairs
        ),
    ];
    lines.extend(losses(data));
    lines
}

/// What was left out between tables and cohort: a table, and a warning for each large loss.
fn losses(data: &Prepared) -> Vec<String> {
    let cohort = &data.cohort;
    let table = flow::table(&cohort.flow);
    let notes = cohort.notes.iter().map(|(what, n)| format!("{what}: {n}"));
    table.lines().map(str::to_owned).chain(notes).chain(flow::warnings(&cohort.flow)).collect()
}
