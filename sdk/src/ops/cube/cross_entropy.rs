//! Cross-entropy of independent labels from logits, and its gradient.

use super::vectors::{LEAST_SUMMED, PARTS, sum_parts};
use super::{UNITS, empty, thread_number, threads};
use crate::ops::cube::reduce::sum_units;
use crate::ops::kernels::Entropy;
use burn::backend::TensorMetadata;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

/// The mean over all logits: `[1]`.
pub(super) fn forward(logits: CubeTensor, targets: CubeTensor, terms: Entropy) -> CubeTensor {
    let size = logits.shape().num_elements();
    let parts = (size / LEAST_SUMMED).clamp(1, PARTS);
    let sums = empty(&logits, parts, 1);
    entropies::launch(
        &logits.client,
        CubeCount::Static(parts as u32, 1, 1),
        CubeDim::new_1d(UNITS),
        logits.clone().into_buffer_arg(),
        targets.into_buffer_arg(),
        sums.clone().into_buffer_arg(),
        size,
        1.0 / size as f32,
        terms.positive,
        terms.negative,
        terms.epsilon,
        terms.epsilon == 0.0,
    );
    sum_parts(sums)
}

/// The gradient of each logit, from that of the mean.
pub(super) fn backward(gradient: CubeTensor, logits: CubeTensor, targets: CubeTensor, terms: Entropy) -> CubeTensor {
    let (shape, size) = (logits.shape(), logits.shape().num_elements());
    let output = empty_device_contiguous_dtype(logits.client.clone(), logits.device.clone(), shape, logits.dtype);
    gradients::launch(
        &output.client,
        threads(size),
        CubeDim::new_1d(UNITS),
        gradient.into_buffer_arg(),
        logits.into_buffer_arg(),
        targets.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        size,
        1.0 / size as f32,
        terms.positive,
        terms.negative,
        terms.epsilon,
        terms.epsilon == 0.0,
    );
    output
}

/// Sums of −P y ln(σ(z) + ε) − N (1 − y) ln(1 − σ(z) + ε), times `scale`: one a cube. Without ε as max(∓z, 0) + ln(1 + e^{−|z|}).
#[cube(launch)]
fn entropies(
    logits: &[f32],
    targets: &[f32],
    sums: &mut [f32],
    size: usize,
    scale: f32,
    positive: f32,
    negative: f32,
    epsilon: f32,
    #[comptime] plain: bool,
) {
    let mut buffer = Shared::<[f32]>::new_slice(UNITS as usize);
    let mut at = thread_number();
    let mut sum = 0.0f32;
    while at < size {
        let (z, y) = (logits[at], targets[at]);
        let small = (-z.abs()).exp();
        if plain {
            let rest = small.log1p();
            let there = (z.abs() - z) * 0.5 + rest;
            let absent = (z.abs() + z) * 0.5 + rest;
            sum += positive * y * there + negative * (1.0 - y) * absent;
        } else {
            let (there, absent) = probabilities(z, small);
            sum -= positive * y * (there + epsilon).ln() + negative * (1.0 - y) * (absent + epsilon).ln();
        }
        at += (CUBE_COUNT_X * CUBE_DIM_X) as usize;
    }
    let total = sum_units(&mut buffer, sum);
    if UNIT_POS_X == 0 {
        sums[CUBE_POS_X as usize] = total * scale;
    }
}

/// σ(z) and 1 − σ(z), from e^{−|z|}.
#[cube]
fn probabilities(z: f32, small: f32) -> (f32, f32) {
    let more = 1.0 / (1.0 + small);
    let less = small / (1.0 + small);
    let there = if z < 0.0 { less } else { more };
    let absent = if z < 0.0 { more } else { less };
    (there, absent)
}

#[cube(launch)]
fn gradients(
    gradient: &[f32],
    logits: &[f32],
    targets: &[f32],
    output: &mut [f32],
    size: usize,
    scale: f32,
    positive: f32,
    negative: f32,
    epsilon: f32,
    #[comptime] plain: bool,
) {
    let at = thread_number();
    if at >= size {
        terminate!();
    }
    let (z, y) = (logits[at], targets[at]);
    let (there, absent) = probabilities(z, (-z.abs()).exp());
    let mut of_there = absent;
    let mut of_absent = there;
    if !plain {
        of_there = there * absent / (there + epsilon);
        of_absent = there * absent / (absent + epsilon);
    }
    output[at] = (negative * (1.0 - y) * of_absent - positive * y * of_there) * gradient[0] * scale;
}
