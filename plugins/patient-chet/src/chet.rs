//! `chet`: transitions of diagnoses over a dynamic disease graph.

use crate::cell::Cell;
use crate::companions::Companions;
use crate::histories::Histories;
use dualk_sdk::burn::module::Initializer;
use dualk_sdk::burn::nn::{DropoutConfig, Linear, LinearConfig};
use dualk_sdk::burn::tensor::activation::leaky_relu;
use dualk_sdk::ops::{Pooling, dot_attention, linear, max_over_edges, pool, softmax_pool, tanh, weighted_sums};
use dualk_sdk::prelude::*;

options! {
    /// Options of `chet`.
    pub struct ChetOptions {
        /// Width of the context of a diagnosis, and of queries and keys.
        #[schemars(range(min = 1))]
        pub graph: usize = 32,
        /// Width of the state of a diagnosis, which is the patient vector's.
        #[schemars(range(min = 1))]
        pub hidden: usize = 150,
        /// Width inside the attention over visits.
        #[schemars(range(min = 1))]
        pub attention: usize = 32,
        /// Fraction of a code's company below which another code is none of its neighbours.
        #[schemars(with = "Fraction")]
        pub threshold: f64 = 0.01,
    }
}

impl Component for ChetOptions {
    const NAME: &'static str = "chet";
    const ABOUT: &'static str =
        "Contexts of diagnoses from the graph around each visit, a transition for each way to be diagnosed, attention.";
    const CITATION: &'static str = "Lu, Han and Ning, Context-aware Health Event Prediction via Transition Functions on \
                                    Dynamic Disease Graphs, AAAI 2022";
}

/// Slope of LeakyReLU below zero: PyTorch's default.
const SLOPE: f64 = 0.01;

/// A is the co-occurrence of codes, without what is below `threshold` of a code's company, each row adding up to 1. At visit t
/// there are the diagnoses D, and their neighbours N, which A joins to D and which are not in D.
///
/// Contexts (eq. 2-5), of i in D and of i in N alike: with m_i the code's embedding as a diagnosis, n_i that as a neighbour and
/// e_i the one that its part asks for,
/// c_i = LeakyReLU((e_i + Σ_{j ∈ D} A_ij m_j + Σ_{j ∈ N} A_ij n_j) W + b).
///
/// Transitions (eq. 6-11), to the states h of the diagnoses of visit t:
/// - of those that stay, and of the first visit: h' = GRU(c, h), h the state at the visit before, 0 at the first;
/// - of those that emerge: h' = tanh(attention(q, q, c)) among them, scaled dot products with projections of queries, keys and
///   values. q_i is the context of i as a neighbour of the visit before where it was one, and else an embedding u_i of its own.
///
/// v_t = max of the states of visit t in every channel; out = Σ_t α_t v_t, α = softmax_t(v_t W_α w).
///
/// m are the embeddings of the graph encoder, which is `none` in the paper. Other than in the published code, whose numbers
/// these are otherwise: the graph is the SDK's, which also counts admissions of pretraining patients, and repeats of a code in
/// an admission; keys and the attention over visits have no biases, which shift all scores of a softmax alike; queries and keys
/// are as wide as contexts, as they are by its defaults; visits without codes are passed over. Its dropout and its last layer
/// are the head's. A patient without codes is the zero vector.
#[derive(Module, Debug)]
pub struct Chet {
    neighbours: Param<Tensor<2>>,
    unrelated: Param<Tensor<2>>,
    embed: Linear,
    query: Linear,
    key: Linear,
    value: Linear,
    cell: Cell,
    project: Linear,
    score: Linear,
    threshold: f64,
}

impl BuildPatientEncoder for ChetOptions {
    type Module = Chet;

    fn build(self, context: &PatientEncoderContext<'_>) -> Result<Chet> {
        let (nodes, width, device) = (context.codes.len(), context.width, context.device);
        let Self { graph, hidden, attention, threshold } = self;
        let xavier = || Initializer::XavierUniform { gain: 1.0 };
        let table = |width| xavier().init_with([nodes, width], Some(nodes), Some(width), device);
        Ok(Chet {
            neighbours: table(width),
            unrelated: table(graph),
            embed: LinearConfig::new(width, graph).init(device),
            query: LinearConfig::new(graph, graph).init(device),
            key: LinearConfig::new(graph, graph).with_bias(false).init(device),
            value: LinearConfig::new(graph, hidden).init(device),
            cell: Cell::new(graph, hidden, device),
            project: LinearConfig::new(hidden, attention).with_bias(false).init(device),
            score: LinearConfig::new(attention, 1).with_bias(false).with_initializer(xavier()).init(device),
            threshold,
        })
    }
}

impl PatientEncoder for Chet {
    fn forward(&self, embeddings: Tensor<2>, graph: &Graph, batch: &Batch) -> Tensor<2> {
        let histories = Histories::new(batch, &Companions::of(graph, self.threshold));
        if histories.count() == 0 {
            return Tensor::zeros([batch.visits.len(), self.width()], &embeddings.device().without_autodiff());
        }
        let states = self.states(self.contexts(embeddings, &histories), &histories);
        let visits = max_over_edges(&histories.of_visits, states).narrow(0, 0, histories.visits); // [visits, hidden]
        let scores = linear(&self.score, linear(&self.project, visits.clone())); // [visits, 1]
        softmax_pool(scores, visits, &histories.patients, &DropoutConfig::new(0.0).init()) // [patients, hidden]
    }

    fn width(&self) -> usize {
        self.cell.hidden()
    }
}

impl Chet {
    /// Eq. 2-5.
    ///
    /// # Shapes
    /// - `embeddings`: `[nodes, width]`
    /// - output: `[diagnoses and recalled neighbours, graph]`
    fn contexts(&self, embeddings: Tensor<2>, histories: &Histories) -> Tensor<2> {
        let diagnoses = weighted_sums(histories.diagnoses.clone(), embeddings);
        let neighbours = weighted_sums(histories.neighbours.clone(), self.neighbours.val());
        leaky_relu(linear(&self.embed, diagnoses + neighbours), SLOPE)
    }

    /// The states of all diagnoses.
    ///
    /// # Shapes
    /// - `contexts`: `[diagnoses and recalled neighbours, graph]`
    /// - output: `[diagnoses, hidden]`
    fn states(&self, contexts: Tensor<2>, histories: &Histories) -> Tensor<2> {
        let emerging = histories.emerging();
        let mut states = Vec::with_capacity(histories.steps.len() + 1);
        if emerging > 0 {
            states.push(self.emerging(contexts.clone(), histories));
        }
        let read = contexts.narrow(0, emerging, histories.count() - emerging); // [others, graph]
        let (inputs, mut start) = (self.cell.inputs(read), 0); // [others, 3 * hidden]
        for before in &histories.steps {
            let h = match states.last() {
                Some(last) => pool(last.clone(), before, Pooling::Sum), // [of the step, hidden]
                None => Tensor::zeros([before.len(), self.width()], &inputs.device()),
            };
            states.push(self.cell.step(inputs.clone().narrow(0, start, before.len()), h));
            start += before.len();
        }
        Tensor::cat(states, 0)
    }

    /// The states of diagnoses that emerge. Weights of an attention add up to 1, so that values may be projected after it.
    ///
    /// # Shapes
    /// - `contexts`: `[diagnoses and recalled neighbours, graph]`
    /// - output: `[emerging, hidden]`
    fn emerging(&self, contexts: Tensor<2>, histories: &Histories) -> Tensor<2> {
        let recalled = weighted_sums(histories.recalled.clone(), contexts.clone());
        let queries = recalled + weighted_sums(histories.unrelated.clone(), self.unrelated.val()); // [emerging, graph]
        let (query, key) = (linear(&self.query, queries.clone()), linear(&self.key, queries));
        let values = contexts.narrow(0, 0, histories.emerging()); // [emerging, graph]
        let met = dot_attention(&histories.together, query, key, values, None, 1); // [emerging, graph]
        tanh(linear(&self.value, met))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dualk_sdk::data::Visits;
    use dualk_sdk::model::draw_parameters;
    use std::sync::Arc;

    fn small() -> ChetOptions {
        ChetOptions { graph: 5, hidden: 7, attention: 4, ..Default::default() }
    }

    fn build(options: ChetOptions) -> Result<Chet> {
        let codes = vec![String::new(); 6];
        let context = PatientEncoderContext { width: 3, codes: &codes, device: &Device::flex(), parts: &() };
        options.build(&context).map(draw_parameters)
    }

    fn encode(encoder: &Chet, visits: &[Vec<u32>]) -> Vec<f32> {
        let codes: Visits = visits.iter().cloned().collect();
        let (labs, all) = ([std::iter::empty()].into_iter().collect(), [0..visits.len() as u32].into_iter().collect());
        let examples = Examples { codes: Arc::new(codes), visits: all, labs, ..Examples::default() };
        let rows: Vec<f32> = (0..18).map(|i| (i as f32 * 1.7).sin()).collect();
        let embeddings = Tensor::<2>::from_data(TensorData::new(rows, [6, 3]), &Device::flex());
        // 1 goes with 2, 3 with 4.
        let graph = Graph::new(6, &[(1, 2, 1.0), (2, 1, 1.0), (3, 4, 1.0), (4, 3, 1.0)]).unwrap();
        encoder.forward(embeddings, &graph, &examples.batch(&[0])).into_data().iter::<f32>().collect()
    }

    fn close(a: &[f32], b: &[f32]) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
    }

    #[test]
    fn it_is_a_sound_patient_encoder() {
        dualk_sdk::testing::check_patient_encoder(small());
    }

    #[test]
    fn order_of_visits_counts_and_order_of_codes_does_not() {
        let encoder = build(small()).unwrap();
        let base = encode(&encoder, &[vec![1, 3], vec![2, 3], vec![5]]);
        assert!(close(&base, &encode(&encoder, &[vec![3, 1], vec![3, 2, 3], vec![5]])));
        assert!(close(&base, &encode(&encoder, &[vec![1, 3], vec![], vec![2, 3], vec![5]])));
        assert!(!close(&base, &encode(&encoder, &[vec![5], vec![2, 3], vec![1, 3]])));
    }
}
