//! The test of a stage: a table of baselines, the model and oracles, and the same by patient.

use super::components::input_options;
use super::oracles::oracles;
use super::outcome::{Row, StageOutcome};
use super::patients::PatientTable;
use super::stage::{OpenStage, SplitExamples};
use super::table::Table;
use crate::model::Model;
use crate::progress::Silent;
use crate::train::{BaselineContext, Metrics, Scale, Scored, baselines, evaluate, log_loss, predict, predict_blocks};
use crate::{Progress, Result};

/// A model to test.
pub(super) struct Tested<'a> {
    pub model: &'a Model,
    /// The epoch of its weights, from 0.
    pub epoch: usize,
    /// Epoch and model that were best on valid, where others were selected.
    pub best_on_valid: Option<&'a (usize, Model)>,
}

/// Tests a model: the table, and the values of each patient for every row of it.
pub(super) fn test(
    stage: &OpenStage<'_>,
    tested: &Tested<'_>,
    progress: &dyn Progress,
) -> Result<(StageOutcome, PatientTable)> {
    stage.check_testable()?;
    let heads = tested.model.head_specs();
    let mut scored = baseline_scores(stage, tested.model, progress)?;
    let scale = Scale::of_model(stage.objective.as_ref(), stage.plan.loss(stage.index)?.as_ref());
    scored.extend(model_scores(stage, tested, scale));
    scored.extend(oracles(stage, tested.model)?);
    let (mut rows, by_patient) = Table::new(stage, heads).rows(&scored);
    if let Some(row) = rows.iter_mut().rev().find(|row: &&mut Row| !row.is_oracle()) {
        row.measures.extend(on_valid(stage, tested.model, scale));
    }
    let objective = stage.options().objective().1.r#type;
    let outcome = StageOutcome {
        stage: stage.name(),
        inputs: Some(input_options(&stage.plan.registry, &objective)),
        objective,
        primary: Some(stage.objective.primary().to_owned()),
        examples: stage.splits.test.len(),
        patients: Some(by_patient.number()),
        epoch: tested.epoch,
        caption: stage.caption(tested.model),
        rows,
    };
    Ok((outcome, by_patient))
}

/// Scores of rules that learn nothing or little, unless the manifest leaves them out.
fn baseline_scores(stage: &OpenStage<'_>, model: &Model, progress: &dyn Progress) -> Result<Vec<Scored>> {
    let manifest = &stage.plan.manifest;
    if !manifest.output.baselines {
        return Ok(Vec::new());
    }
    let task = progress.begin("baselines", "", None);
    let by_visit = model.tells_visits_apart();
    let labs = stage.plan.sees_labs(by_visit);
    let SplitExamples { train, valid, test } = &stage.splits;
    let (data, objective, heads) = (stage.data, stage.objective.as_ref(), model.head_specs());
    let graph_regression = manifest.output.graph_regression;
    let context = BaselineContext { data, objective, heads, train, valid, test, labs, by_visit, graph_regression };
    let found = baselines(&context)?;
    task.finish("");
    let is_shown = |scored: &Scored| scored.name.ends_with(", with knowledge");
    if graph_regression && !found.iter().any(is_shown) {
        progress.line("output.graph_regression shows nothing here: it needs data.knowledge, and a task that asks for several codes");
    }
    Ok(found)
}

/// Scores of the model, after those of the weights that were best on valid where others were selected.
fn model_scores(stage: &OpenStage<'_>, tested: &Tested<'_>, scale: Scale) -> Vec<Scored> {
    let scored = |name: String, model: &Model| {
        let heads = predict(model, &stage.data.graph, &stage.splits.test, &mut Silent);
        Scored { name, heads, scale, chosen: Vec::new() }
    };
    let best = tested.best_on_valid.map(|(epoch, model)| scored(format!("best on valid, epoch {}", epoch + 1), model));
    let name = format!("{}, epoch {}", stage.plan.manifest.name, tested.epoch + 1);
    best.into_iter().chain([scored(name, tested.model)]).collect()
}

/// What stands beside the loss on test, to see what was learnt by heart: that on valid, where targets are numbers the metrics
/// on valid. Nothing where nobody is in that split, or nothing says how likely labels are.
fn on_valid(stage: &OpenStage<'_>, model: &Model, scale: Scale) -> Metrics {
    let (valid, objective) = (&stage.splits.valid, stage.objective.as_ref());
    match objective.link() {
        _ if valid.is_empty() => Vec::new(),
        None if !scale.is_probable() => Vec::new(),
        None => vec![("valid log loss".to_owned(), valid_log_loss(stage, model, scale))],
        Some(_) => {
            let metrics = evaluate(model, &stage.data.graph, valid, objective, &mut Silent).into_iter();
            metrics.map(|(name, value)| (format!("valid {name}"), value)).collect()
        }
    }
}

/// The mean loss of a model on valid, over heads.
fn valid_log_loss(stage: &OpenStage<'_>, model: &Model, scale: Scale) -> f64 {
    let valid = &stage.splits.valid;
    let heads = model.head_specs();
    let mut sums = vec![0.0; heads.len()];
    predict_blocks(model, &stage.data.graph, valid, &mut Silent, |logits, batch| {
        let heads = heads.iter().zip(logits.iter().zip(&batch.targets));
        for (sum, (spec, (logits, targets))) in sums.iter_mut().zip(heads) {
            *sum += log_loss(logits, spec.outputs, targets, scale) * batch.len() as f64;
        }
    });
    sums.into_iter().map(|sum| sum / valid.len() as f64).sum::<f64>() / heads.len().max(1) as f64
}
