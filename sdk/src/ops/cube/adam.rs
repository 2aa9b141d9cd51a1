//! Adam in one pass over memory: a thread for each number.

use super::{UNITS, cubes};
use crate::ops::kernels::AdamStep;
use burn::backend::TensorMetadata;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

/// Updates parameter, mean and mean square in place.
pub(super) fn update(
    parameter: &CubeTensor,
    gradient: CubeTensor,
    mean: &CubeTensor,
    square: &CubeTensor,
    step: &AdamStep,
) {
    let count = parameter.shape().num_elements();
    if count == 0 {
        return;
    }
    let (rate, root) = step.factors();
    step_numbers::launch(
        &parameter.client,
        cubes(count.div_ceil(UNITS as usize)),
        CubeDim::new_1d(UNITS),
        parameter.clone().into_buffer_arg(),
        gradient.into_buffer_arg(),
        mean.clone().into_buffer_arg(),
        square.clone().into_buffer_arg(),
        count,
        step.beta1 as f32,
        step.beta2 as f32,
        (1.0 - step.beta1) as f32,
        (1.0 - step.beta2) as f32,
        rate as f32,
        root as f32,
        step.epsilon as f32,
    );
}

/// m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², p ← p − lr / (1 − β₁ᵗ) · m / (√(v / (1 − β₂ᵗ)) + ε), as PyTorch.
#[cube(launch)]
fn step_numbers(
    parameter: &mut [f32],
    gradient: &[f32],
    mean: &mut [f32],
    square: &mut [f32],
    count: usize,
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    rate: f32,
    root: f32,
    epsilon: f32,
) {
    let i = ((CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X) * CUBE_DIM_X + UNIT_POS_X) as usize;
    if i >= count {
        terminate!();
    }
    let g = gradient[i];
    let m = beta1 * mean[i] + rest1 * g;
    let v = beta2 * square[i] + rest2 * g * g;
    mean[i] = m;
    square[i] = v;
    parameter[i] -= rate * m / (v.sqrt() * root + epsilon);
}
