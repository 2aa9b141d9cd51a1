//! Operations over edges whose scores are no sum of two terms, written with plain tensors.
//!
//! Rows of the ends are gathered edge by edge, so the attentions here hold some tensors of edges × width numbers for the
//! backward pass: about 1 GB each at 1,000,000 edges and a width of 256. [`max_over_edges`] holds none.

use super::Adjacency;
use crate::graph::Graph;
use burn::tensor::activation::leaky_relu;
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};
use std::sync::Arc;

/// The edges with other weights, for [`propagate`](super::propagate): `weight` gets source, target and weight. Made once
/// and kept with the graph, under `key`, which names the weights.
///
/// # Panics
/// When `weight` gives a number that is not finite.
pub fn reweighted(graph: &Graph, key: &str, weight: impl Fn(u32, u32, f32) -> f32) -> Arc<Adjacency> {
    derived(graph, key, |g| g.iter().map(|(s, t, w)| (s, t, weight(s, t, w))).collect())
}

/// The edges with one loop a node whose weight is the mean of the weights of the other edges into it, 0 when there are
/// none: PyG's `add_self_loops` with `fill_value = "mean"`, after existing loops are removed.
pub fn with_mean_self_loops(graph: &Graph) -> Arc<Adjacency> {
    derived(graph, "mean self loops", |graph| {
        let mut edges: Vec<(u32, u32, f32)> = graph.iter().filter(|(s, t, _)| s != t).collect();
        let (mut means, mut counts) = (vec![0f32; graph.nodes()], vec![0f32; graph.nodes()]);
        for &(_, target, weight) in &edges {
            let (mean, count) = (&mut means[target as usize], &mut counts[target as usize]);
            *count += 1.0;
            *mean += (weight - *mean) / *count;
        }
        edges.extend(means.into_iter().zip(0..).map(|(mean, i)| (i, i, mean)));
        edges
    })
}

/// A graph with the edges that `make` gives, kept with `graph`.
fn derived(graph: &Graph, key: &str, make: impl FnOnce(&Graph) -> Vec<(u32, u32, f32)>) -> Arc<Adjacency> {
    let made = graph.derived(key, |g| Graph::new(g.nodes(), &make(g)));
    match made.as_ref() {
        Ok(made) => Adjacency::of(made),
        Err(e) => panic!("{e}"),
    }
}

/// The weights of the edges, in the order of `adjacency`; a constant.
///
/// # Shapes
/// - output: `[edges, 1]`
pub fn edge_weights(adjacency: &Adjacency, device: &Device) -> Tensor<2> {
    let weights: Vec<f32> = (0..adjacency.nodes()).flat_map(|t| adjacency.incoming(t).1).copied().collect();
    Tensor::from_data(TensorData::new(weights, [adjacency.edges(), 1]), &device.clone().without_autodiff())
}

/// [`attention`](super::attention) with a term of its own for every edge:
///
/// α_ij = softmax_{j → i} LeakyReLU(target_i + source_j + edge_ij), output_i = Σ_j α_ij · value_j.
///
/// A node without incoming edges gets the zero vector.
///
/// # Shapes
/// - `target`, `source`: `[nodes, h]`
/// - `edge`: `[edges, h]`, in the order of `adjacency`
/// - `values`: `[nodes, h * d]`, head after head
/// - output: `[nodes, h * d]`
pub fn attention_with_edges(
    adjacency: &Adjacency,
    target: Tensor<2>,
    source: Tensor<2>,
    edge: Tensor<2>,
    values: Tensor<2>,
    slope: f64,
) -> Tensor<2> {
    if adjacency.edges() == 0 {
        return values.zeros_like();
    }
    let ends = Ends::new(adjacency, &values.device());
    let scores = leaky_relu(ends.at_targets(target) + ends.at_sources(source) + edge, slope); // [edges, h]
    ends.attend(scores, values)
}

/// Dynamic attention over incoming edges, as in GATv2 (Brody et al. 2022, eq. 7): for node i and each head,
///
/// α_ij = softmax_{j → i} a · LeakyReLU(target_i + source_j + edge_ij), output_i = Σ_j α_ij · source_j.
///
/// A node without incoming edges gets the zero vector.
///
/// # Shapes
/// - `target`, `source`: `[nodes, h * d]`, head after head
/// - `edge`: `[edges, h * d]`, in the order of `adjacency`
/// - `a`: `[1, h, d]`
/// - output: `[nodes, h * d]`
pub fn dynamic_attention(
    adjacency: &Adjacency,
    target: Tensor<2>,
    source: Tensor<2>,
    edge: Option<Tensor<2>>,
    a: Tensor<3>,
    slope: f64,
) -> Tensor<2> {
    if adjacency.edges() == 0 {
        return source.zeros_like();
    }
    let [_, heads, d] = a.dims();
    let ends = Ends::new(adjacency, &source.device());
    let sum = ends.at_targets(target) + ends.at_sources(source.clone()); // [edges, h * d]
    let sum = edge.into_iter().fold(sum, |sum, edge| sum + edge);
    let sum = leaky_relu(sum, slope).reshape([adjacency.edges(), heads, d]); // [edges, h, d]
    let scores = (sum * a).sum_dim(2).squeeze_dim(2); // [edges, h]
    ends.attend(scores, source)
}

/// Scaled dot-product attention over incoming edges (Vaswani et al. 2017, eq. 1; over edges as in Shi et al. 2021): for
/// node i and each head,
///
/// α_ij = softmax_{j → i}(query_i · key_j / √d + bias_ij), output_i = Σ_j α_ij · value_j.
///
/// A node without incoming edges gets the zero vector.
///
/// # Shapes
/// - `query`, `key`, `values`: `[nodes, h * d]`, head after head
/// - `bias`: `[edges, h]`, in the order of `adjacency`
/// - output: `[nodes, h * d]`
pub fn dot_attention(
    adjacency: &Adjacency,
    query: Tensor<2>,
    key: Tensor<2>,
    values: Tensor<2>,
    bias: Option<Tensor<2>>,
    heads: usize,
) -> Tensor<2> {
    if adjacency.edges() == 0 {
        return values.zeros_like();
    }
    let [_, width] = query.dims();
    let d = width / heads;
    let ends = Ends::new(adjacency, &values.device());
    let products = ends.at_targets(query) * ends.at_sources(key); // [edges, h * d]
    let products = products.reshape([adjacency.edges(), heads, d]).sum_dim(2).squeeze_dim::<2>(2); // [edges, h]
    let scores = products / (d as f64).sqrt();
    ends.attend(bias.into_iter().fold(scores, |scores, bias| scores + bias), values)
}

/// The largest value of the sources of incoming edges, separately for every channel; zeros for a node without them.
///
/// Equal largest values pass their gradient to the first of them. Which source is the largest is found on the host, in
/// edges × width comparisons; what stays for the backward pass is nodes × width numbers.
///
/// # Shapes
/// - `values`: `[nodes, d]`
/// - output: `[nodes, d]`
pub fn max_over_edges(adjacency: &Adjacency, values: Tensor<2>) -> Tensor<2> {
    let ([n, d], device) = (values.dims(), values.device().without_autodiff());
    let numbers: Vec<f32> = values.clone().detach().into_data().iter::<f32>().collect();
    let (mut largest, mut reached) = (vec![0i32; n * d], vec![0f32; n]);
    for target in 0..n {
        let Some((&first, others)) = adjacency.incoming(target).0.split_first() else { continue };
        let row = &mut largest[target * d..(target + 1) * d];
        row.fill(first as i32);
        reached[target] = 1.0;
        for &source in others {
            for (c, best) in row.iter_mut().enumerate() {
                if numbers[source as usize * d + c] > numbers[*best as usize * d + c] {
                    *best = source as i32;
                }
            }
        }
    }
    let largest = Tensor::<2, Int>::from_data(TensorData::new(largest, [n, d]), &device);
    values.gather(0, largest) * Tensor::<2>::from_data(TensorData::new(reached, [n, 1]), &device) // [nodes, d]
}

/// The ends of the edges as row numbers.
struct Ends<'a> {
    adjacency: &'a Adjacency,
    sources: Tensor<1, Int>,
    targets: Tensor<1, Int>,
}

impl<'a> Ends<'a> {
    fn new(adjacency: &'a Adjacency, device: &Device) -> Self {
        let device = device.clone().without_autodiff();
        let rows = |rows: Vec<i32>| Tensor::from_data(TensorData::new(rows, [adjacency.edges()]), &device);
        let each = |target| adjacency.incoming(target).0.iter();
        let sources = (0..adjacency.nodes()).flat_map(|t| each(t).map(|&s| s as i32)).collect();
        let targets = (0..adjacency.nodes()).flat_map(|t| each(t).map(move |_| t as i32)).collect();
        Self { adjacency, sources: rows(sources), targets: rows(targets) }
    }

    /// `[nodes, d]` → `[edges, d]`
    fn at_sources(&self, table: Tensor<2>) -> Tensor<2> {
        table.select(0, self.sources.clone())
    }

    /// `[nodes, d]` → `[edges, d]`
    fn at_targets(&self, table: Tensor<2>) -> Tensor<2> {
        table.select(0, self.targets.clone())
    }

    /// Sums over the edges into each node: `[edges, d]` → `[nodes, d]`.
    fn sum(&self, edges: Tensor<2>) -> Tensor<2> {
        let [_, d] = edges.dims();
        let zeros = Tensor::zeros([self.adjacency.nodes(), d], &edges.device());
        zeros.select_assign(0, self.targets.clone(), edges, IndexingUpdateOp::Add)
    }

    /// Softmax of the scores over the edges into each node, and the weighted sum of the sources' values.
    ///
    /// # Shapes
    /// - `scores`: `[edges, h]`
    /// - `values`: `[nodes, h * d]`
    /// - output: `[nodes, h * d]`
    fn attend(&self, scores: Tensor<2>, values: Tensor<2>) -> Tensor<2> {
        let ([edges, heads], [n, width]) = (scores.dims(), values.dims());
        let exp = (scores.clone() - self.largest(scores)).exp(); // [edges, h]
        let weights = exp.clone() / self.at_targets(self.sum(exp)); // [edges, h]
        let values = self.at_sources(values).reshape([edges, heads, width / heads]); // [edges, h, d]
        let weighted = weights.unsqueeze_dim::<3>(2) * values; // [edges, h, d]
        self.sum(weighted.reshape([edges, width])).reshape([n, width]) // [nodes, h * d]
    }

    /// The largest score among the edges into the same node, for every edge. A constant: a softmax does not change with
    /// what is subtracted from its scores, so no gradient is lost.
    fn largest(&self, scores: Tensor<2>) -> Tensor<2> {
        let ([edges, heads], device) = (scores.dims(), scores.device().without_autodiff());
        let mut numbers: Vec<f32> = scores.detach().into_data().iter::<f32>().collect();
        let mut first = 0;
        for target in 0..self.adjacency.nodes() {
            let end = first + self.adjacency.incoming(target).0.len();
            for head in 0..heads {
                let at = |edge: usize| edge * heads + head;
                let most = (first..end).map(|edge| numbers[at(edge)]).fold(f32::NEG_INFINITY, f32::max);
                (first..end).for_each(|edge| numbers[at(edge)] = most);
            }
            first = end;
        }
        Tensor::from_data(TensorData::new(numbers, [edges, heads]), &device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{attention, propagate};

    /// A path, a cycle back, a repeated edge, a self loop of weight 3 and node 3 without incoming edges.
    fn graph() -> Graph {
        let edges = [(0, 1, 0.5), (1, 2, 2.0), (2, 0, 1.5), (0, 1, 0.25), (3, 1, 1.0), (2, 2, 3.0)];
        Graph::new(4, &edges).unwrap()
    }

    fn numbers(count: usize, from: f32) -> Vec<f32> {
        (0..count).map(|i| (from + i as f32 * 1.7).sin() * 2.0).collect()
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

    /// Edge by edge, as the equations read; `score` takes target, source, number of the edge and head.
    fn naive(
        a: &Adjacency,
        values: &[f32],
        heads: usize,
        score: impl Fn(usize, usize, usize, usize) -> f32,
    ) -> Vec<f32> {
        let width = values.len() / a.nodes();
        let d = width / heads;
        let mut out = vec![0.0; values.len()];
        let mut first = 0;
        for i in 0..a.nodes() {
            let sources = a.incoming(i).0;
            for head in 0..heads {
                let exp = |k: usize| score(i, sources[k] as usize, first + k, head).exp();
                let total: f32 = (0..sources.len()).map(exp).sum();
                for k in 0..sources.len() {
                    for c in head * d..(head + 1) * d {
                        out[i * width + c] += exp(k) / total * values[sources[k] as usize * width + c];
                    }
                }
            }
            first += sources.len();
        }
        out
    }

    fn leaky(x: f32) -> f32 {
        if x > 0.0 { x } else { 0.2 * x }
    }

    #[test]
    fn attentions_agree_with_their_equations() {
        let graph = graph();
        for (a, heads) in [(Adjacency::of(&graph), 1), (Adjacency::of(&graph), 2), (with_mean_self_loops(&graph), 2)] {
            let (q, k, v) = (numbers(16, 0.3), numbers(16, 1.1), numbers(16, 2.5));
            let (edge, d) = (numbers(a.edges() * heads, 0.9), 4 / heads);
            let dot = |i: usize, j: usize, head: usize| -> f32 {
                (head * d..(head + 1) * d).map(|c| q[i * 4 + c] * k[j * 4 + c]).sum::<f32>() / (d as f32).sqrt()
            };
            let bias = Some(tensor(&edge, heads));
            let ours = dot_attention(&a, tensor(&q, 4), tensor(&k, 4), tensor(&v, 4), bias, heads);
            close(ours, &naive(&a, &v, heads, |i, j, e, h| dot(i, j, h) + edge[e * heads + h]));

            let (s, t) = (numbers(4 * heads, 3.0), numbers(4 * heads, 4.0));
            let ours = attention_with_edges(
                &a,
                tensor(&t, heads),
                tensor(&s, heads),
                tensor(&edge, heads),
                tensor(&v, 4),
                0.2,
            );
            let score = |i: usize, j, e, h| leaky(t[i * heads + h] + s[j * heads + h] + edge[e * heads + h]);
            close(ours, &naive(&a, &v, heads, score));

            let (wide, weights) = (numbers(a.edges() * 4, 0.7), numbers(4, 5.0));
            let part = Tensor::<3>::from_data(TensorData::new(weights.clone(), [1, heads, d]), &Device::flex());
            let ours = dynamic_attention(&a, tensor(&q, 4), tensor(&k, 4), Some(tensor(&wide, 4)), part, 0.2);
            let score = |i: usize, j: usize, e: usize, h: usize| {
                (h * d..(h + 1) * d).map(|c| weights[c] * leaky(q[i * 4 + c] + k[j * 4 + c] + wide[e * 4 + c])).sum()
            };
            close(ours, &naive(&a, &k, heads, score));
        }
    }

    #[test]
    fn without_edge_terms_it_is_the_other_attention() {
        let a = Adjacency::with_self_loops(&graph());
        let (t, s, v) = (tensor(&numbers(8, 0.1), 2), tensor(&numbers(8, 0.2), 2), tensor(&numbers(16, 0.3), 4));
        let zeros = Tensor::zeros([a.edges(), 2], &Device::flex());
        let expected = attention(&a, t.clone(), s.clone(), v.clone(), 0.2).into_data();
        let ours = attention_with_edges(&a, t, s, zeros, v, 0.2).into_data();
        ours.assert_approx_eq::<f32>(&expected, Default::default());
    }

    #[test]
    fn large_scores_stay_finite() {
        let a = Adjacency::of(&Graph::new(3, &[(0, 2, 1.0), (1, 2, 1.0)]).unwrap());
        let query = tensor(&[0.0, 0.0, 1e4], 1);
        let out = dot_attention(&a, query, tensor(&[1.0, 2.0, 0.0], 1), tensor(&[5.0, 7.0, 9.0], 1), None, 1);
        close(out, &[0.0, 0.0, 7.0]);
    }

    #[test]
    fn maxima_are_those_of_the_sources_and_so_are_their_gradients() {
        let device = Device::flex().autodiff();
        let values = [1.0, -2.0, 3.0, 5.0, -1.0, 0.5, -4.0, 8.0];
        let values = Tensor::<2>::from_data(TensorData::new(values.to_vec(), [4, 2]), &device).require_grad();
        let out = max_over_edges(&Adjacency::of(&graph()), values.clone());
        let weights = Tensor::<2>::from_data([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [4.0, 40.0]], &device);
        let grads = (out.clone() * weights).sum().backward();
        // Into 0: {2}; into 1: {0, 0, 3}; into 2: {1, 2}; into 3: nothing.
        close(out, &[-1.0, 0.5, 1.0, 8.0, 3.0, 5.0, 0.0, 0.0]);
        close(values.grad(&grads).unwrap(), &[2.0, 0.0, 3.0, 30.0, 1.0, 10.0, 0.0, 20.0]);
    }

    #[test]
    fn other_weights_serve_sums() {
        let ones = reweighted(&graph(), "ones", |_, _, _| 1.0);
        close(propagate(&ones, tensor(&[1.0, 10.0, 100.0, 1000.0], 1)), &[100.0, 1002.0, 110.0, 0.0]);
    }

    #[test]
    fn mean_self_loops_average_the_other_edges() {
        let a = with_mean_self_loops(&graph());
        let own = |i: usize| {
            let (sources, weights) = a.incoming(i);
            sources.iter().zip(weights).filter(|(s, _)| **s == i as u32).map(|(_, w)| *w).collect::<Vec<_>>()
        };
        assert_eq!([own(0), own(1), own(2), own(3)], [vec![1.5], vec![1.75 / 3.0], vec![2.0], vec![0.0]]);
        close(edge_weights(&a, &Device::flex()).slice([0..2, 0..1]), &[1.5, 1.5]);
    }

    #[test]
    fn a_graph_without_edges_gives_zeros() {
        let a = Adjacency::of(&Graph::new(2, &[]).unwrap());
        let v = tensor(&[1.0, 2.0], 1);
        close(dot_attention(&a, v.clone(), v.clone(), v.clone(), None, 1), &[0.0, 0.0]);
        close(max_over_edges(&a, v), &[0.0, 0.0]);
    }
}
