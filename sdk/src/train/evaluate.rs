//! Metrics of a model on examples, and of a ranking that ignores the patient.

use crate::component::{HeadSpec, Objective, Predictions};
use crate::data::Examples;
use crate::graph::Graph;
use crate::model::Model;
use crate::progress::Task;

/// Metrics by name, in the objective's order.
pub type Metrics = Vec<(String, f64)>;

/// Examples a forward pass of evaluation.
const BATCH: usize = 256;

/// Evaluates all heads of a model; node embeddings are computed once. Dropout is off.
pub fn evaluate(
    model: &Model,
    graph: &Graph,
    examples: &Examples,
    objective: &dyn Objective,
    task: &mut dyn Task,
) -> Metrics {
    let logits = predict(model, graph, examples, task);
    let predictions: Vec<Predictions<'_>> = logits
        .iter()
        .zip(model.head_specs())
        .zip(&examples.targets)
        .map(|((logits, spec), targets)| Predictions { head: &spec.name, logits, columns: spec.outputs, targets })
        .collect();
    objective.metrics(&predictions)
}

/// Logits of all heads for all examples, row after row.
pub fn predict(model: &Model, graph: &Graph, examples: &Examples, task: &mut dyn Task) -> Vec<Vec<f32>> {
    use burn::module::Module;
    let model = model.valid();
    let heads = model.head_specs().len();
    let embeddings = model.embeddings(graph);
    let mut all = vec![Vec::new(); heads];
    let order: Vec<usize> = (0..examples.len()).collect();
    for chunk in order.chunks(BATCH) {
        let batch = examples.batch(chunk);
        let patients = embeddings.clone().map(|e| model.patients(e, &batch));
        let logits = model.logits(patients, &batch, 0..heads);
        for (out, head) in all.iter_mut().zip(logits) {
            out.extend(head.into_data().convert::<f32>().iter::<f32>());
        }
        task.advance(chunk.len() as u64);
    }
    all
}

/// The objective's metrics for the ranking of columns by how often they are positive in training.
pub fn frequency_baseline(objective: &dyn Objective, heads: &[HeadSpec], train: &Examples, test: &Examples) -> Metrics {
    let logits: Vec<Vec<f32>> = heads
        .iter()
        .zip(&train.targets)
        .map(|(head, targets)| {
            let mut counts = vec![0f32; head.outputs];
            targets.values().iter().for_each(|&c| counts[c as usize] += 1.0);
            counts.repeat(test.len())
        })
        .collect();
    let predictions: Vec<Predictions<'_>> = logits
        .iter()
        .zip(heads)
        .zip(&test.targets)
        .map(|((logits, spec), targets)| Predictions { head: &spec.name, logits, columns: spec.outputs, targets })
        .collect();
    objective.metrics(&predictions)
}
