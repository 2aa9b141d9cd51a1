//! Softmax over sets fused with the weighted sum: a thread for each set and channel, and for each row and channel in the
//! backward pass.

use super::dropout::factor;
use super::reduce::sum_units;
use super::{Csr, UNITS, buffers, cubes, dims, empty, row_products, thread_number, threads};
use crate::ops::Precision;
use crate::ops::dropped::Dropped;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

/// Output, and the log-sum-exp of the scores.
pub(super) fn forward(
    scores: CubeTensor,
    values: CubeTensor,
    sets: &Csr,
    dropped: Dropped,
) -> (CubeTensor, CubeTensor) {
    let ([_, channels], [_, width]) = (dims(&scores), dims(&values));
    let lists = buffers::lists(sets, &values);
    let output = empty(&values, sets.len(), width);
    let log_sum_exp = empty(&values, sets.len(), channels);
    fuse::launch(
        &values.client,
        threads(sets.len() * width),
        CubeDim::new_1d(UNITS),
        lists.offsets.into_buffer_arg(),
        lists.members.into_buffer_arg(),
        scores.into_buffer_arg(),
        values.clone().into_buffer_arg(),
        output.clone().into_buffer_arg(),
        log_sum_exp.clone().into_buffer_arg(),
        sets.len(),
        width,
        dropped.key,
        dropped.threshold,
        dropped.scale,
        channels == 1,
    );
    (output, log_sum_exp)
}

/// Gradients of scores and values, from the gradient of the output, the inputs, the output and the log-sum-exp.
#[expect(clippy::too_many_lines, reason = "launches of kernels, an argument a line")]
pub(super) fn backward(tensors: [CubeTensor; 5], sets: &Csr, dropped: Dropped) -> (CubeTensor, CubeTensor) {
    let [gradient, scores, values, output, log_sum_exp] = tensors;
    let ([rows, channels], [_, width]) = (dims(&scores), dims(&values));
    let transposed = buffers::transposed(sets, &values);
    let d_scores = empty(&values, rows, channels);
    let d_values = empty(&values, rows, width);
    let one_weight = channels == 1 && width > 1;
    collect::launch(
        &values.client,
        threads(rows * width),
        CubeDim::new_1d(UNITS),
        transposed.offsets.clone().into_buffer_arg(),
        transposed.outputs.clone().into_buffer_arg(),
        transposed.positions.clone().into_buffer_arg(),
        gradient.clone().into_buffer_arg(),
        scores.clone().into_buffer_arg(),
        values.clone().into_buffer_arg(),
        output.clone().into_buffer_arg(),
        log_sum_exp.clone().into_buffer_arg(),
        d_scores.clone().into_buffer_arg(),
        d_values.clone().into_buffer_arg(),
        rows,
        sets.columns(),
        width,
        dropped.key,
        dropped.threshold,
        dropped.scale,
        one_weight,
    );
    if one_weight {
        let shared = row_products(gradient.clone(), output, 1, Precision::F32);
        score_gradients::launch(
            &values.client,
            cubes(rows),
            CubeDim::new_1d(64),
            transposed.offsets.into_buffer_arg(),
            transposed.outputs.into_buffer_arg(),
            transposed.positions.into_buffer_arg(),
            gradient.into_buffer_arg(),
            scores.into_buffer_arg(),
            values.clone().into_buffer_arg(),
            shared.into_buffer_arg(),
            log_sum_exp.into_buffer_arg(),
            d_scores.clone().into_buffer_arg(),
            rows,
            sets.columns(),
            width,
            dropped.key,
            dropped.threshold,
            dropped.scale,
        );
    }
    (d_scores, d_values)
}

/// One channel of one set.
#[cube(launch)]
fn fuse(
    offsets: &[u32],
    members: &[u32],
    scores: &[f32],
    values: &[f32],
    output: &mut [f32],
    log_sum_exp: &mut [f32],
    n: usize,
    width: usize,
    key: u32,
    threshold: u32,
    scale: f32,
    #[comptime] one_weight: bool,
) {
    let number = thread_number();
    if number >= n * width {
        terminate!();
    }
    let (set, channel) = (number / width, number % width);
    let (first, end) = (offsets[set] as usize, offsets[set + 1] as usize);
    let mut top = f32::new(-3.0e38);
    for k in first..end {
        let member = members[k] as usize;
        let score = if one_weight { scores[member] } else { scores[member * width + channel] };
        if score > top {
            top = score;
        }
    }
    let mut total = 0.0f32;
    let mut sum = 0.0f32;
    for k in first..end {
        let member = members[k] as usize;
        let score = if one_weight { scores[member] } else { scores[member * width + channel] };
        let weight = (score - top).exp();
        total += weight;
        let place = if one_weight { k as u32 } else { (k * width + channel) as u32 };
        sum += weight * factor(place, key, threshold, scale) * values[member * width + channel];
    }
    // An empty set has the zero vector, and a log-sum-exp that nothing reads.
    let mut log_total = 0.0f32;
    if end > first {
        sum /= total;
        log_total = top + total.ln();
    }
    output[number] = sum;
    if one_weight {
        if channel == 0 {
            log_sum_exp[set] = log_total;
        }
    } else {
        log_sum_exp[number] = log_total;
    }
}

/// One channel of one row: what the sets that hold it send back.
#[cube(launch)]
fn collect(
    offsets: &[u32],
    outputs: &[u32],
    positions: &[u32],
    gradient: &[f32],
    scores: &[f32],
    values: &[f32],
    output: &[f32],
    log_sum_exp: &[f32],
    d_scores: &mut [f32],
    d_values: &mut [f32],
    n: usize,
    lists: usize,
    width: usize,
    key: u32,
    threshold: u32,
    scale: f32,
    #[comptime] one_weight: bool,
) {
    let number = thread_number();
    if number >= n * width {
        terminate!();
    }
    let (row, channel) = (number / width, number % width);
    let mut first = 0usize;
    let mut end = 0usize;
    if row < lists {
        first = offsets[row] as usize;
        end = offsets[row + 1] as usize;
    }
    let score = if one_weight { scores[row] } else { scores[number] };
    let value = values[number];
    let mut d_value = 0.0f32;
    let mut d_score = 0.0f32;
    for k in first..end {
        let set = outputs[k] as usize;
        let at = set * width + channel;
        let log_total = if one_weight { log_sum_exp[set] } else { log_sum_exp[at] };
        let weight = (score - log_total).exp();
        let place = if one_weight { positions[k] } else { positions[k] * width as u32 + channel as u32 };
        let factor = factor(place, key, threshold, scale);
        d_value += weight * factor * gradient[at];
        if !one_weight {
            d_score += weight * gradient[at] * (factor * value - output[at]);
        }
    }
    d_values[number] = d_value;
    if !one_weight {
        d_scores[number] = d_score;
    }
}

/// The gradient of the one score of a row: a cube for each row, whose units share the channels.
#[cube(launch)]
fn score_gradients(
    offsets: &[u32],
    outputs: &[u32],
    positions: &[u32],
    gradient: &[f32],
    scores: &[f32],
    values: &[f32],
    shared: &[f32],
    log_sum_exp: &[f32],
    d_scores: &mut [f32],
    n: usize,
    lists: usize,
    width: usize,
    key: u32,
    threshold: u32,
    scale: f32,
) {
    let row = (CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X) as usize;
    if row >= n {
        terminate!();
    }
    let mut buffer = Shared::<[f32]>::new_slice(UNITS as usize);
    let mut first = 0usize;
    let mut end = 0usize;
    if row < lists {
        first = offsets[row] as usize;
        end = offsets[row + 1] as usize;
    }
    let mut sum = 0.0f32;
    for k in first..end {
        let set = outputs[k] as usize;
        let weight = (scores[row] - log_sum_exp[set]).exp();
        let factor = factor(positions[k], key, threshold, scale);
        let mut channel = UNIT_POS_X as usize;
        while channel < width {
            sum += weight * factor * gradient[set * width + channel] * values[row * width + channel];
            channel += CUBE_DIM_X as usize;
        }
        if UNIT_POS_X == 0 {
            sum -= weight * shared[set];
        }
    }
    let total = sum_units(&mut buffer, sum);
    if UNIT_POS_X == 0 {
        d_scores[row] = total;
    }
}
