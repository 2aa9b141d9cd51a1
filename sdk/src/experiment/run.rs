//! Running an experiment.

use super::checkpoint::{Checkpoint, Inside};
use super::identity::Identity;
use super::manifest::Stage;
use super::outcome::Outcome;
use super::plan::{Experiment, to_toml};
use super::run_dir::RunDir;
use crate::boundary::guard;
use crate::component::{Objective, ParserContext, Part};
use crate::data::{Examples, Prepared, flow, prepare};
use crate::device::generator;
use crate::plugin::{LockedPlugin, PluginsLock, Stamp};
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
            let parse = || parser.parse(&context).map_err(|e| e.within_key("data.parser"));
            let cohort = self.undisturbed(parser.as_ref(), parse)?;
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
        // What the name and the record of the run say was read is what was read.
        if let Some(what) = identity.differences(&self.identity()?).first() {
            return Err(Error::user(format!("a file changed while it was read: {what}"))
                .help("wait until whatever writes it is done, and begin again"));
        }
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

/// The data in a few lines.
pub(super) fn summarise(data: &Prepared) -> Vec<String> {
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
