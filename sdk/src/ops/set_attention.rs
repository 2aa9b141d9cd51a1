//! Attention over the members of sets.

use super::Sets;
use super::dropout::active;
use super::kernels::Kernels;
use burn::backend::Dispatch;
use burn::nn::Dropout;
use burn::tensor::Tensor;

/// Softmax over the members of each set, separately for every channel, and the weighted sum of the members:
///
/// output_s = Σ_{m ∈ s} dropout(softmax_{m ∈ s}(scores_m)) ∘ values_m.
///
/// Repeats in a set count; an empty set gives the zero vector. Which weights are dropped follows from one number, as in
/// [`dropout`](super::dropout()).
///
/// One fused kernel forward and one backward, with O(members · d) work; neither the gathered members nor a dropout mask
/// are ever in memory.
///
/// # Shapes
/// - `scores`: `[rows, d]`, or `[rows, 1]` for the same weights in every channel
/// - `values`: `[rows, d]`; `sets` points into the rows of both
/// - output: `[sets.len(), d]`
///
/// # Panics
/// When the shapes differ from these or a set has a member that is no row.
pub fn softmax_pool(scores: Tensor<2>, values: Tensor<2>, sets: &Sets, dropout: &Dropout) -> Tensor<2> {
    let ([rows, channels], [value_rows, d]) = (scores.dims(), values.dims());
    assert!(
        rows == value_rows && (channels == d || channels == 1),
        "pooling with scores {:?} and values {:?}",
        scores.dims(),
        values.dims()
    );
    let index = sets.index();
    assert!(index.columns() <= rows, "row {} of a table of {rows} rows", index.columns());
    if rows == 0 || sets.is_empty() || d == 0 {
        return Tensor::zeros([sets.len(), d], &values.device());
    }
    let dropped = active(dropout, &values.device());
    let [scores, values] = [scores, values].map(Tensor::into_dispatch);
    let (output, _) = Dispatch::set_attention(scores, values, index, dropped);
    Tensor::from_dispatch(output)
}
