//! Predictions of a model on examples, and their metrics.

use super::baselines::metrics_of;
use crate::component::Objective;
use crate::data::Examples;
use crate::graph::Graph;
use crate::model::Model;
use crate::progress::Task;

/// Metrics by name, in the objective's order. One that is undefined is NaN, and `null` in files.
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
    metrics_of(objective, model.head_specs(), &logits, examples)
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
