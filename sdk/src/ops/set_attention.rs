//! Attention over the members of sets.

use super::kernels::Kernels;
use crate::data::Sets;
use burn::backend::Dispatch;
use burn::nn::Dropout;
use burn::tensor::{Distribution, Tensor};

/// Seeds of dropout are drawn below this; a 32-bit number holds them exactly.
const SEEDS: f64 = 16_777_216.0;

/// Softmax over the members of each set, separately for every channel, and the weighted sum of the members:
///
/// output_s = Σ_{m ∈ s} dropout(softmax_{m ∈ s}(scores_m)) ∘ values_m.
///
/// Repeats in a set count; an empty set gives the zero vector. Which weights are dropped follows from one number drawn
/// on the device, so `device.seed` decides it.
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
    let device = values.device();
    let active = dropout.training.is_enabled() && device.is_autodiff() && dropout.prob > 0.0;
    let device = device.without_autodiff();
    let seed = match active {
        true => Tensor::<1>::random([1], Distribution::Uniform(0.0, SEEDS), &device),
        false => Tensor::zeros([1], &device),
    };
    let seed = seed.cast(values.dtype()).floor();
    let probability = if active { dropout.prob as f32 } else { 0.0 };
    let [scores, values] = [scores, values].map(Tensor::into_dispatch);
    let (output, _) = Dispatch::set_attention(scores, values, seed.into_dispatch(), index, probability);
    Tensor::from_dispatch(output)
}
