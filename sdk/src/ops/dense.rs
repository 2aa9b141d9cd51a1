//! Operations over the edges of a graph, written with plain tensors: `n × n` matrices hold the edges.
//!
//! Fast and deterministic up to some thousand nodes; nothing of size edges × width is ever made.

use crate::graph::Graph;
use burn::tensor::activation::{leaky_relu, softmax};
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::{Arc, Mutex, PoisonError};

/// Stands for −∞ where an edge is missing: its exponential is 0 in 32 bits, and it makes no NaN.
const ABSENT: f32 = -1e30;

/// Edges by target, with their weights, ready for [`attention`] and [`propagate`]. Repeated edges count repeatedly.
///
/// Made from a [`Graph`] once and kept with it.
#[derive(Debug)]
pub struct Adjacency {
    offsets: Vec<usize>,
    sources: Vec<u32>,
    weights: Vec<f32>,
    /// Matrices by device, without autodiff: they are constants.
    dense: Mutex<Vec<(Device, Form, Tensor<2>)>>,
}

/// What a dense matrix of edges holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Sum of the weights of the edges from column to row.
    Weights,
    /// Logarithm of the number of edges from column to row, [`ABSENT`] where there is none.
    LogCounts,
}

impl Adjacency {
    /// The edges as they are.
    pub fn of(graph: &Graph) -> Arc<Self> {
        graph.derived("as it is", |g| Self::new(g, |t| triples(g, t, |_| true)))
    }

    /// Without edges from a node to itself.
    pub fn without_self_loops(graph: &Graph) -> Arc<Self> {
        graph.derived("without self loops", |g| Self::new(g, |t| triples(g, t, move |s| s != t)))
    }

    /// With exactly one edge of weight 1 from each node to itself, as GAT wants it: existing self loops are replaced.
    pub fn with_self_loops(graph: &Graph) -> Arc<Self> {
        graph.derived("one self loop a node", |g| {
            Self::new(g, |t| triples(g, t, move |s| s != t).chain([(t as u32, 1.0)]))
        })
    }

    /// The propagation matrix of GCN, D^-½ (A + I) D^-½ with D the weighted in-degree.
    ///
    /// A node that has a self loop keeps its weight (the last one's, when repeated); the others get one of weight 1.
    /// Without `edge_weights` every weight is 1. A node whose in-degree is not positive is left out, as PyG does for 0.
    pub fn normalized(graph: &Graph, edge_weights: bool) -> Arc<Self> {
        let key = if edge_weights { "normalised weights" } else { "normalised counts" };
        graph.derived(key, |g| {
            let mut this = Self::new(g, |t| {
                let own = triples(g, t, |s| s == t).last().map_or(1.0, |(_, w)| w);
                let edges = triples(g, t, move |s| s != t).chain([(t as u32, own)]);
                edges.map(move |(s, w)| (s, if edge_weights { w } else { 1.0 }))
            });
            let degrees = this.offsets.windows(2).map(|r| this.weights[r[0]..r[1]].iter().sum::<f32>());
            let scale: Vec<f32> = degrees.map(|d| if d > 0.0 { d.sqrt().recip() } else { 0.0 }).collect();
            for target in 0..this.nodes() {
                for at in this.offsets[target]..this.offsets[target + 1] {
                    this.weights[at] *= scale[this.sources[at] as usize] * scale[target];
                }
            }
            this
        })
    }

    fn new<I: Iterator<Item = (u32, f32)>>(graph: &Graph, incoming: impl Fn(usize) -> I) -> Self {
        let (mut offsets, mut sources, mut weights) = (vec![0], Vec::new(), Vec::new());
        for target in 0..graph.nodes() {
            for (source, weight) in incoming(target) {
                sources.push(source);
                weights.push(weight);
            }
            offsets.push(sources.len());
        }
        Self { offsets, sources, weights, dense: Mutex::default() }
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of edges.
    pub fn edges(&self) -> usize {
        self.sources.len()
    }

    /// Sources and weights of the edges into `target`.
    pub fn incoming(&self, target: usize) -> (&[u32], &[f32]) {
        let range = self.offsets[target]..self.offsets[target + 1];
        (&self.sources[range.clone()], &self.weights[range])
    }

    /// Targets without an incoming edge.
    fn has_isolated(&self) -> bool {
        self.offsets.windows(2).any(|r| r[0] == r[1])
    }

    /// The edges as a constant matrix; row = target, column = source.
    ///
    /// # Shapes
    /// - output: `[nodes, nodes]`
    fn matrix(&self, form: Form, device: &Device) -> Tensor<2> {
        let mut made = self.dense.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, found)) = made.iter().find(|(d, f, _)| d == device && *f == form) {
            return found.clone();
        }
        let n = self.nodes();
        let mut values = vec![0f32; n * n];
        for target in 0..n {
            let row = &mut values[target * n..(target + 1) * n];
            let (sources, weights) = self.incoming(target);
            for (&source, &weight) in sources.iter().zip(weights) {
                row[source as usize] += if form == Form::Weights { weight } else { 1.0 };
            }
            if form == Form::LogCounts {
                row.iter_mut().for_each(|count| *count = if *count > 0.0 { count.ln() } else { ABSENT });
            }
        }
        let device = device.clone().without_autodiff();
        let tensor = Tensor::<2>::from_data(TensorData::new(values, [n, n]), &device);
        made.push((device, form, tensor.clone()));
        tensor
    }
}

/// Source and weight of the edges into `target` whose source passes `keep`.
fn triples(graph: &Graph, target: usize, keep: impl Fn(usize) -> bool) -> impl Iterator<Item = (u32, f32)> {
    let (sources, weights) = graph.incoming(target);
    sources.iter().copied().zip(weights.iter().copied()).filter(move |(s, _)| keep(*s as usize))
}

/// Additive attention over incoming edges with `h` heads, as in GAT (Veličković et al. 2018, eq. 1-4): for node i and
/// each head,
///
/// α_ij = softmax_{j → i} LeakyReLU(target_i + source_j), output_i = Σ_j α_ij · value_j.
///
/// A node without incoming edges gets the zero vector; edge weights do not enter.
///
/// # Shapes
/// - `target`, `source`: `[nodes, h]`, the terms that a node adds to the scores of its incoming and outgoing edges
/// - `values`: `[nodes, h * d]`, head after head
/// - output: `[nodes, h * d]`
pub fn attention(
    adjacency: &Adjacency,
    target: Tensor<2>,
    source: Tensor<2>,
    values: Tensor<2>,
    slope: f64,
) -> Tensor<2> {
    let [n, heads] = target.dims();
    let [_, width] = values.dims();
    let device = values.device();
    let target = target.transpose().unsqueeze_dim::<3>(2); // [h, n, 1]
    let source = source.transpose().unsqueeze_dim::<3>(1); // [h, 1, n]
    let edges = adjacency.matrix(Form::LogCounts, &device).unsqueeze_dim::<3>(0); // [1, n, n]
    // exp(e + ln c) = c · exp(e): a repeated edge counts c times.
    let scores = leaky_relu(target + source, slope) + edges; // [h, n, n]
    let values = values.reshape([n, heads, width / heads]).swap_dims(0, 1); // [h, n, d]
    let out = softmax(scores, 2).matmul(values); // [h, n, d]
    let out = out.swap_dims(0, 1).reshape([n, width]); // [n, h * d]
    if !adjacency.has_isolated() {
        return out;
    }
    let reached: Vec<f32> = (0..n).map(|i| if adjacency.incoming(i).0.is_empty() { 0.0 } else { 1.0 }).collect();
    out * Tensor::<2>::from_data(TensorData::new(reached, [n, 1]), &device.without_autodiff())
}

/// Weighted sum over incoming edges: output_i = Σ_{j → i} w_ij · value_j.
///
/// # Shapes
/// - `values`: `[nodes, d]`
/// - output: `[nodes, d]`
pub fn propagate(adjacency: &Adjacency, values: Tensor<2>) -> Tensor<2> {
    adjacency.matrix(Form::Weights, &values.device()).matmul(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four nodes: a path, a cycle back, a repeated edge, a self loop of weight 3 and node 3 without incoming edges.
    fn graph() -> Graph {
        let edges = [(0, 1, 0.5), (1, 2, 2.0), (2, 0, 1.5), (0, 1, 0.25), (3, 1, 1.0), (2, 2, 3.0)];
        Graph::new(4, &edges).unwrap()
    }

    fn tensor(values: &[f32], columns: usize) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values.to_vec(), [values.len() / columns, columns]), &Device::flex())
    }

    fn close(ours: Tensor<2>, expected: &[f32]) {
        let ours: Vec<f32> = ours.into_data().iter::<f32>().collect();
        assert_eq!(ours.len(), expected.len());
        for (a, b) in ours.iter().zip(expected) {
            assert!((a - b).abs() < 1e-5, "{ours:?} is not {expected:?}");
        }
    }

    /// Edge by edge, as the equation reads.
    fn naive(a: &Adjacency, target: &[f32], source: &[f32], values: &[f32], heads: usize, slope: f32) -> Vec<f32> {
        let width = values.len() / a.nodes();
        let d = width / heads;
        let mut out = vec![0.0; values.len()];
        for i in 0..a.nodes() {
            for head in 0..heads {
                let score = |j: u32| {
                    let e = target[i * heads + head] + source[j as usize * heads + head];
                    (if e > 0.0 { e } else { slope * e }).exp()
                };
                let total: f32 = a.incoming(i).0.iter().map(|&j| score(j)).sum();
                for &j in a.incoming(i).0 {
                    for c in head * d..(head + 1) * d {
                        out[i * width + c] += score(j) / total * values[j as usize * width + c];
                    }
                }
            }
        }
        out
    }

    const TARGET: [f32; 8] = [0.3, -1.0, 0.7, 0.2, -0.4, 1.1, 0.0, -0.6];
    const SOURCE: [f32; 8] = [-0.5, 0.8, 1.2, -0.3, 0.1, -1.4, 0.9, 0.4];
    const VALUES: [f32; 16] = [1.0, -2.0, 0.5, 3.0, -1.5, 0.25, 2.0, -0.75, 0.1, 0.2, -0.3, 0.4, 5.0, -4.0, 3.0, -2.0];

    #[test]
    fn attention_agrees_with_the_equation() {
        let graph = graph();
        for (a, heads) in
            [(Adjacency::of(&graph), 1), (Adjacency::of(&graph), 2), (Adjacency::with_self_loops(&graph), 2)]
        {
            let n = 4 * heads;
            let ours = attention(&a, tensor(&TARGET[..n], heads), tensor(&SOURCE[..n], heads), tensor(&VALUES, 4), 0.2);
            close(ours, &naive(&a, &TARGET[..n], &SOURCE[..n], &VALUES, heads, 0.2));
        }
    }

    #[test]
    fn one_node_attends_to_itself() {
        let graph = Graph::new(1, &[(0, 0, 9.0), (0, 0, 9.0)]).unwrap();
        let a = Adjacency::with_self_loops(&graph);
        assert_eq!(a.edges(), 1);
        close(attention(&a, tensor(&[7.0], 1), tensor(&[-3.0], 1), tensor(&[1.5, 2.5], 2), 0.2), &[1.5, 2.5]);
    }

    #[test]
    fn attention_passes_gradients() {
        let device = Device::flex().autodiff();
        let values = Tensor::<2>::from_data(TensorData::new(VALUES.to_vec(), [4, 4]), &device).require_grad();
        let zeros = Tensor::<2>::zeros([4, 1], &device);
        let a = Adjacency::of(&graph());
        let grads = attention(&a, zeros.clone(), zeros, values.clone(), 0.2).sum().backward();
        // Equal scores: node 1 averages {0, 0, 3}, node 2 {1, 2}, node 0 {2}; node 3 has no incoming edge.
        let each = [2.0 / 3.0, 0.5, 1.5, 1.0 / 3.0];
        close(values.grad(&grads).unwrap(), &each.iter().flat_map(|&g| [g; 4]).collect::<Vec<_>>());
    }

    #[test]
    fn propagate_adds_repeated_edges() {
        let graph = graph();
        let values = tensor(&[1.0, 10.0, 100.0, 1000.0], 1);
        close(propagate(&Adjacency::of(&graph), values.clone()), &[150.0, 1000.75, 320.0, 0.0]);
        close(propagate(&Adjacency::without_self_loops(&graph), values), &[150.0, 1000.75, 20.0, 0.0]);
    }

    #[test]
    fn gcn_normalisation_keeps_existing_self_loops() {
        // PyG: add_remaining_self_loops gives node 2 its own 3.0 and the others 1.0; in-degrees are then
        // 0: 1.5 + 1, 1: 0.5 + 0.25 + 1 + 1, 2: 2 + 3, 3: 1.
        let (d0, d1, d2, d3) = (2.5f32, 2.75f32, 5.0f32, 1.0f32);
        let expected = [
            1.0 / d0 + 1.5 / (d0 * d2).sqrt(),
            1.0 / d1 + 0.75 / (d0 * d1).sqrt() + 1.0 / (d1 * d3).sqrt(),
            3.0 / d2 + 2.0 / (d1 * d2).sqrt(),
            1.0 / d3,
        ];
        close(propagate(&Adjacency::normalized(&graph(), true), tensor(&[1.0; 4], 1)), &expected);
        // Without weights the in-degrees are 0: 2, 1: 4, 2: 2, 3: 1.
        let expected = [0.5 + 0.5, 0.25 + 2.0 / 8f32.sqrt() + 0.5, 0.5 + 1.0 / 8f32.sqrt(), 1.0];
        close(propagate(&Adjacency::normalized(&graph(), false), tensor(&[1.0; 4], 1)), &expected);
    }
}
