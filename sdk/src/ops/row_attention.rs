//! Attention whose scores need whole rows of both ends of an edge: kernels that only the CPU has. Elsewhere the same is put
//! together, in `edges.rs`, from tables of edges × width.

use super::Csr;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, backend_extension};
use std::sync::Arc;

/// Kernels over [`Csr`], of the kind of [`Kernels`](super::Kernels): `n` outputs, tables of `m` rows, `h` heads of `d`
/// channels each. There is at least one edge and one channel.
///
/// Every output has one owner, which adds in a fixed order: repeated calls with as many threads give the same bits. What is
/// kept for the backward pass, beside inputs, is the weight of every edge and head.
#[backend_extension(Flex, Autodiff)]
pub trait RowAttention: Backend {
    /// Softmax of query_i · key_j / √d + bias_ij over the edges into i, the weighted sum of the values; and the weights.
    ///
    /// # Shapes
    /// - `query`: `[n, h * d]`; `key`, `values`: `[m, h * d]`
    /// - `bias`: `[edges, h]`, or `[0, h]` where there is none
    /// - output: `[n, h * d]` and `[h, edges]`
    fn dot_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        values: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        edges: Arc<Csr>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of the first four inputs of [`RowAttention::dot_attention`], from that of its first output and the second.
    fn dot_attention_backward(
        gradient: FloatTensor<Self>,
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        values: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        edges: Arc<Csr>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Softmax of a · LeakyReLU(target_i + source_j + w_ij edge) over the edges into i, the weighted sum of the sources; and
    /// the weights. w are the weights of the edges.
    ///
    /// # Shapes
    /// - `target`: `[n, h * d]`; `source`: `[m, h * d]`
    /// - `a`: `[h, d]`
    /// - `edge`: `[1, h * d]`, or `[0, h * d]` where there is none
    /// - output: `[n, h * d]` and `[h, edges]`
    fn dynamic_attention(
        target: FloatTensor<Self>,
        source: FloatTensor<Self>,
        a: FloatTensor<Self>,
        edge: FloatTensor<Self>,
        edges: Arc<Csr>,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of the first four inputs of [`RowAttention::dynamic_attention`], from that of its first output and the
    /// second.
    #[allow(clippy::too_many_arguments)]
    fn dynamic_attention_backward(
        gradient: FloatTensor<Self>,
        target: FloatTensor<Self>,
        source: FloatTensor<Self>,
        a: FloatTensor<Self>,
        edge: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        edges: Arc<Csr>,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}
