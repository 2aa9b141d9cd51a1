//! Products of dense matrices.

use super::Precision;
use super::dropout::active;
use super::dropped::Dropped;
use super::kernels::{Entropy, Kernels};
use burn::backend::Dispatch;
use burn::nn::{Dropout, Linear};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Tensor, TensorData};
use std::cell::Cell;
use std::sync::Arc;

/// The product of two matrices: what [`Tensor::matmul`] computes, and on the CPU that itself.
///
/// On a GPU, burn's own multiplies in TF32, which keeps 10 bits of each factor. This one computes in 32 bits, with a kernel
/// chosen by the shapes alone, unless the manifest asks for TF32.
///
/// # Shapes
/// - `left`: `[m, k]`, `right`: `[k, n]`
/// - output: `[m, n]`
///
/// # Panics
/// When the inner sizes differ.
pub fn matmul(left: Tensor<2>, right: Tensor<2>) -> Tensor<2> {
    let ([m, k], [inner, n]) = (left.dims(), right.dims());
    assert!(k == inner, "a matrix of {k} columns cannot multiply one of {inner} rows");
    if m * k * n == 0 {
        return Tensor::zeros([m, n], &left.device());
    }
    let precision = FACTORS.get();
    Tensor::from_dispatch(Dispatch::matrix_product(left.into_dispatch(), right.into_dispatch(), [false; 2], precision))
}

/// The products of consecutive groups of rows, each with a matrix of its own: what PyG calls `segment_matmul`. `ends` says
/// where each group's rows end; a group has at least one.
///
/// # Shapes
/// - `values`: `[m, k]`, m being the last of `ends`
/// - `matrices`: `[groups · k, n]`, one below the other
/// - output: `[m, n]`
///
/// # Panics
/// When these sizes do not fit together.
pub fn segment_matmul(values: Tensor<2>, matrices: Tensor<2>, ends: &Arc<Vec<usize>>) -> Tensor<2> {
    let ([m, k], [all, _]) = (values.dims(), matrices.dims());
    assert!(all == ends.len() * k, "{all} rows of matrices for {} groups of {k} columns", ends.len());
    let grow = ends.first().is_some_and(|&end| end > 0) && ends.windows(2).all(|two| two[0] < two[1]);
    assert!(grow && ends.last() == Some(&m), "groups that end at {ends:?} for {m} rows");
    let (values, matrices) = (values.into_dispatch(), matrices.into_dispatch());
    Tensor::from_dispatch(Dispatch::segment_product(values, matrices, ends.clone(), false))
}

thread_local! {
    /// The precision of the factors in this thread's products of matrices.
    static FACTORS: Cell<Precision> = const { Cell::new(Precision::F32) };
}

/// Does `work`, whose products of matrices on this thread take their factors in `precision`; so do, later, the products of
/// their gradients.
pub(crate) fn multiplying<R>(precision: Precision, work: impl FnOnce() -> R) -> R {
    /// Sets it back, on a panic, too.
    struct Back(Precision);
    impl Drop for Back {
        fn drop(&mut self) {
            FACTORS.set(self.0);
        }
    }
    let _back = Back(FACTORS.replace(precision));
    work()
}

/// A matrix with a row added to each of its rows: a bias. Its gradient, a sum over all rows, has a kernel of its own.
///
/// # Shapes
/// - `values`, output: `[m, n]`
/// - `row`: `[n]`
///
/// # Panics
/// When the widths differ.
pub fn add_row(values: Tensor<2>, row: Tensor<1>) -> Tensor<2> {
    let ([m, n], [width]) = (values.dims(), row.dims());
    assert!(n == width, "a row of {width} numbers for a matrix of {n} columns");
    if m * n == 0 {
        return values;
    }
    Tensor::from_dispatch(Dispatch::add_row(values.into_dispatch(), row.unsqueeze_dim::<2>(0).into_dispatch()))
}

/// A matrix with a row added to each of its rows, ReLU and, where there is one, dropout: what [`add_row`], [`relu`] and
/// [`dropout`](super::dropout) compute, and on the CPU these themselves. On GPUs it is one kernel.
///
/// # Shapes
/// - `values`, output: `[m, n]`
/// - `row`: `[n]`
///
/// # Panics
/// When the widths differ.
pub fn add_row_relu(values: Tensor<2>, row: Tensor<1>, dropout: Option<&Dropout>) -> Tensor<2> {
    let (device, [m, n], [width]) = (values.device(), values.dims(), row.dims());
    assert!(n == width, "a row of {width} numbers for a matrix of {n} columns");
    if m * n == 0 || device.clone().without_autodiff() == Device::flex() {
        let output = relu(add_row(values, row));
        return match dropout {
            Some(dropout) => super::dropout(output, dropout),
            None => output,
        };
    }
    let dropped = dropout.map_or(Dropped::NOTHING, |dropout| active(dropout, &device));
    let row = row.unsqueeze_dim::<2>(0).into_dispatch();
    Tensor::from_dispatch(Dispatch::rectify(values.into_dispatch(), row, dropped))
}

/// The products a · x of each row x and head: with `heads` = 1 a product with a vector.
///
/// # Shapes
/// - `x`: `[rows, heads * d]`, head after head
/// - `a`: `[1, heads, d]`
/// - output: `[rows, heads]`
pub fn head_products(x: Tensor<2>, a: Tensor<3>) -> Tensor<2> {
    let ([rows, _], [_, heads, d]) = (x.dims(), a.dims());
    if heads == 1 {
        return matmul(x, a.reshape([d, 1])); // [rows, 1]
    }
    if x.device().without_autodiff() == Device::flex() {
        return (x.reshape([rows, heads, d]) * a).sum_dim(2).squeeze_dim(2); // [rows, heads]
    }
    // As one product with a matrix that has the numbers of a head in the column of that head, and zeros elsewhere.
    let own: Vec<f32> = (0..heads * d * heads).map(|i| f32::from(i / heads / d == i % heads)).collect();
    let own = Tensor::<2>::from_data(TensorData::new(own, [heads * d, heads]), &x.device().without_autodiff());
    matmul(x, own * a.reshape([heads * d, 1]))
}

/// The mean of all numbers, as [`Tensor::mean`] has it, and on the CPU that itself. On GPUs burn adds them up on a single
/// multiprocessor, and so are its sums along the longer side of a tall matrix.
///
/// # Shapes
/// - output: `[1]`
pub fn mean<const D: usize>(values: Tensor<D>) -> Tensor<1> {
    total(values, true)
}

/// The sum of all numbers, as [`Tensor::sum`] has it; see [`mean`].
///
/// # Shapes
/// - output: `[1]`
pub fn sum<const D: usize>(values: Tensor<D>) -> Tensor<1> {
    total(values, false)
}

fn total<const D: usize>(values: Tensor<D>, mean: bool) -> Tensor<1> {
    if values.shape().num_elements() == 0 {
        return if mean { values.mean() } else { values.sum() };
    }
    Tensor::from_dispatch(Dispatch::total(values.into_dispatch(), mean))
}

/// A linear layer, as [`Linear::forward`] has it, by [`matmul`].
///
/// # Shapes
/// - `x`: `[…, input]`
/// - output: `[…, output]`
///
/// # Panics
/// When the last axis of `x` is not the layer's input.
pub fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    if x.device().without_autodiff() == Device::flex() {
        return layer.forward(x);
    }
    let mut shape = x.dims();
    let [input, output] = layer.weight.dims();
    let rows = shape[..D - 1].iter().product::<usize>();
    assert!(shape[D - 1] == input, "{} columns for a layer of {input}", shape[D - 1]);
    let out = matmul(x.reshape([rows, input]), layer.weight.val());
    let out = match &layer.bias {
        Some(bias) => add_row(out, bias.val()),
        None => out,
    };
    shape[D - 1] = output;
    out.reshape(shape)
}

/// A linear layer, ReLU and, where there is one, dropout: what [`linear`], [`relu`] and [`Dropout::forward`] compute, and on
/// the CPU these themselves. On GPUs, all after the product is one kernel.
///
/// # Shapes
/// - `x`: `[rows, input]`
/// - output: `[rows, output]`
///
/// # Panics
/// When `x` has other columns than the layer's input.
pub fn linear_relu(layer: &Linear, x: Tensor<2>, dropout: Option<&Dropout>) -> Tensor<2> {
    let device = x.device();
    let numbers = x.dims()[0] * layer.weight.dims()[1];
    let bias = layer.bias.as_ref().filter(|_| device.clone().without_autodiff() != Device::flex() && numbers > 0);
    let Some(bias) = bias else {
        let output = relu(linear(layer, x));
        return match dropout {
            Some(dropout) => dropout.forward(output),
            None => output,
        };
    };
    add_row_relu(matmul(x, layer.weight.val()), bias.val(), dropout)
}

/// Binary cross-entropy from logits, averaged over all entries: the mean of −y ln σ(z) − (1 − y) ln(1 − σ(z)), computed as
/// max(z, 0) − z y + ln(1 + e^{−|z|}), which never overflows. On GPUs it is a kernel, and so is its gradient.
///
/// # Shapes
/// - `logits`, `targets`: `[rows, columns]`; targets are constants
/// - output: `[1]`
///
/// # Panics
/// When the shapes differ.
pub fn binary_cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    assert!(logits.dims() == targets.dims(), "logits {:?} and targets {:?}", logits.dims(), targets.dims());
    if logits.device().without_autodiff() == Device::flex() || logits.shape().num_elements() == 0 {
        let size = logits.clone().abs();
        // (z + |z|) / 2 is max(z, 0) with the slope ½ at 0, where max has none.
        let positive_part = (logits.clone() + size.clone()) * 0.5;
        return mean(positive_part - logits * targets + size.neg().exp().log1p()); // [1]
    }
    Tensor::from_dispatch(Dispatch::cross_entropy(logits.into_dispatch(), targets.into_dispatch(), Entropy::PLAIN))
}

/// The same with weights for positives and negatives, and ε = `epsilon` inside the logarithms, which bounds the loss of
/// an entry: the mean of −P y ln(σ(z) + ε) − N (1 − y) ln(1 − σ(z) + ε). `weights` are P and N.
///
/// # Shapes
/// - `logits`, `targets`: `[rows, columns]`; targets are constants
/// - output: `[1]`
///
/// # Panics
/// When the shapes differ, or `epsilon` is 0.
pub fn weighted_cross_entropy(logits: Tensor<2>, targets: Tensor<2>, weights: [f64; 2], epsilon: f64) -> Tensor<1> {
    assert!(logits.dims() == targets.dims(), "logits {:?} and targets {:?}", logits.dims(), targets.dims());
    assert!(epsilon as f32 > 0.0, "an ε of {epsilon}");
    let [positive, negative] = weights;
    if logits.device().without_autodiff() == Device::flex() || logits.shape().num_elements() == 0 {
        let p = sigmoid(logits);
        let there = targets.clone() * (p.clone() + epsilon).log() * positive;
        let absent = (targets.neg() + 1.0) * (p.neg() + 1.0 + epsilon).log() * negative;
        return mean(there + absent).neg(); // [1]
    }
    let terms = Entropy { positive: positive as f32, negative: negative as f32, epsilon: epsilon as f32 };
    Tensor::from_dispatch(Dispatch::cross_entropy(logits.into_dispatch(), targets.into_dispatch(), terms))
}
