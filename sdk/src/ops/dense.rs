//! Products of dense matrices.

use super::kernels::Kernels;
use burn::backend::Dispatch;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};

/// The product of two matrices: what [`Tensor::matmul`] computes, and on the CPU that itself.
///
/// On a GPU, burn's own multiplies in TF32, which keeps 10 bits of each factor. This one computes in 32 bits, with a kernel
/// chosen by the shapes alone.
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
    Tensor::from_dispatch(Dispatch::matrix_product(left.into_dispatch(), right.into_dispatch(), [false; 2]))
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
