//! Attention over the edges of a graph.

use super::Adjacency;
use super::kernels::Kernels;
use burn::backend::Dispatch;
use burn::tensor::Tensor;

/// Additive attention over incoming edges with `h` heads, as in GAT (Veličković et al. 2018, eq. 1-4): for node i and
/// each head,
///
/// α_ij = softmax_{j → i} LeakyReLU(target_i + source_j), output_i = Σ_j α_ij · value_j.
///
/// A node without incoming edges gets the zero vector; edge weights do not enter, repeated edges count repeatedly.
///
/// One fused kernel forward and one backward, with O(edges · h · d) work; beside inputs and outputs it takes 4 bytes an
/// edge and head in the backward pass.
///
/// # Shapes
/// - `target`, `source`: `[nodes, h]`, the terms that a node adds to the scores of its incoming and outgoing edges
/// - `values`: `[nodes, h * d]`, head after head
/// - output: `[nodes, h * d]`
///
/// # Panics
/// When the tensors have other shapes.
pub fn attention(
    adjacency: &Adjacency,
    target: Tensor<2>,
    source: Tensor<2>,
    values: Tensor<2>,
    slope: f64,
) -> Tensor<2> {
    let ([n, heads], [m, width]) = (target.dims(), values.dims());
    let fits = n == adjacency.nodes() && m == n && source.dims() == [n, heads] && heads > 0 && width % heads == 0;
    assert!(
        fits,
        "attention over {} nodes: target {:?}, source {:?}, values {:?}",
        adjacency.nodes(),
        target.dims(),
        source.dims(),
        values.dims()
    );
    if width == 0 || n == 0 {
        return values;
    }
    let [target, source, values] = [target, source, values].map(Tensor::into_dispatch);
    let (output, _) = Dispatch::edge_attention(target, source, values, adjacency.csr(), slope as f32);
    Tensor::from_dispatch(output)
}
