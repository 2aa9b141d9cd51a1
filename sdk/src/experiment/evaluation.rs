//! Evaluating a finished run again, and making a run of weights from elsewhere.

use super::dataset::dataset;
use super::fingerprint::Fingerprint;
use super::inputs::identity;
use super::made::untrained;
use super::model::{fresh_model, led_to};
use super::outcome::{Outcome, StageOutcome};
use super::plan::Plan;
use super::predictions::{check_replaceable, write_predictions};
use super::records::{contents, count_parameters, create_run, write_data, write_environment};
use super::run_dir::RunDir;
use super::stage::OpenStage;
use super::tested::{Tested, test};
use crate::cache::Cache;
use crate::component::Objective;
use crate::data::Dataset;
use crate::model::{Model, Weights, save_weights};
use crate::train::Metrics;
use crate::{Error, Progress, Result};
use serde_json::Value;
use std::fs;
use std::io::ErrorKind;
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

/// Repeats the evaluation of a run from its weights.
pub(super) fn evaluate(
    plan: &Plan,
    cache: Option<&Cache>,
    run: &RunDir,
    evaluation: &Evaluation<'_>,
    progress: &dyn Progress,
) -> Result<Outcome> {
    let start = Instant::now();
    let index = stage_of(plan, evaluation.checkpoint)?;
    evaluation.predictions.map(check_replaceable).transpose()?;
    let file = evaluation.checkpoint.map_or_else(|| run.file("model.safetensors"), Path::to_owned);
    let data = dataset(plan, cache, progress)?;
    evaluation.predictions.map(|_| check_names(run, &data, &[&CODE_NAMES[..], &OTHER_NAMES].concat())).transpose()?;
    // Before anything is computed or written: of a file that is broken nobody knows.
    let changes = changes(plan, run, &data)?;
    let (model, objective) = model_of_stage(plan, index, Weights::read(&file)?, &data)?;
    let stage = OpenStage::with(plan, index, &data, objective)?;
    if let Some(out) = evaluation.predictions {
        write_predictions(&model, &stage, out)?;
    }
    let recorded = run.outcome()?;
    let name = stage.name();
    let before = recorded.stages.iter().find(|s| s.stage == name);
    let trained = recorded.trained.iter().find(|s| s.stage == name).map(|s| s.epoch);
    let epoch = trained.or(before.map(|s| s.epoch)).unwrap_or(0);
    let (tested, _) = test(&stage, &Tested { model: &model, epoch, best_on_valid: None }, progress)?;
    compare(before, &tested, progress);
    changes.iter().for_each(|line| progress.line(line));
    let seconds = start.elapsed().as_secs_f64();
    Ok(Outcome { seconds, device: plan.device.name.clone(), stages: vec![tested], ..recorded })
}

/// Says which metrics of the same weights differ from what the run recorded.
fn compare(recorded: Option<&StageOutcome>, now: &StageOutcome, progress: &dyn Progress) {
    let last = |outcome: &StageOutcome| outcome.model().map(|row| row.metrics.clone()).unwrap_or_default();
    let differing = recorded.map(|then| differing(&last(then), &last(now))).unwrap_or_default();
    if !differing.is_empty() {
        progress.line(&format!("warning: this is not what the run recorded: {}", differing.join(", ")));
    }
}

/// What is said of a run that does not say what decided its results.
const UNKNOWN: &str =
    "warning: this run does not say what it was made from, so that what has changed since cannot be told";

/// What has changed since a run, a line each; or that nobody can tell.
///
/// # Errors
/// When what the run was made from cannot be read.
pub(super) fn changes(plan: &Plan, run: &RunDir, data: &Dataset) -> Result<Vec<String>> {
    let Some(then) = run.read_identity()? else { return Ok(vec![UNKNOWN.to_owned()]) };
    let now = identity(plan)?.with_prepared(Fingerprint::of(data).prepared());
    let causes = then.differences(&now);
    Ok(causes.into_iter().map(|cause| format!("warning: since the run, something changed: {cause}")).collect())
}

/// Keys of the vocabulary by which vectors of a run are called.
pub(super) const CODE_NAMES: [&str; 2] = ["code_map", "code_map_pretrain"];
/// Those by which logits are called, too: items, and what drugs and other codes of further kinds are.
const OTHER_NAMES: [&str; 2] = ["labs", "events"];

/// Refuses data whose names are not those that the weights of a run are of, and would be called by; `keys` are those of its
/// vocabulary that are used.
///
/// # Errors
/// Name the vocabulary of the run.
pub(super) fn check_names(run: &RunDir, data: &Dataset, keys: &[&str]) -> Result<()> {
    let file = run.file("vocabulary.json");
    let text = match fs::read(&file) {
        Ok(text) => text,
        // Scrubbed runs have none.
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("read", &file, e)),
    };
    let then: Value = serde_json::from_slice(&text)
        .map_err(|e| Error::user(format!("this is no vocabulary of a run: {e}")).at_file(&file))?;
    let now = data.names();
    // Those of older versions lack some.
    let differ = |key: &&&str| !then[**key].is_null() && then[**key] != now[**key];
    match keys.iter().find(differ) {
        None => Ok(()),
        Some(key) => {
            let what = format!(
                "the data has other names in `{key}` than the run, by which its vectors and logits would be called"
            );
            Err(Error::user(what).at_file(&file).help("`dualk eval RUN` says what has changed since the run"))
        }
    }
}

/// What each recorded metric was, and is, where that differs: undefined then or now alone, or no more there.
fn differing(then: &Metrics, now: &Metrics) -> Vec<String> {
    let said = |value: f64| if value.is_nan() { "undefined".to_owned() } else { format!("{value:.4}") };
    // Reading JSON may change the last digit.
    let is_same = |then: f64, now: f64| then == now || (then - now).abs() <= 1e-12 || then.is_nan() && now.is_nan();
    let differs = |(name, then): &(String, f64)| match now.iter().find(|(other, _)| other == name) {
        Some((_, now)) if is_same(*then, *now) => None,
        Some((_, now)) => Some(format!("{name} was {} and is {}", said(*then), said(*now))),
        None => Some(format!("{name} was {} and is missing", said(*then))),
    };
    then.iter().filter_map(differs).collect()
}

/// Makes a run of weights that were trained elsewhere.
pub(super) fn adopt(
    plan: &Plan,
    cache: Option<&Cache>,
    weights: Weights,
    progress: &dyn Progress,
) -> Result<(Outcome, RunDir)> {
    let start = Instant::now();
    let data = dataset(plan, cache, progress)?;
    let index = stage_of(plan, None)?;
    let (model, objective) = model_of_stage(plan, index, weights, &data)?;
    let stage = OpenStage::with(plan, index, &data, objective)?;
    let run = create_run(plan, &identity(plan)?.with_prepared(Fingerprint::of(&data).prepared()))?;
    let environment = write_environment(&run, plan)?;
    write_data(&run, &data)?;
    let name = stage.name();
    save_weights(&model, &run.file(&format!("checkpoints/{name}.safetensors")))?;
    save_weights(&model, &run.file("model.safetensors"))?;
    let (tested, by_patient) = test(&stage, &Tested { model: &model, epoch: 0, best_on_valid: None }, progress)?;
    let outcome = Outcome {
        name: plan.manifest.name.clone(),
        device: plan.device.name.clone(),
        parameters: count_parameters(&model),
        seconds: start.elapsed().as_secs_f64(),
        vectors: Vec::new(),
        trained: Vec::new(),
        stages: vec![tested],
    };
    run.append("log.txt", "weights from elsewhere; nothing was trained")?;
    run.write("metrics.jsonl", b"")?;
    run.write_json("result.json", &outcome)?;
    by_patient.write(&run, &name)?;
    let contents = contents(plan, &data, environment, outcome)?.compared(&run, Some(by_patient));
    contents.write(&run)?;
    Ok((contents.outcome, run.finish()?))
}

/// The stage that a checkpoint is of; the last without one.
pub(super) fn stage_of(plan: &Plan, checkpoint: Option<&Path>) -> Result<usize> {
    let stages = &plan.manifest.stage;
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

/// The model of a stage with these weights, and what the stage learns.
pub(super) fn model_of_stage(
    plan: &Plan,
    stage: usize,
    weights: Weights,
    data: &Dataset,
) -> Result<(Model, Box<dyn Objective>)> {
    let model = fresh_model(plan, &untrained(plan)?, data, &plan.training_device(), |_| {})?;
    let (model, objective) = led_to(plan, stage, data, model)?;
    Ok((weights.put_into(model)?, objective))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_differs_where_one_side_is_undefined_or_absent() {
        let of = |metrics: &[(&str, f64)]| {
            metrics.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect::<Metrics>()
        };
        let then = of(&[("AUC", f64::NAN), ("AP", 0.5), ("F1-w", 0.25), ("R@10", 0.5), ("R@20", f64::NAN)]);
        let now = of(&[("AUC", 0.75), ("AP", f64::NAN), ("F1-w", 0.25 + 1e-13), ("R@20", f64::NAN), ("ECE", 0.1)]);
        let expected =
            ["AUC was undefined and is 0.7500", "AP was 0.5000 and is undefined", "R@10 was 0.5000 and is missing"];
        assert_eq!(differing(&then, &now), expected);
        assert!(differing(&then, &then).is_empty());
        assert_eq!(differing(&of(&[("a", 1.0)]), &of(&[("a", 2.0)])), ["a was 1.0000 and is 2.0000"]);
    }
}
