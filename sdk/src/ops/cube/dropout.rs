//! Dropout: which places are dropped, and a kernel that drops them.

use super::{UNITS, thread_number, threads};
use crate::ops::dropout::Dropped;
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
pub(super) fn factor(place: u32, seed: f32, threshold: u32, scale: f32) -> f32 {
    let key = hash(u32::cast_from(seed) ^ 0x9e37_79b9u32);
    let mut factor = scale;
    if hash(place ^ key) >> 8u32 < threshold {
        factor = 0.0f32;
    }
    factor
}

/// Drops by the place of each number.
pub(super) fn drop_places(values: CubeTensor, seed: CubeTensor, probability: f32) -> CubeTensor {
    let (shape, dropped) = (values.shape(), Dropped::new(0, probability));
    let count = shape.num_elements();
    let output = empty_device_contiguous_dtype(values.client.clone(), values.device.clone(), shape, values.dtype);
    if count > 0 {
        scale_places::launch(
            &output.client,
            threads(count),
            CubeDim::new_1d(UNITS),
            values.into_buffer_arg(),
            seed.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            count,
            dropped.threshold,
            dropped.scale,
        );
    }
    output
}

#[cube(launch)]
fn scale_places(values: &[f32], seed: &[f32], output: &mut [f32], count: usize, threshold: u32, scale: f32) {
    let place = thread_number();
    if place >= count {
        terminate!();
    }
    output[place] = values[place] * factor(place as u32, seed[0], threshold, scale);
}
