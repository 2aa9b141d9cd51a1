//! What of a model does not change during a stage: precomputed once, before its first step.

use crate::data::{Batch, Examples};
use crate::graph::Graph;
use crate::model::{Encoded, Model, Reads};
use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};

/// Examples of a forward pass before the stage.
const BATCH: usize = 256;

/// Which part before the heads is frozen in a stage. It runs without dropout then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrozenPart {
    /// None, or its dropout stays active and makes every step differ.
    Nothing,
    /// All that reads the graph alone, such as node features and graph encoder.
    Embeddings,
    /// These and all that reads visits, such as the patient encoder.
    Patients,
}

impl FrozenPart {
    /// What follows for a model of these [parts](Model::parts) from the prefixes of the paths of parameters that do not train.
    ///
    /// With `dropout_in_frozen` (the published behaviour) dropout stays active there, so that nothing can be
    /// precomputed: every step draws another mask.
    pub fn of(parts: &[(String, Reads)], frozen: &[String], dropout_in_frozen: bool) -> Self {
        let trains = |what: Reads| parts.iter().any(|(path, reads)| *reads == what && !frozen.contains(path));
        match () {
            () if dropout_in_frozen || trains(Reads::Graph) => Self::Nothing,
            () if trains(Reads::Visits) => Self::Embeddings,
            () => Self::Patients,
        }
    }
}

/// The results.
pub(super) enum Precomputed {
    Nothing,
    /// `[nodes, width]`
    Embeddings(Tensor<2>),
    /// Patients are `[examples, width]`.
    Patients(Encoded),
    /// As `Patients`, where copy paths look at the visits.
    PatientsAndVisits(Encoded),
}

impl Precomputed {
    /// Computes what `frozen` allows, without dropout.
    pub(super) fn new(frozen: FrozenPart, model: &Model, graph: &Graph, examples: &Examples) -> Self {
        if frozen == FrozenPart::Nothing {
            return Self::Nothing;
        }
        let model = model.valid();
        let Some(embeddings) = model.embeddings(graph) else { return Self::Nothing };
        if frozen == FrozenPart::Embeddings {
            return Self::Embeddings(Tensor::from_inner(embeddings));
        }
        let (order, by_visit): (Vec<usize>, bool) = ((0..examples.len()).collect(), model.tells_visits_apart());
        let batches = order.chunks(BATCH).map(|chunk| examples.batch_of(chunk, by_visit));
        let parts = batches.map(|batch| model.patients(embeddings.clone(), graph, &batch));
        let patients = Tensor::from_inner(Tensor::cat(parts.collect(), 0));
        let nodes = model.looks_at_codes().then(|| Tensor::from_inner(embeddings.clone()));
        let encoded = Encoded { patients, nodes, precision: graph.precision() };
        match model.looks_at_history() {
            true => Self::PatientsAndVisits(encoded),
            false => Self::Patients(encoded),
        }
    }

    /// What heads see of a batch of the examples `indices`; `None` when none looks at patients.
    pub(super) fn encoded(&self, model: &Model, graph: &Graph, batch: &Batch, indices: &[usize]) -> Option<Encoded> {
        match self {
            Self::Nothing => model.embeddings(graph).map(|e| model.encoded(e, graph, batch)),
            Self::Embeddings(embeddings) => Some(model.encoded(embeddings.clone(), graph, batch)),
            Self::Patients(all) | Self::PatientsAndVisits(all) => {
                let Encoded { patients, nodes, precision } = all;
                let rows: Vec<i32> = indices.iter().map(|&i| i as i32).collect();
                let rows = TensorData::new(rows, [indices.len()]);
                let rows = Tensor::<1, Int>::from_data(rows, &patients.device().without_autodiff());
                Some(Encoded {
                    patients: patients.clone().select(0, rows),
                    nodes: nodes.clone(),
                    precision: *precision,
                })
            }
        }
    }

    /// The batch of the examples `indices`, with all that can be made before the step that takes it; with the items of each
    /// visit only where a head tells visits apart, `by_visit`.
    pub(super) fn batch(&self, examples: &Examples, indices: &[usize], by_visit: bool) -> Batch {
        let batch = match self {
            Self::Patients(_) => examples.without_visits(indices),
            Self::PatientsAndVisits(_) => return examples.batch_of(indices, by_visit),
            _ => examples.batch_of(indices, by_visit),
        };
        for sets in [&batch.codes, &batch.visits] {
            sets.index().transposed();
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frozen_part_follows_from_the_prefixes() {
        let frozen = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<String>>();
        let parts = |reads: Reads, names: &[&str]| names.iter().map(|&n| (n.to_owned(), reads)).collect::<Vec<_>>();
        let encoder = |graph: &[&str], visits: &[&str]| {
            [parts(Reads::Graph, graph), parts(Reads::Visits, visits), parts(Reads::Labs, &["lab"])].concat()
        };
        let fusions = encoder(&["nodes", "encoder"], &["code_fusion", "visit_fusion"]);
        let of = |names: &[&str]| FrozenPart::of(&fusions, &frozen(names), false);
        assert_eq!(of(&["lab"]), FrozenPart::Nothing);
        assert_eq!(of(&["nodes"]), FrozenPart::Nothing);
        assert_eq!(of(&["encoder", "nodes", "heads.1"]), FrozenPart::Embeddings);
        assert_eq!(of(&["nodes", "encoder", "code_fusion"]), FrozenPart::Embeddings);
        let all = ["nodes", "encoder", "code_fusion", "visit_fusion"];
        assert_eq!(of(&all), FrozenPart::Patients);
        assert_eq!(FrozenPart::of(&fusions, &frozen(&all), true), FrozenPart::Nothing);
        let other = encoder(&["nodes", "map", "encoder"], &["patient_encoder"]);
        let of = |names: &[&str]| FrozenPart::of(&other, &frozen(names), false);
        assert_eq!(of(&["nodes", "encoder", "patient_encoder"]), FrozenPart::Nothing, "the map trains");
        assert_eq!(of(&["nodes", "encoder", "map"]), FrozenPart::Embeddings);
        assert_eq!(of(&["nodes", "encoder", "map", "patient_encoder"]), FrozenPart::Patients);
    }
}
