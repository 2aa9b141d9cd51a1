//! Evaluating a finished run again, writing its predictions, and making a run of weights from elsewhere.

use super::assessed::{About, Tested, about_of};
use super::manifest::Manifest;
use super::outcome::{Outcome, StageOutcome};
use super::plan::{Experiment, to_toml};
use super::report;
use super::run::write_data;
use super::run_dir::RunDir;
use crate::boundary::guard;
use crate::cache::Cache;
use crate::component::{HeadSpec, Objective};
use crate::data::columns::{Values, write_parquet};
use crate::data::{Examples, Prepared};
use crate::model::{Model, load_weights, parameters, save_weights};
use crate::plugin::Registry;
use crate::progress::Silent;
use crate::train::predict;
use crate::{Error, Progress, Result};
use std::path::Path;
use std::time::Instant;

/// How a run is evaluated again.
#[derive(Debug, Default)]
pub struct Evaluation<'a> {
    /// A checkpoint of the run, instead of its final weights.
    pub checkpoint: Option<&'a Path>,
    /// Where the logits of the test examples go, as a Parquet file.
    pub predictions: Option<&'a Path>,
    /// Where the cohort may come from.
    pub cache: Option<Cache>,
}

impl Experiment {
    /// Repeats the evaluation of a run from its weights.
    ///
    /// # Errors
    /// When the run or its data cannot be read, the checkpoint belongs to no stage of it, or the predictions cannot be
    /// written.
    pub fn evaluate_run(
        folder: &Path,
        evaluation: Evaluation<'_>,
        registry: Registry,
        progress: &dyn Progress,
    ) -> Result<Outcome> {
        let run = RunDir::open(folder)?;
        let plan = Self::new(Manifest::load(&run.file("manifest.toml"), &[])?, registry)?;
        let plan = plan.with_cache(evaluation.cache.clone());
        plan.placed(guard::catch(|| plan.evaluate_again(&run, &evaluation, progress)))
    }

    fn evaluate_again(&self, run: &RunDir, evaluation: &Evaluation<'_>, progress: &dyn Progress) -> Result<Outcome> {
        let start = Instant::now();
        let stage = self.stage_of(evaluation.checkpoint)?;
        let file = evaluation.checkpoint.map_or_else(|| run.file("model.safetensors"), Path::to_owned);
        let data = self.prepared(progress)?;
        let (model, objective) = self.model_of_stage(stage, &file, &data)?;
        let parts = self.parts(objective.as_ref(), &data)?;
        if let Some(out) = evaluation.predictions {
            write_predictions(&model, &parts.test, &data, out)?;
        }
        let recorded = run.outcome()?;
        let name = self.manifest.stage[stage].name(stage);
        let before = recorded.stages.iter().find(|s| s.stage == name);
        let trained = recorded.trained.iter().find(|s| s.stage == name).map(|s| s.epoch);
        let epoch = trained.or(before.map(|s| s.epoch)).unwrap_or(0);
        let tested = Tested { model: &model, stage, epoch, best_on_valid: None };
        let (tested, _) = self.test(&tested, objective.as_ref(), &parts, &data, progress)?;
        self.compare(run, before, &tested, progress)?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Outcome { seconds, device: self.device.name.clone(), stages: vec![tested], ..recorded })
    }

    /// Says what differs from what the run recorded: metrics of the same weights, and what may have changed them.
    fn compare(
        &self,
        run: &RunDir,
        recorded: Option<&StageOutcome>,
        now: &StageOutcome,
        progress: &dyn Progress,
    ) -> Result<()> {
        let causes = match run.identity() {
            Some(then) => then.differences(&self.identity()?),
            None => Vec::new(),
        };
        let last = |outcome: &StageOutcome| outcome.model().map(|row| row.metrics.clone()).unwrap_or_default();
        let mut differing = Vec::new();
        for (name, then) in recorded.map(last).unwrap_or_default() {
            let value = last(now).into_iter().find(|(other, _)| *other == name).map(|(_, value)| value);
            // Reading JSON may change the last digit.
            if let Some(value) = value.filter(|value| (value - then).abs() > 1e-12) {
                differing.push(format!("{name} was {then:.4} and is {value:.4}"));
            }
        }
        if !differing.is_empty() {
            progress.line(&format!("warning: this is not what the run recorded: {}", differing.join(", ")));
        }
        for cause in &causes {
            progress.line(&format!("warning: since the run, something changed: {cause}"));
        }
        Ok(())
    }

    /// Makes a run of weights that were trained elsewhere: those of the last stage, by the names of its parameters. The
    /// run can be evaluated, and its manifest be run to train anew.
    ///
    /// # Errors
    /// When the data cannot be read or the weights do not fit the model; nothing is left behind.
    pub fn adopt(&self, weights: &Path, progress: &dyn Progress) -> Result<(Outcome, RunDir)> {
        self.placed(guard::catch(|| self.adopt_weights(weights, progress)))
    }

    fn adopt_weights(&self, weights: &Path, progress: &dyn Progress) -> Result<(Outcome, RunDir)> {
        let start = Instant::now();
        let text = to_toml(&self.manifest)?;
        let data = self.prepared(progress)?;
        let stage = self.stage_of(None)?;
        let (model, objective) = self.model_of_stage(stage, weights, &data)?;
        let parts = self.parts(objective.as_ref(), &data)?;
        let output = &self.manifest.output;
        let identity = self.identity()?;
        let run = RunDir::create(&output.runs, &self.manifest.name, &identity, &text, output.access)?;
        self.write_environment(&run)?;
        write_data(&run, &data)?;
        let name = self.manifest.stage[stage].name(stage);
        save_weights(&model, &run.file(&format!("checkpoints/{name}.safetensors")))?;
        save_weights(&model, &run.file("model.safetensors"))?;
        let tested = Tested { model: &model, stage, epoch: 0, best_on_valid: None };
        let (tested, by_patient) = self.test(&tested, objective.as_ref(), &parts, &data, progress)?;
        let outcome = Outcome {
            name: self.manifest.name.clone(),
            device: self.device.name.clone(),
            parameters: parameters(&model).iter().map(|p| p.shape.iter().product::<usize>()).sum(),
            seconds: start.elapsed().as_secs_f64(),
            trained: Vec::new(),
            stages: vec![tested],
        };
        run.append("log.txt", "weights from elsewhere; nothing was trained")?;
        run.write("metrics.jsonl", b"")?;
        run.write_json("result.json", &outcome)?;
        by_patient.write(&run, &name)?;
        report::write_report(&run)?;
        Ok((outcome, run.finish()?))
    }

    /// The stage that a checkpoint is of; the last without one.
    pub(super) fn stage_of(&self, checkpoint: Option<&Path>) -> Result<usize> {
        let stages = &self.manifest.stage;
        let last = stages.len().checked_sub(1).ok_or_else(|| Error::user("the manifest has no [[stage]]"))?;
        match checkpoint.and_then(|c| c.file_stem()).and_then(|s| s.to_str()) {
            None | Some("model") => Ok(last),
            Some(stem) => {
                let names: Vec<String> = stages.iter().enumerate().map(|(i, s)| s.name(i)).collect();
                names.iter().position(|name| name == stem).ok_or_else(|| {
                    Error::user(format!("the checkpoint `{stem}` belongs to no stage of the run")).suggest(stem, names)
                })
            }
        }
    }

    /// The model of a stage with the weights in a file, and what the stage learns.
    pub(super) fn model_of_stage(
        &self,
        stage: usize,
        weights: &Path,
        data: &Prepared,
    ) -> Result<(Model, Box<dyn Objective>)> {
        let device = self.device.device.clone().autodiff();
        let mut model = self.model(data, &device, |_| {})?;
        for index in 0..stage {
            let objective = self.objective(index)?;
            model = self.enter_stage(model, index, objective.as_ref(), data, &device)?.keep_heads();
        }
        let objective = self.objective(stage)?;
        model = self.enter_stage(model, stage, objective.as_ref(), data, &device)?;
        Ok((load_weights(model, weights)?, objective))
    }
}

/// The patient of each example, by index; `None` when examples are no patients with visits.
pub(super) fn patients_of(examples: &Examples, data: &Prepared) -> Option<Vec<usize>> {
    let offsets = data.cohort.admissions.offsets();
    let patient = |i: usize| {
        let first = *examples.visits.row(i).first()? as usize;
        offsets.partition_point(|&o| o <= first).checked_sub(1)
    };
    (0..examples.len()).map(patient).collect()
}

/// Writes the logits of all heads: a row an example with `patient`, `admission` (the one that is predicted), `time` (when that
/// began, in seconds since 1970, where the source has it), `visits` (how many are seen) and `targets` (the labels that are
/// true), where targets are numbers a column of them, then a column a label, named by the code where labels are the codes to predict, else by head and number.
fn write_predictions(model: &Model, examples: &Examples, data: &Prepared, out: &Path) -> Result<()> {
    let about: Option<Vec<About>> = about_of(examples, data).into_iter().collect();
    let Some(about) = about else {
        return Err(Error::user("the examples of this stage are no patients with visits: they have no predictions")
            .help("give a checkpoint of a stage that does, or none"));
    };
    let rows = about.len();
    let names: Vec<Vec<String>> = model.head_specs().iter().map(|spec| label_names(spec, data)).collect();
    // What all visits tell is asked of no visit in particular.
    let row = |a: &About| Some(a.last + 1).filter(|_| a.visits < a.of);
    let target = |a: &About| data.cohort.admissions.values().get(row(a)?).copied();
    let time = |a: &About| data.cohort.admission_facts.get(row(a)?)?.start;
    let truth = (0..rows).map(|i| {
        let each = examples.targets.iter().zip(&names);
        each.flat_map(|(targets, names)| targets.row(i).iter().map(|&c| names[c as usize].as_str())).collect::<Vec<_>>()
    });
    let mut columns = vec![
        ("patient".to_owned(), data.cohort.patient_column(&about.iter().map(|a| a.index).collect::<Vec<usize>>())),
        ("admission".to_owned(), about.iter().map(target).collect::<Vec<Option<i64>>>().into()),
        ("time".to_owned(), about.iter().map(time).collect::<Vec<Option<i64>>>().into()),
        ("visits".to_owned(), about.iter().map(|a| a.visits as u32).collect::<Vec<u32>>().into()),
        ("targets".to_owned(), Values::text_lists(truth)),
    ];
    for (head, spec) in model.head_specs().iter().enumerate().filter(|(head, _)| !examples.numbers_of(*head).is_empty())
    {
        for column in 0..spec.outputs {
            let numbers: Vec<f32> =
                examples.numbers_of(head).iter().skip(column).step_by(spec.outputs).copied().collect();
            columns.push((format!("{}:{column}:target", spec.name), numbers.into()));
        }
    }
    let logits = predict(model, &data.graph, examples, &mut Silent);
    for (names, logits) in names.into_iter().zip(&logits) {
        let width = names.len();
        for (label, name) in names.into_iter().enumerate() {
            let values: Vec<f32> = (0..rows).map(|row| logits[row * width + label]).collect();
            columns.push((name, values.into()));
        }
    }
    write_parquet(out, columns)
}

/// The labels of a head, as predictions name them.
fn label_names(spec: &HeadSpec, data: &Prepared) -> Vec<String> {
    match spec.outputs == data.vocabulary.target_codes {
        true => data.vocabulary.codes[1..=spec.outputs].to_vec(),
        false => (0..spec.outputs).map(|label| format!("{}:{label}", spec.name)).collect(),
    }
}
