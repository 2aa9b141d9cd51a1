//! Running an experiment.

use super::manifest::{Stage, StageType};
use super::outcome::{Outcome, Row, StageOutcome};
use super::plan::{Experiment, to_toml};
use super::report;
use super::run_dir::RunDir;
use super::stages::stage_name;
use super::training::{Observers, Trained, check_frozen};
use crate::component::{Objective, ParserContext, Part};
use crate::data::{Examples, Prepared, prepare};
use crate::model::{Model, parameters, save_weights};
use crate::plugin::{LockedPlugin, PluginsLock, Stamp, guard};
use crate::progress::Silent;
use crate::train::{EpochRecord, Metrics, Optimizer, evaluate};
use crate::{Error, Progress, Result};
use serde_json::json;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The file of a run with a line an epoch.
const METRICS: &str = "metrics.jsonl";

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
        self.placed(guard::catch(|| self.prepared(progress)))
    }

    pub(super) fn prepared(&self, progress: &dyn Progress) -> Result<Prepared> {
        let parser = self.parser()?;
        let context = ParserContext { progress, compat: self.manifest.is_compat(), seed: self.manifest.seed };
        let parse = || {
            let cohort = parser.parse(&context).map_err(|e| e.within_key("data.parser"))?;
            cohort.validate()?;
            Ok(cohort)
        };
        let cohort = self.cohort(parser.as_ref(), parse, progress)?;
        let data = prepare(cohort, &self.manifest.data.split).map_err(|e| e.within_key("data.split"))?;
        Ok(self.with_precision(data))
    }

    /// Prepares the data, trains all stages and evaluates; returns the results and the run's folder.
    ///
    /// One run at a time: others of this process wait, because burn's generator is the process's and runs that drew from
    /// it in turns would not repeat. A run keeps all cores busy by itself.
    ///
    /// # Errors
    /// Leave no folder behind.
    pub fn run(&self, progress: &dyn Progress) -> Result<(Outcome, RunDir)> {
        static GENERATOR: Mutex<()> = Mutex::new(());
        let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
        self.placed(guard::catch(|| self.run_stages(progress)))
    }

    fn run_stages(&self, progress: &dyn Progress) -> Result<(Outcome, RunDir)> {
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
        let start = Instant::now();
        let text = to_toml(&self.manifest)?;
        let keys = self.stage_keys()?;
        let data = self.prepared(progress)?;
        let run = RunDir::create(&self.manifest.output.runs, &self.manifest.name, &text)?;
        let log = |line: &str| {
            progress.line(line);
            run.append("log.txt", line)
        };
        self.write_environment(&run)?;
        summarise(&data).iter().try_for_each(|line| log(line))?;
        let device = self.device.device.clone().autodiff();
        let mut notes = Vec::new();
        let mut model = self.model(&data, &device, |note| notes.push(note))?;
        notes.iter().try_for_each(|note| log(note))?;
        self.check_frozen_parts(&model)?;
        if let Some(note) = self.untrained_lab_layer(&model) {
            log(&note)?;
        }
        let mut optimizer = Optimizer::new();
        let (mut stages, mut history) = (Vec::new(), Vec::new());
        for (index, stage) in self.manifest.stage.iter().enumerate() {
            let name = stage_name(index, stage);
            let objective = self.objective(index)?;
            let parts = self.parts(objective.as_ref(), &data)?;
            model = self.enter_stage(model, index, objective.as_ref(), &data, &device)?;
            let before = Instant::now();
            let carried_on = self.carried_on(index);
            let trained = match self.trained_before(keys.get(index), &model, carried_on) {
                Some((trained, epochs)) => {
                    for line in epochs.lines() {
                        run.append(METRICS, line)?;
                        history.extend(serde_json::from_str(line).ok());
                    }
                    log(&format!("{name}: from the cache, kept epoch {}", trained.epoch + 1))?;
                    trained
                }
                None => {
                    let mut epochs = String::new();
                    let mut on_epoch = |record: &EpochRecord| {
                        progress.line(&epoch_line(record));
                        let line = record.to_json()?;
                        run.append(METRICS, &line)?;
                        epochs += &format!("{line}\n");
                        history.push(record.clone());
                        Ok(())
                    };
                    let mut observers = Observers { on_epoch: &mut on_epoch, on_step: None, progress };
                    let trained =
                        self.train(model, optimizer, index, objective.as_ref(), &parts, &data, &mut observers)?;
                    self.keep_trained(keys.get(index), &name, &trained, carried_on, &epochs, progress);
                    let seconds = before.elapsed().as_secs_f64();
                    log(&format!("{name}: {seconds:.1} s, kept epoch {}", trained.epoch + 1))?;
                    trained
                }
            };
            let (epoch, best_on_valid);
            Trained { model, optimizer, epoch, best_on_valid } = trained;
            save_weights(&model, &run.file(&format!("checkpoints/{name}.safetensors")))?;
            if stage.r#type == StageType::Finetune {
                let mut tested = self.test(&model, index, objective.as_ref(), &parts, &data, epoch)?;
                if let Some((best, model)) = best_on_valid {
                    let metrics = evaluate(&model, &data.graph, &parts.test, objective.as_ref(), &mut Silent);
                    let row = Row { name: format!("best on valid, epoch {}", best + 1), metrics };
                    tested.rows.insert(tested.rows.len() - 1, row);
                }
                stages.push(tested);
            }
            if index + 1 < self.manifest.stage.len() {
                model = model.keep_heads();
            }
        }
        save_weights(&model, &run.file("model.safetensors"))?;
        let parameters = parameters(&model).iter().map(|p| p.shape.iter().product::<usize>()).sum();
        let seconds = start.elapsed().as_secs_f64();
        let (name, device) = (self.manifest.name.clone(), self.device.name.clone());
        let outcome = Outcome { name, device, parameters, seconds, stages };
        run.write_json("result.json", &outcome)?;
        run.write("report.html", report::html(&outcome, &history, &text).as_bytes())?;
        Ok((outcome, run.finish()?))
    }

    /// Refuses prefixes of frozen parameters that the model lacks before anything trains; those of heads, which come with
    /// their stage, are looked at there.
    fn check_frozen_parts(&self, model: &Model) -> Result<()> {
        for (index, stage) in self.manifest.stage.iter().enumerate() {
            let mut stage = stage.clone();
            let of_heads = |prefix: &String| prefix.starts_with("heads") || prefix.starts_with("decoders");
            stage.freeze.iter_mut().for_each(|freeze| freeze.retain(|prefix| !of_heads(prefix)));
            check_frozen(&stage, index, model)?;
        }
        Ok(())
    }

    /// A line for experiments whose fine-tuning finds a lab layer that no stage has trained.
    fn untrained_lab_layer(&self, model: &Model) -> Option<String> {
        let stages = &self.manifest.stage;
        let first = stages.iter().position(|stage| stage.r#type == StageType::Finetune)?;
        let trained = stages[..first].iter().any(|stage| stage.r#type == StageType::Lab);
        let has_one = parameters(model).iter().any(|p| p.path.starts_with("lab."));
        let frozen = stages[first].freeze().iter().any(|prefix| prefix == "lab");
        (has_one && !trained).then(|| match frozen {
            true => "warning: the lab layer is random and frozen: no stage of type `lab` trains it".to_owned(),
            false => "the lab layer is trained by fine-tuning: there is no stage of type `lab` before it".to_owned(),
        })
    }

    /// Whether the optimizer of stage `index` goes on in the next.
    pub(super) fn carried_on(&self, index: usize) -> bool {
        self.manifest.stage.get(index + 1).is_some_and(Stage::carries_optimizer)
    }

    pub(super) fn parts(&self, objective: &dyn Objective, data: &Prepared) -> Result<Parts> {
        let examples = |part| objective.examples(data, part);
        Ok(Parts { train: examples(Part::Train)?, valid: examples(Part::Valid)?, test: examples(Part::Test)? })
    }

    pub(super) fn test(
        &self,
        model: &Model,
        index: usize,
        objective: &dyn Objective,
        parts: &Parts,
        data: &Prepared,
        epoch: usize,
    ) -> Result<StageOutcome> {
        let stage = &self.manifest.stage[index];
        if parts.test.is_empty() {
            return Err(Error::user("no test patient has examples for this objective")
                .at_key(format!("stage[{index}].{}", stage.objective().0))
                .help("give the split more test patients, or choose another task"));
        }
        let baseline = objective.baseline(model.head_specs(), &parts.train, &parts.test);
        let mut rows: Vec<Row> = baseline.into_iter().map(|(name, metrics)| Row { name, metrics }).collect();
        let metrics = evaluate(model, &data.graph, &parts.test, objective, &mut Silent);
        rows.push(Row { name: format!("{}, epoch {}", self.manifest.name, epoch + 1), metrics });
        let (stage, objective) = (stage_name(index, stage), stage.objective().1.r#type);
        Ok(StageOutcome { stage, objective, examples: parts.test.len(), epoch, rows })
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
    lines.extend(cohort.notes.iter().map(|(what, n)| format!("{what}: {n}")));
    lines
}
