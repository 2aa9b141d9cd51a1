//! Convolutions over graphs whose edges have relations, each with weights of its own.

use super::kernels::Kernels;
use super::relations::Relations;
use burn::backend::Dispatch;
use burn::tensor::Tensor;
use std::sync::Arc;

/// A layer of R-GCN (Schlichtkrull et al., Modeling Relational Data with Graph Convolutional Networks, ESWC 2018, eq. 2), with
/// ReLU, for all members of a batch, which have the graph in common: for each of them and each node i,
///
/// output_i = ReLU(h_i W + b + Σ_r (Σ_{j →r i} w_j h_j) W_r).
///
/// On the CPU one kernel forward and one backward, with O(batch · (edges · k + (rows + nodes) · k · n)) work. They go through
/// the graph with a few members at a time, so that nothing of rows × batch is ever in memory; what stays for the backward pass
/// are inputs and output. Other devices put it together from [`weighted_sums`](super::weighted_sums) and
/// [`segment_matmul`](super::segment_matmul), and hold some tables of rows × batch · k numbers for the time of it.
///
/// # Shapes
/// - `h`: `[nodes, batch · k]`, for each node the members of the batch one after the other
/// - `weight`: `[k, n]`, `bias`: `[n]`
/// - `matrices`: `[relations · k, n]`, the W_r one below the other
/// - output: `[nodes, batch · n]`
///
/// # Panics
/// When the tensors have other shapes.
pub fn relational_convolution(
    relations: &Arc<Relations>,
    h: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    matrices: Tensor<2>,
) -> Tensor<2> {
    let ([nodes, columns], [k, n]) = (h.dims(), weight.dims());
    let fits = nodes == relations.nodes()
        && k > 0
        && columns.is_multiple_of(k)
        && matrices.dims() == [relations.count() * k, n]
        && bias.as_ref().is_none_or(|bias| bias.dims() == [n]);
    assert!(
        fits,
        "{} relations over {} nodes: h {:?}, weight {:?}, bias {:?}, matrices {:?}",
        relations.count(),
        relations.nodes(),
        h.dims(),
        weight.dims(),
        bias.as_ref().map(|bias| bias.dims()),
        matrices.dims()
    );
    if columns == 0 || n == 0 {
        return Tensor::zeros([nodes, columns / k * n], &h.device());
    }
    let bias = bias.unwrap_or_else(|| Tensor::zeros([n], (&weight.device(), weight.dtype())));
    let bias = bias.unsqueeze_dim::<2>(0); // [1, n]
    let [h, weight, bias, matrices] = [h, weight, bias, matrices].map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::relational_convolution(h, weight, bias, matrices, relations.clone()))
}
