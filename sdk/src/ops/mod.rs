//! Graph and set operations that encoders and fusions are built on.
//!
//! | function | output | work | memory beside inputs and outputs |
//! |---|---|---|---|
//! | [`attention`] | attention over incoming edges, any number of heads | O(edges · width) | 4 bytes an edge and head |
//! | [`propagate`] | weighted sum over incoming edges | O(edges · width) | none |
//! | [`softmax_pool`] | attention over the members of sets, with dropout | O(members · width) | none |
//! | [`pool`] | sum or mean over the members of sets | O(members · width) | none |
//! | [`weighted_sums`] | sums over any lists of rows, with weights | O(members · width) | none |
//! | [`attention_with_edges`] | attention with a term for every edge | O(edges · width) | edges × width |
//! | [`dynamic_attention`], [`dot_attention`] | attention by rows of both ends | O(edges · width) | as `attention`; on GPUs 4 × edges × width |
//! | [`max_over_edges`] | maximum over incoming edges | O(edges · width) | none |
//! | [`matmul`], [`linear`], [`head_products`] | products of matrices | O(m · k · n) | none |
//! | [`segment_matmul`] | products of groups of rows, with a matrix each | O(m · k · n) | none |
//! | [`relational_convolution`] | a layer of R-GCN, for each member of a batch | O(batch · (edges · k + rows · k · n)) | none |
//! | [`add_row`], [`add_row_relu`], [`mean`], [`sum`] | a bias, with ReLU and dropout too, a mean, a sum | O(numbers) | none |
//! | [`linear_relu`] | a linear layer, ReLU and dropout | O(m · k · n) | none |
//! | [`binary_cross_entropy`], [`weighted_cross_entropy`] | losses over independent labels | O(numbers) | none |
//! | [`dropout()`] | dropout without a mask | O(numbers) | none |
//! | [`tanh`], [`sigmoid`] | activations between two bounds | O(numbers) | none |
//!
//! Each is a kernel written by hand for the CPU and, in CubeCL, for CUDA and wgpu, with a backward pass of its own.
//! Outputs have one owner each, which adds in a fixed order: repeated calls give the same bits on the same device.
//! Those that hold tables of edges × width are put together from such kernels, and so is [`relational_convolution`] on GPUs,
//! where it holds tables of rows × batch · k. [`PaddedSets`] serves what no kernel covers, such as recurrences.

mod activations;
mod adjacency;
mod attention;
mod autodiff;
#[cfg(cube)]
pub(crate) mod cube;
mod dense;
mod dropout;
mod dropped;
mod edges;
mod flex;
mod kernels;
mod layers;
mod padded;
mod product;
mod relational;
mod relations;
mod row_attention;
mod set_attention;
#[cfg(test)]
mod tests;

pub use crate::sparse::{Csr, Precision, Sets, Transposed};
pub use activations::{sigmoid, tanh};
pub use adjacency::Adjacency;
pub use attention::attention;
pub(crate) use dense::multiplying;
pub use dense::{
    add_row, add_row_relu, binary_cross_entropy, head_products, linear, linear_relu, matmul, mean, segment_matmul, sum,
    weighted_cross_entropy,
};
pub use dropout::dropout;
pub use edges::{attention_with_edges, dot_attention, dynamic_attention, edge_weights, max_over_edges};
pub(crate) use kernels::{AdamStep, Group, Kernels, Learning};
pub use layers::{elapsed, layer_widths, layers, layers_with_bias, sinusoid};
pub use padded::PaddedSets;
pub use product::{Pooling, pool, propagate, weighted_sums};
pub use relational::relational_convolution;
pub use relations::Relations;
pub use set_attention::softmax_pool;
