//! Activations between two bounds.

use super::edges::on_cpu;
use super::kernels::{Activation, Kernels};
use burn::backend::Dispatch;
use burn::tensor::{Tensor, activation};

/// The hyperbolic tangent, as [`activation::tanh`] has it, and on other devices than the CPU that itself. On the CPU it
/// takes vector instructions, where burn calls the C library for each number.
///
/// # Shapes
/// - output: that of `values`
pub fn tanh<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    match is_for_kernel(&values) {
        true => Tensor::from_dispatch(Dispatch::activate(values.into_dispatch(), Activation::Tanh)),
        false => activation::tanh(values),
    }
}

/// The logistic function, as [`activation::sigmoid`] has it, and on other devices than the CPU that itself; see [`tanh`].
///
/// # Shapes
/// - output: that of `values`
pub fn sigmoid<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    match is_for_kernel(&values) {
        true => Tensor::from_dispatch(Dispatch::activate(values.into_dispatch(), Activation::Sigmoid)),
        false => activation::sigmoid(values),
    }
}

fn is_for_kernel<const D: usize>(values: &Tensor<D>) -> bool {
    on_cpu(values) && values.shape().num_elements() > 0
}
