//! Kernels put together from others, for backends without one for all of it.

use super::{Activation, Kernels};
use crate::ops::Precision;
use crate::ops::dropped::Dropped;
use crate::ops::relations::Relations;
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;

/// A layer of R-GCN from `h`, `weight`, `bias` and `matrices` by other kernels, for devices without one for all of it.
pub(in super::super) fn composed<B: Kernels>(
    [h, weight, bias, matrices]: [FloatTensor<B>; 4],
    relations: &Relations,
) -> FloatTensor<B> {
    let [batch, k, n] = sizes::<B>(&h, &weight);
    let (nodes, rows) = (relations.nodes(), relations.arriving().len());
    let arrived = B::sparse_product(h.clone(), relations.arriving().clone(), false, rows); // [rows, batch · k]
    let arrived = reshaped::<B>(arrived, rows * batch, k);
    let turned = B::segment_product(arrived, matrices, relations.ends(batch), false); // [rows · batch, n]
    let turned = reshaped::<B>(turned, rows, batch * n);
    let added = B::sparse_product(turned, relations.adding().clone(), false, nodes); // [nodes, batch · n]
    let own = B::matrix_product(reshaped::<B>(h, nodes * batch, k), weight, [false; 2], Precision::F32);
    let sum = B::float_add(own, reshaped::<B>(added, nodes * batch, n));
    reshaped::<B>(B::rectify(sum, bias, Dropped::NOTHING), nodes, batch * n)
}

/// Gradients of `h`, `weight`, `bias` and `matrices` of [`composed`], from that of its output, the output and inputs. What
/// arrives in rows is summed up once more.
pub(in super::super) fn composed_backward<B: Kernels>(
    [gradient, output, h, weight, matrices]: [FloatTensor<B>; 5],
    relations: &Relations,
) -> [FloatTensor<B>; 4] {
    let [batch, k, n] = sizes::<B>(&h, &weight);
    let (nodes, rows, ends) = (relations.nodes(), relations.arriving().len(), relations.ends(batch));
    let gradient = B::rectify_backward(gradient, output, 1.0); // [nodes, batch · n]
    let of_rows = B::sparse_product(gradient.clone(), relations.adding().clone(), true, rows); // [rows, batch · n]
    let of_rows = reshaped::<B>(of_rows, rows * batch, n);
    let arrived = B::sparse_product(h.clone(), relations.arriving().clone(), false, rows); // [rows, batch · k]
    let arrived = reshaped::<B>(arrived, rows * batch, k);
    let of_matrices = B::segment_gradient(arrived, of_rows.clone(), ends.clone());
    let of_arrived = B::segment_product(of_rows, matrices, ends, true); // [rows · batch, k]
    let of_arrived = reshaped::<B>(of_arrived, rows, batch * k);
    let of_sources = B::sparse_product(of_arrived, relations.arriving().clone(), true, nodes); // [nodes, batch · k]
    let (h, gradient) = (reshaped::<B>(h, nodes * batch, k), reshaped::<B>(gradient, nodes * batch, n));
    let of_weight = B::matrix_product(h, gradient.clone(), [true, false], Precision::F32);
    let of_own = B::matrix_product(gradient.clone(), weight, [false, true], Precision::F32); // [nodes · batch, k]
    let of_h = B::float_add(reshaped::<B>(of_own, nodes, batch * k), of_sources);
    [of_h, of_weight, B::row_sums(gradient), of_matrices]
}

/// Members of the batch, and the numbers that a node has before and after.
fn sizes<B: Kernels>(h: &FloatTensor<B>, weight: &FloatTensor<B>) -> [usize; 3] {
    let (h, weight) = (h.shape(), weight.shape());
    [h[1] / weight[0], weight[0], weight[1]]
}

fn reshaped<B: Kernels>(tensor: FloatTensor<B>, rows: usize, columns: usize) -> FloatTensor<B> {
    B::float_reshape(tensor, [rows, columns].into())
}

/// [`Kernels::activate`] by burn's own functions.
pub(in super::super) fn activate<B: Kernels>(values: FloatTensor<B>, by: Activation) -> FloatTensor<B> {
    match by {
        Activation::Tanh => B::float_tanh(values),
        Activation::Sigmoid => B::sigmoid(values),
    }
}

/// [`Kernels::activate_backward`] by burn's own functions.
pub(in super::super) fn activate_backward<B: Kernels>(
    gradient: FloatTensor<B>,
    output: FloatTensor<B>,
    by: Activation,
) -> FloatTensor<B> {
    match by {
        Activation::Sigmoid => B::sigmoid_backward(output, gradient),
        Activation::Tanh => {
            let square = B::float_mul(output.clone(), output);
            B::float_mul(gradient, B::float_add_scalar(B::float_neg(square), 1f32.into()))
        }
    }
}
