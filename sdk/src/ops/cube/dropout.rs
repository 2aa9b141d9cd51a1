//! Dropout: which places are dropped, and kernels that drop them, alone or after a bias and ReLU.

use super::{UNITS, dims, thread_number, threads, with_pitch};
use crate::ops::dropped::Dropped;
use burn::backend::TensorMetadata;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

/// Mixes 32 bits, as [`Dropped`] does.
#[cube]
fn hash(x: u32) -> u32 {
    let x = (x ^ (x >> 16u32)) * 0x7feb_352du32;
    let x = (x ^ (x >> 15u32)) * 0x846c_a68bu32;
    x ^ (x >> 16u32)
}

/// 0 for a dropped place, `scale` for the others.
#[cube]
pub(super) fn factor(place: u32, key: u32, threshold: u32, scale: f32) -> f32 {
    let mut factor = scale;
    if hash(place ^ key) >> 8u32 < threshold {
        factor = 0.0f32;
    }
    factor
}

/// Drops by the place of each number.
pub(super) fn drop_places(values: CubeTensor, dropped: Dropped) -> CubeTensor {
    let output = alike(&values);
    let count = values.shape().num_elements();
    if count > 0 {
        scale_places::launch(
            &output.client,
            threads(count),
            CubeDim::new_1d(UNITS),
            values.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            count,
            dropped.key,
            dropped.threshold,
            dropped.scale,
        );
    }
    output
}

/// A row added, negative numbers cut off, then dropout.
pub(super) fn rectify(values: CubeTensor, row: CubeTensor, dropped: Dropped) -> CubeTensor {
    let output = alike(&values);
    let [rows, width] = dims(&values);
    rectify_rows::launch(
        &output.client,
        threads(rows * width),
        CubeDim::new_1d(UNITS),
        values.into_buffer_arg(),
        row.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        rows * width,
        width,
        dropped.key,
        dropped.threshold,
        dropped.scale,
    );
    output
}

/// The gradient of what was rectified: where the output is not 0, it was neither cut off nor dropped.
pub(super) fn rectify_backward(gradient: CubeTensor, output: CubeTensor, scale: f32) -> CubeTensor {
    let to = alike(&gradient);
    let [rows, width] = dims(&gradient);
    let (gradient, pitch) = with_pitch(gradient);
    pass_positive::launch(
        &to.client,
        threads(rows * width),
        CubeDim::new_1d(UNITS),
        gradient.into_buffer_arg(),
        output.into_buffer_arg(),
        to.clone().into_buffer_arg(),
        rows * width,
        width,
        pitch,
        scale,
    );
    to
}

fn alike(tensor: &CubeTensor) -> CubeTensor {
    let (client, device) = (tensor.client.clone(), tensor.device.clone());
    empty_device_contiguous_dtype(client, device, tensor.shape(), tensor.dtype)
}

#[cube(launch)]
fn scale_places(values: &[f32], output: &mut [f32], count: usize, key: u32, threshold: u32, scale: f32) {
    let place = thread_number();
    if place >= count {
        terminate!();
    }
    output[place] = values[place] * factor(place as u32, key, threshold, scale);
}

#[cube(launch)]
fn rectify_rows(
    values: &[f32],
    row: &[f32],
    output: &mut [f32],
    count: usize,
    width: usize,
    key: u32,
    threshold: u32,
    scale: f32,
) {
    let place = thread_number();
    if place >= count {
        terminate!();
    }
    let sum = values[place] + row[place % width];
    let mut rectified = sum * factor(place as u32, key, threshold, scale);
    if sum <= 0.0 {
        rectified = 0.0f32;
    }
    output[place] = rectified;
}

#[cube(launch)]
fn pass_positive(
    gradient: &[f32],
    output: &[f32],
    to: &mut [f32],
    count: usize,
    width: usize,
    pitch: usize,
    scale: f32,
) {
    let place = thread_number();
    if place >= count {
        terminate!();
    }
    let mut through = gradient[place / width * pitch + place % width] * scale;
    if output[place] <= 0.0 {
        through = 0.0f32;
    }
    to[place] = through;
}
