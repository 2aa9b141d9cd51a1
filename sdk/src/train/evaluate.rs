//! Predictions of a model on examples, and their metrics.

use crate::component::{HeadSpec, Objective, Predictions};
use crate::data::{Batch, Examples, Ragged};
use crate::graph::Graph;
use crate::model::Model;
use crate::progress::Task;
use burn::tensor::{Tensor, TensorData};

/// Metrics by name, in the objective's order. One that is undefined is NaN, and `null` in files.
pub type Metrics = Vec<(String, f64)>;

/// Examples a forward pass of evaluation.
const BATCH: usize = 256;

/// Evaluates all heads of a model; node embeddings are computed once. Dropout is off. What is held does not grow with
/// the examples where the objective has a [`Meter`](crate::component::Meter).
pub fn evaluate(
    model: &Model,
    graph: &Graph,
    examples: &Examples,
    objective: &dyn Objective,
    task: &mut dyn Task,
) -> Metrics {
    evaluate_seeing(model, graph, examples, objective, task, |_, _| {})
}

/// The same, and gives `see` the logits of all heads, each `[block, outputs]`, for block after block of the examples.
pub(super) fn evaluate_seeing(
    model: &Model,
    graph: &Graph,
    examples: &Examples,
    objective: &dyn Objective,
    task: &mut dyn Task,
    mut see: impl FnMut(&[Tensor<2>], &Batch),
) -> Metrics {
    let Some(mut meter) = objective.meter() else {
        let mut all = vec![Vec::new(); model.head_specs().len()];
        forward_blocks(model, graph, examples, task, |logits, batch| {
            see(&logits, batch);
            all.iter_mut().zip(numbers(logits)).for_each(|(all, block)| all.extend(block));
        });
        return metrics_of(objective, model.head_specs(), &all, examples);
    };
    forward_blocks(model, graph, examples, task, |logits, batch| {
        see(&logits, batch);
        let logits = numbers(logits);
        let numbers = |head| batch.numbers_of(head);
        meter.update(&predictions_of(model.head_specs(), &logits, &batch.targets, numbers));
    });
    meter.compute()
}

/// The objective's metrics of some scores for the examples `examples`.
pub fn metrics_of(objective: &dyn Objective, heads: &[HeadSpec], scores: &[Vec<f32>], examples: &Examples) -> Metrics {
    objective.metrics(&predictions_of(heads, scores, &examples.targets, |head| examples.numbers_of(head)))
}

/// The scores of all heads beside their targets.
fn predictions_of<'a>(
    heads: &'a [HeadSpec],
    scores: &'a [Vec<f32>],
    targets: &'a [Ragged<u32>],
    numbers: impl Fn(usize) -> &'a [f32],
) -> Vec<Predictions<'a>> {
    let of = |head: usize| {
        let HeadSpec { name, outputs, .. } = &heads[head];
        let (logits, targets, numbers) = (&scores[head], &targets[head], numbers(head));
        Predictions { head: name, logits, columns: *outputs, targets, numbers }
    };
    (0..scores.len().min(heads.len()).min(targets.len())).map(of).collect()
}

/// Logits of all heads for all examples, row after row.
pub fn predict(model: &Model, graph: &Graph, examples: &Examples, task: &mut dyn Task) -> Vec<Vec<f32>> {
    let mut all = vec![Vec::new(); model.head_specs().len()];
    predict_blocks(model, graph, examples, task, |logits, _| {
        all.iter_mut().zip(logits).for_each(|(all, block)| all.extend(block));
    });
    all
}

/// Gives `take` the logits of all heads for block after block of the examples, and the block's batch.
pub fn predict_blocks(
    model: &Model,
    graph: &Graph,
    examples: &Examples,
    task: &mut dyn Task,
    mut take: impl FnMut(&[Vec<f32>], &Batch),
) {
    forward_blocks(model, graph, examples, task, |logits, batch| take(&numbers(logits), batch));
}

/// The same with logits where they were computed.
fn forward_blocks(
    model: &Model,
    graph: &Graph,
    examples: &Examples,
    task: &mut dyn Task,
    mut take: impl FnMut(Vec<Tensor<2>>, &Batch),
) {
    use burn::module::Module;
    let model = model.valid();
    let (heads, by_visit) = (model.head_specs().len(), model.tells_visits_apart());
    let embeddings = model.embeddings(graph);
    let order: Vec<usize> = (0..examples.len()).collect();
    for chunk in order.chunks(BATCH) {
        let batch = examples.batch_of(chunk, by_visit);
        let encoded = embeddings.clone().map(|e| model.encoded(e, graph, &batch));
        take(model.logits(encoded, &batch, 0..heads), &batch);
        task.advance(chunk.len() as u64);
    }
}

/// Row after row of each head.
fn numbers(logits: Vec<Tensor<2>>) -> Vec<Vec<f32>> {
    // Logits are 32-bit numbers but on devices that store them shorter.
    let values = |data: TensorData| match data.try_into_vec::<f32>() {
        Ok(values) => values,
        Err(error) => unreachable!("numbers that were converted to 32 bits are of 32 bits: {error:?}"),
    };
    logits.into_iter().map(|head| values(head.into_data().convert::<f32>())).collect()
}
