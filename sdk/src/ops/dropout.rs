//! Dropout without a mask in memory.

use super::dropped::Dropped;
use super::kernels::Kernels;
use crate::device::generator;
use burn::backend::Dispatch;
use burn::nn::Dropout;
use burn::tensor::{Device, Tensor};

/// Dropout as [`Dropout::forward`] has it, in one pass over memory and without a mask: the backward pass drops the same
/// places again. Which ones follows from one number: on the CPU drawn on the device, where `device.seed` decides it, and for
/// other devices on the host, from the seed of the stage.
///
/// # Shapes
/// - output: that of `values`
pub fn dropout<const D: usize>(values: Tensor<D>, dropout: &Dropout) -> Tensor<D> {
    let dropped = active(dropout, &values.device());
    if dropped == Dropped::NOTHING || values.shape().num_elements() == 0 {
        return values;
    }
    Tensor::from_dispatch(Dispatch::dropout(values.into_dispatch(), dropped))
}

/// What is dropped this time; nothing outside training.
pub(super) fn active(dropout: &Dropout, device: &Device) -> Dropped {
    match dropout.training.is_enabled() && device.is_autodiff() && dropout.prob > 0.0 {
        true => Dropped::new(generator::draw(device), dropout.prob as f32),
        false => Dropped::NOTHING,
    }
}
