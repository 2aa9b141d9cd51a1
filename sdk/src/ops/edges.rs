//! Operations over edges whose scores are no sum of two terms.
//!
//! [`dynamic_attention`] and [`dot_attention`] are kernels on the CPU, which keep a number an edge and head. Elsewhere, and
//! for [`attention_with_edges`] everywhere, rows of the ends are gathered edge by edge by the kernels of this module's
//! siblings, so that up to five tables of edges × width numbers are held until the backward pass: about 5 GB at 1,000,000
//! edges and a width of 256. [`max_over_edges`] holds none. All read rows in 32 bits, whatever the precision of the graph.

use super::adjacency::Ends;
use super::kernels::Kernels;
use super::product::product;
use super::row_attention::RowAttention;
use super::{Adjacency, head_products, matmul};
use burn::backend::Dispatch;
use burn::tensor::activation::leaky_relu;
use burn::tensor::{Device, Tensor, TensorData};

/// The weights of the edges, in the order of `adjacency`; a constant.
///
/// # Shapes
/// - output: `[edges, 1]`
pub fn edge_weights(adjacency: &Adjacency, device: &Device) -> Tensor<2> {
    let weights: Vec<f32> = (0..adjacency.nodes()).flat_map(|t| adjacency.incoming(t).1).copied().collect();
    Tensor::from_data(TensorData::new(weights, [adjacency.edges(), 1]), &device.clone().without_autodiff())
}

/// [`attention`](super::attention()) with a term of its own for every edge:
///
/// α_ij = softmax_{j → i} LeakyReLU(target_i + source_j + edge_ij), output_i = Σ_j α_ij · value_j.
///
/// A node without incoming edges gets the zero vector. One table of edges × width numbers.
///
/// # Shapes
/// - `target`, `source`: `[nodes, h]`
/// - `edge`: `[edges, h]`, in the order of `adjacency`
/// - `values`: `[nodes, h * d]`, head after head
/// - output: `[nodes, h * d]`
///
/// # Panics
/// When the tensors have other shapes.
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
    let ends = adjacency.ends();
    let scores = ends.at_sources(source) + edge; // [edges, h]
    ends.attend(target, scores, ends.at_sources(values), slope)
}

/// Dynamic attention over incoming edges, as in GATv2 (Brody et al. 2022, eq. 7): for node i and each head,
///
/// α_ij = softmax_{j → i} a · LeakyReLU(target_i + source_j + w_ij · edge), output_i = Σ_j α_ij · source_j.
///
/// A node without incoming edges gets the zero vector. On the CPU one fused kernel forward and one backward, which keep 4
/// bytes an edge and head; elsewhere four tables of edges × width numbers, five with `edge`.
///
/// # Shapes
/// - `target`, `source`: `[nodes, h * d]`, head after head
/// - `edge`: `[1, h * d]`, what the weight of an edge multiplies; without it, weights do not enter
/// - `a`: `[1, h, d]`
/// - output: `[nodes, h * d]`
///
/// # Panics
/// When the tensors have other shapes.
pub fn dynamic_attention(
    adjacency: &Adjacency,
    target: Tensor<2>,
    source: Tensor<2>,
    edge: Option<Tensor<2>>,
    a: Tensor<3>,
    slope: f64,
) -> Tensor<2> {
    let ([n, width], [_, heads, d]) = (source.dims(), a.dims());
    let fits = n == adjacency.nodes()
        && target.dims() == [n, width]
        && width == heads * d
        && edge.as_ref().is_none_or(|edge| edge.dims() == [1, width]);
    assert!(
        fits,
        "attention over {} nodes: target {:?}, source {:?}, edge {:?}, a {:?}",
        adjacency.nodes(),
        target.dims(),
        source.dims(),
        edge.as_ref().map(Tensor::dims),
        a.dims()
    );
    if adjacency.edges() == 0 || width == 0 {
        return source.zeros_like();
    }
    if !on_cpu(&source) {
        return dynamic_by_tables(adjacency, target, source, edge, a, slope);
    }
    let edge = edge.unwrap_or_else(|| no_rows(width, &source));
    let [target, source, a, edge] = [target, source, a.reshape([heads, d]), edge].map(Tensor::into_dispatch);
    let (output, _) = Dispatch::dynamic_attention(target, source, a, edge, adjacency.csr(), slope as f32);
    Tensor::from_dispatch(output)
}

/// [`dynamic_attention`] from tables of edges × width.
pub(super) fn dynamic_by_tables(
    adjacency: &Adjacency,
    target: Tensor<2>,
    source: Tensor<2>,
    edge: Option<Tensor<2>>,
    a: Tensor<3>,
    slope: f64,
) -> Tensor<2> {
    let ends = adjacency.ends();
    let edge = edge.map(|row| matmul(edge_weights(adjacency, &source.device()), row)); // [edges, h * d]
    let values = ends.at_sources(source); // [edges, h * d]
    let sum = ends.at_targets(target) + values.clone(); // [edges, h * d]
    let sum = edge.into_iter().fold(sum, |sum, edge| sum + edge);
    ends.attend_to(head_products(leaky_relu(sum, slope), a), values)
}

/// Scaled dot-product attention over incoming edges (Vaswani et al. 2017, eq. 1; over edges as in Shi et al. 2021): for
/// node i and each head,
///
/// α_ij = softmax_{j → i}(query_i · key_j / √d + bias_ij), output_i = Σ_j α_ij · value_j.
///
/// A node without incoming edges gets the zero vector. On the CPU one fused kernel forward and one backward, which keep 4
/// bytes an edge and head; elsewhere four tables of edges × width numbers.
///
/// # Shapes
/// - `query`, `key`, `values`: `[nodes, h * d]`, head after head
/// - `bias`: `[edges, h]`, in the order of `adjacency`
/// - output: `[nodes, h * d]`
///
/// # Panics
/// When the tensors have other shapes.
pub fn dot_attention(
    adjacency: &Adjacency,
    query: Tensor<2>,
    key: Tensor<2>,
    values: Tensor<2>,
    bias: Option<Tensor<2>>,
    heads: usize,
) -> Tensor<2> {
    let [n, width] = values.dims();
    let fits = n == adjacency.nodes()
        && [query.dims(), key.dims()] == [[n, width]; 2]
        && heads > 0
        && width.is_multiple_of(heads)
        && bias.as_ref().is_none_or(|bias| bias.dims() == [adjacency.edges(), heads]);
    assert!(
        fits,
        "attention of {heads} heads over {} nodes: query {:?}, key {:?}, values {:?}, bias {:?}",
        adjacency.nodes(),
        query.dims(),
        key.dims(),
        values.dims(),
        bias.as_ref().map(Tensor::dims)
    );
    if adjacency.edges() == 0 || width == 0 {
        return values.zeros_like(); // on GPUs, burn's operations on nothing spoil what is computed after them
    }
    if !on_cpu(&values) {
        return dot_by_tables(adjacency, query, key, values, bias, heads);
    }
    let bias = bias.unwrap_or_else(|| no_rows(heads, &values));
    let [query, key, values, bias] = [query, key, values, bias].map(Tensor::into_dispatch);
    let (output, _) = Dispatch::dot_attention(query, key, values, bias, adjacency.csr());
    Tensor::from_dispatch(output)
}

/// [`dot_attention`] from tables of edges × width.
pub(super) fn dot_by_tables(
    adjacency: &Adjacency,
    query: Tensor<2>,
    key: Tensor<2>,
    values: Tensor<2>,
    bias: Option<Tensor<2>>,
    heads: usize,
) -> Tensor<2> {
    let ends = adjacency.ends();
    let d = query.dims()[1] / heads;
    let scale = Tensor::full([1, heads, d], (d as f64).sqrt().recip(), &query.device());
    let products = ends.at_targets(query) * ends.at_sources(key); // [edges, h * d]
    let scores = head_products(products, scale); // [edges, h]
    ends.attend_to(bias.into_iter().fold(scores, |scores, bias| scores + bias), ends.at_sources(values))
}

/// Whether a tensor is on the CPU, for which there are kernels that other devices lack.
pub(super) fn on_cpu<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.device().without_autodiff() == Device::flex()
}

/// What these kernels take for a tensor that is not given: a constant.
fn no_rows(columns: usize, like: &Tensor<2>) -> Tensor<2> {
    Tensor::zeros([0, columns], (&like.device().without_autodiff(), like.dtype()))
}

/// The largest value of the sources of incoming edges, separately for every channel; zeros for a node without them.
///
/// Equal largest values pass their gradient to the first of them. What stays for the backward pass is nodes × d numbers.
///
/// # Shapes
/// - `values`: `[nodes, d]`
/// - output: `[nodes, d]`
///
/// # Panics
/// When `values` has another number of rows.
pub fn max_over_edges(adjacency: &Adjacency, values: Tensor<2>) -> Tensor<2> {
    let [n, d] = values.dims();
    assert!(n == adjacency.nodes(), "{n} rows of values for {} nodes", adjacency.nodes());
    if adjacency.edges() == 0 || d == 0 {
        return values.zeros_like();
    }
    let (output, _) = Dispatch::largest(values.into_dispatch(), adjacency.csr());
    Tensor::from_dispatch(output)
}

impl Ends {
    /// `[nodes, d]` → `[edges, d]`
    fn at_sources(&self, table: Tensor<2>) -> Tensor<2> {
        product(self.sources.clone(), table, self.sources.len())
    }

    /// `[nodes, d]` → `[edges, d]`
    fn at_targets(&self, table: Tensor<2>) -> Tensor<2> {
        product(self.targets.clone(), table, self.targets.len())
    }

    /// [`Ends::attend`] by scores as they are.
    fn attend_to(&self, scores: Tensor<2>, values: Tensor<2>) -> Tensor<2> {
        let target = Tensor::zeros([self.incoming.len(), scores.dims()[1]], &scores.device());
        self.attend(target, scores, values, 1.0) // of slope 1, LeakyReLU is the identity
    }

    /// Softmax of LeakyReLU(target + score) over the edges into each node, and the weighted sum of the values: the kernel
    /// of attention, with the edges in the place of their sources.
    ///
    /// # Shapes
    /// - `target`: `[nodes, h]`
    /// - `scores`: `[edges, h]`
    /// - `values`: `[edges, h * d]`
    /// - output: `[nodes, h * d]`
    fn attend(&self, target: Tensor<2>, scores: Tensor<2>, values: Tensor<2>, slope: f64) -> Tensor<2> {
        let ([edges, width], [n, heads]) = (values.dims(), target.dims());
        let fits = edges == self.sources.len() && n == self.incoming.len() && width.is_multiple_of(heads);
        assert!(
            fits && scores.dims() == [edges, heads],
            "target {:?}, scores {:?}, values {:?}",
            target.dims(),
            scores.dims(),
            values.dims()
        );
        if edges == 0 || width == 0 {
            return Tensor::zeros([n, width], &values.device());
        }
        let [target, scores, values] = [target, scores, values].map(Tensor::into_dispatch);
        let (output, _) = Dispatch::edge_attention(target, scores, values, self.incoming.clone(), slope as f32);
        Tensor::from_dispatch(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
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
        Tensor::from_data(TensorData::new(values.to_vec(), [values.len() / columns, columns]), &tested())
    }

    fn tested() -> Device {
        crate::device::tested().unwrap().device
    }

    fn close(ours: Tensor<2>, expected: &[f32]) {
        let ours: Vec<f32> = ours.into_data().iter::<f32>().collect();
        assert_eq!(ours.len(), expected.len());
        for (a, b) in ours.iter().zip(expected) {
            assert!((a - b).abs() < 1e-5 * b.abs().max(1.0), "{ours:?} is not {expected:?}");
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
        for (a, heads) in
            [(Adjacency::of(&graph), 1), (Adjacency::of(&graph), 2), (Adjacency::with_mean_self_loops(&graph), 2)]
        {
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

            let (row, vector) = (numbers(4, 0.7), numbers(4, 5.0));
            let weights: Vec<f32> = (0..a.nodes()).flat_map(|i| a.incoming(i).1).copied().collect();
            for (edge, by) in [(None, 0f32), (Some(tensor(&row, 4)), 1.0)] {
                let part = Tensor::<3>::from_data(TensorData::new(vector.clone(), [1, heads, d]), &tested());
                let ours = dynamic_attention(&a, tensor(&q, 4), tensor(&k, 4), edge, part, 0.2);
                let inside =
                    |i: usize, j: usize, e: usize, c: usize| q[i * 4 + c] + k[j * 4 + c] + by * weights[e] * row[c];
                let score =
                    |i, j, e, h: usize| (h * d..(h + 1) * d).map(|c| vector[c] * leaky(inside(i, j, e, c))).sum();
                close(ours, &naive(&a, &k, heads, score));
            }
        }
    }

    #[test]
    fn without_edge_terms_it_is_the_other_attention() {
        let a = Adjacency::with_self_loops(&graph());
        let (t, s, v) = (tensor(&numbers(8, 0.1), 2), tensor(&numbers(8, 0.2), 2), tensor(&numbers(16, 0.3), 4));
        let zeros = Tensor::zeros([a.edges(), 2], &tested());
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
        let device = tested().autodiff();
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
        let ones = Adjacency::reweighted(&graph(), "ones", |_, _, _| 1.0);
        close(propagate(&ones, tensor(&[1.0, 10.0, 100.0, 1000.0], 1)), &[100.0, 1002.0, 110.0, 0.0]);
    }

    #[test]
    fn mean_self_loops_average_the_other_edges() {
        let a = Adjacency::with_mean_self_loops(&graph());
        let own = |i: usize| {
            let (sources, weights) = a.incoming(i);
            sources.iter().zip(weights).filter(|(s, _)| **s == i as u32).map(|(_, w)| *w).collect::<Vec<_>>()
        };
        assert_eq!([own(0), own(1), own(2), own(3)], [vec![1.5], vec![1.75 / 3.0], vec![2.0], vec![0.0]]);
        close(edge_weights(&a, &tested()).slice([0..2, 0..1]), &[1.5, 1.5]);
    }

    #[test]
    fn a_graph_without_edges_gives_zeros() {
        let a = Adjacency::of(&Graph::new(2, &[]).unwrap());
        let v = tensor(&[1.0, 2.0], 1);
        close(dot_attention(&a, v.clone(), v.clone(), v.clone(), None, 1), &[0.0, 0.0]);
        close(max_over_edges(&a, v), &[0.0, 0.0]);
    }
}
