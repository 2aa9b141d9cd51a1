//! The operations that every backend implements by hand, behind the functions of this module's siblings.

use super::Csr;
#[cfg(cube)]
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, backend_extension};
#[cfg(cube)]
use burn::tensor::Shape;
use std::sync::Arc;

/// What one update of Adam needs besides tensors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the mean of gradients, β₁.
    pub beta1: f64,
    /// Decay of the mean of their squares, β₂.
    pub beta2: f64,
    /// Keeps the denominator from 0.
    pub epsilon: f64,
    /// Number of this step, from 1.
    pub time: i32,
}

impl AdamStep {
    /// The factors of m / (√v · a + b) in PyTorch's form of the update: lr / (1 − β₁ᵗ) and 1 / √(1 − β₂ᵗ).
    pub(super) fn factors(&self) -> (f64, f64) {
        (self.lr / (1.0 - self.beta1.powi(self.time)), (1.0 - self.beta2.powi(self.time)).sqrt().recip())
    }
}

/// Kernels over [`Csr`]: `n` outputs, a table of `m` rows, `h` heads of `d` channels each.
///
/// Every output has one owner, which adds in the order of the members: there are no atomic operations, and repeated
/// calls give the same bits on the same device.
#[backend_extension(Flex, Cube: cfg(cube), Fusion: cfg(cube), Autodiff)]
pub trait Kernels: Backend {
    /// Attention over edges and the logarithm of its normaliser.
    ///
    /// # Shapes
    /// - `target`: `[n, h]`, `source`: `[m, h]`, `values`: `[m, h * d]`
    /// - output: `[n, h * d]` and `[n, h]`
    #[fusion(meta = |target, _source, values, _edges, _slope| attention_output(target, values))]
    fn edge_attention(
        target: FloatTensor<Self>,
        source: FloatTensor<Self>,
        values: FloatTensor<Self>,
        edges: Arc<Csr>,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of the three inputs of [`Kernels::edge_attention`], from that of its first output.
    #[fusion(meta = |_gradient, target, source, values, _output, _norm, _edges, _slope| {
        (target.clone(), source.clone(), values.clone())
    })]
    #[allow(clippy::too_many_arguments)]
    fn edge_attention_backward(
        gradient: FloatTensor<Self>,
        target: FloatTensor<Self>,
        source: FloatTensor<Self>,
        values: FloatTensor<Self>,
        output: FloatTensor<Self>,
        norm: FloatTensor<Self>,
        edges: Arc<Csr>,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// The product of two matrices, each transposed first where asked.
    ///
    /// # Shapes
    /// - `left`: `[m, k]`, or `[k, m]` transposed; `right`: `[k, n]`, or `[n, k]` transposed
    /// - output: `[m, n]`
    #[fusion(dtype = left, shape = matrix_shape(left, right, *transposed))]
    fn matrix_product(left: FloatTensor<Self>, right: FloatTensor<Self>, transposed: [bool; 2]) -> FloatTensor<Self>;

    /// A matrix with a row added to each of its rows.
    ///
    /// # Shapes
    /// - `values`, output: `[m, n]`; `row`: `[1, n]`
    #[fusion(dtype = values, shape = values)]
    fn add_row(values: FloatTensor<Self>, row: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The sum of the rows of a matrix.
    ///
    /// # Shapes
    /// - `values`: `[m, n]`; output: `[1, n]`
    #[fusion(dtype = values, shape = [1, values[1]].into())]
    fn row_sums(values: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The sum of all numbers, or their mean.
    ///
    /// # Shapes
    /// - `values`: any; output: `[1]`
    #[fusion(dtype = values, shape = [1].into())]
    fn total(values: FloatTensor<Self>, mean: bool) -> FloatTensor<Self>;

    /// Weighted sums of rows: the product of the sparse matrix, or of its transpose, with the table.
    ///
    /// # Shapes
    /// - `values`: `[m, d]`
    /// - output: `[rows, d]`; rows beyond the matrix are zero
    #[fusion(dtype = values, shape = [*rows, values[1]].into())]
    fn sparse_product(values: FloatTensor<Self>, matrix: Arc<Csr>, transposed: bool, rows: usize) -> FloatTensor<Self>;

    /// For each list and channel the largest number among the rows, and at which entry of the list it stands, the first of
    /// equal ones; zero and −1 for a list without entries.
    ///
    /// # Shapes
    /// - `values`: `[m, d]`
    /// - output: `[n, d]` twice
    #[fusion(meta = |values, lists| largest_output(values, lists.len()))]
    fn largest(values: FloatTensor<Self>, lists: Arc<Csr>) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Gradient of `values` of [`Kernels::largest`], of `rows` rows, from that of its first output and the second.
    #[fusion(dtype = gradient, shape = [*rows, gradient[1]].into())]
    fn largest_backward(
        gradient: FloatTensor<Self>,
        places: FloatTensor<Self>,
        lists: Arc<Csr>,
        rows: usize,
    ) -> FloatTensor<Self>;

    /// Softmax over the members of each set, dropout on the weights, weighted sum; and the logarithm of the
    /// normaliser. `seed` holds one number below 2²⁴ that decides which weights are dropped.
    ///
    /// # Shapes
    /// - `scores`: `[m, c]` with c = d, or c = 1 for the same weights in every channel; `values`: `[m, d]`
    /// - output: `[n, d]` and `[n, c]`
    #[fusion(meta = |scores, values, _seed, sets, _dropout| pool_output(scores, values, sets.len()))]
    fn set_attention(
        scores: FloatTensor<Self>,
        values: FloatTensor<Self>,
        seed: FloatTensor<Self>,
        sets: Arc<Csr>,
        dropout: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of `scores` and `values` of [`Kernels::set_attention`], from that of its first output.
    #[fusion(meta = |_gradient, scores, values, _output, _norm, _seed, _sets, _dropout| (scores.clone(), values.clone()))]
    #[allow(clippy::too_many_arguments)]
    fn set_attention_backward(
        gradient: FloatTensor<Self>,
        scores: FloatTensor<Self>,
        values: FloatTensor<Self>,
        output: FloatTensor<Self>,
        norm: FloatTensor<Self>,
        seed: FloatTensor<Self>,
        sets: Arc<Csr>,
        dropout: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Zero at the places that `seed` decides, grown by 1 / (1 − probability) elsewhere.
    ///
    /// # Shapes
    /// - output: that of `values`
    #[fusion(dtype = values, shape = values)]
    fn dropout(values: FloatTensor<Self>, seed: FloatTensor<Self>, probability: f32) -> FloatTensor<Self>;

    /// One update of Adam in one pass over memory: the new parameter and moments, in the places of the old ones where
    /// nothing else holds them.
    ///
    /// # Shapes
    /// - all: the parameter's
    #[fusion(meta = |parameter, _gradient, mean, square, _step| (parameter.clone(), mean.clone(), square.clone()))]
    fn adam(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        square: FloatTensor<Self>,
        step: AdamStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

#[cfg(cube)]
fn matrix_shape(left: &Shape, right: &Shape, transposed: [bool; 2]) -> Shape {
    [left[usize::from(transposed[0])], right[usize::from(!transposed[1])]].into()
}

#[cfg(cube)]
fn attention_output(target: &TensorSpec, values: &TensorSpec) -> (TensorSpec, TensorSpec) {
    let output = TensorSpec::new([target.shape[0], values.shape[1]].into(), values.dtype);
    (output, target.clone())
}

#[cfg(cube)]
fn largest_output(values: &TensorSpec, lists: usize) -> (TensorSpec, TensorSpec) {
    let output = TensorSpec::new([lists, values.shape[1]].into(), values.dtype);
    (output.clone(), output)
}

#[cfg(cube)]
fn pool_output(scores: &TensorSpec, values: &TensorSpec, sets: usize) -> (TensorSpec, TensorSpec) {
    let of = |spec: &TensorSpec| TensorSpec::new([sets, spec.shape[1]].into(), spec.dtype);
    (of(values), of(scores))
}
