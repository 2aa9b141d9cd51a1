//! Sums over incoming edges and over sets.

use super::Sets;
use super::kernels::Kernels;
use super::{Adjacency, Csr};
use burn::backend::Dispatch;
use burn::tensor::{Tensor, TensorData};
use std::sync::Arc;

/// Weighted sum over incoming edges: output_i = Σ_{j → i} w_ij · value_j.
///
/// O(edges · d) work, nothing of size edges × d in memory.
///
/// # Shapes
/// - `values`: `[nodes, d]`
/// - output: `[nodes, d]`
///
/// # Panics
/// When `values` has another number of rows.
pub fn propagate(adjacency: &Adjacency, values: Tensor<2>) -> Tensor<2> {
    let rows = values.dims()[0];
    assert!(rows == adjacency.nodes(), "{rows} rows of values for {} nodes", adjacency.nodes());
    product(adjacency.csr(), values, adjacency.nodes())
}

/// How [`pool`] joins the members of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
}

/// Sum or mean of the members of each set. Repeats count; an empty set gives the zero vector.
///
/// O(members · d) work, nothing of size members × d in memory.
///
/// # Shapes
/// - `values`: `[rows, d]`; `sets` points into its rows
/// - output: `[sets.len(), d]`
///
/// # Panics
/// When a set has a member that is no row.
pub fn pool(values: Tensor<2>, sets: &Sets, pooling: Pooling) -> Tensor<2> {
    let (device, dtype) = (values.device().without_autodiff(), values.dtype());
    let sums = product(sets.index(), values, sets.len());
    match pooling {
        Pooling::Sum => sums,
        Pooling::Mean => {
            let lengths: Vec<f32> = sets.members().rows().map(|m| m.len().max(1) as f32).collect();
            sums / Tensor::<2>::from_data(TensorData::new(lengths, [sets.len(), 1]), &device).cast(dtype)
        }
    }
}

/// Weighted sums of the rows of a table: output_i = Σ_k w_k · values_m over the members m of output i. Without weights,
/// all are 1.
///
/// # Shapes
/// - `values`: `[rows, d]`; members are rows
/// - output: `[matrix.len(), d]`
///
/// # Panics
/// When a member is no row.
pub fn weighted_sums(matrix: Arc<Csr>, values: Tensor<2>) -> Tensor<2> {
    let outputs = matrix.len();
    product(matrix, values, outputs)
}

/// The product of a sparse matrix with a table.
pub(super) fn product(matrix: Arc<Csr>, values: Tensor<2>, outputs: usize) -> Tensor<2> {
    let [rows, d] = values.dims();
    assert!(matrix.columns() <= rows, "row {} of a table of {rows} rows", matrix.columns());
    if rows == 0 || outputs == 0 || d == 0 {
        return Tensor::zeros([outputs, d], &values.device());
    }
    Tensor::from_dispatch(Dispatch::sparse_product(values.into_dispatch(), matrix, false, outputs))
}
