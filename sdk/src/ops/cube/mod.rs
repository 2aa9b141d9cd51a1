//! Kernels in CubeCL, for CUDA and wgpu devices. A cube (thread block) or a thread owns each output, so that nothing is
//! added atomically.

// The arguments of kernels, and their loops, are what CubeCL can compile.
#![allow(clippy::too_many_arguments, clippy::needless_range_loop)]

mod adam;
mod buffers;
mod dropout;
mod edge_attention;
mod reduce;
mod set_attention;
mod sparse_product;

pub(super) use buffers::Buffers;

use super::Csr;
use super::kernels::{AdamStep, Kernels};
use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use std::sync::Arc;

/// Units of a cube; a power of two.
const UNITS: u32 = 256;
/// Cubes along the first axis of a grid; wgpu allows 65,535.
const GRID: u32 = 32_768;

impl Kernels for CubeBackend {
    fn edge_attention(
        target: FloatTensor<Self>,
        source: FloatTensor<Self>,
        values: FloatTensor<Self>,
        edges: Arc<Csr>,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [target, source, values] = [target, source, values].map(ready);
        edge_attention::forward(target, source, values, &edges, slope)
    }

    fn edge_attention_backward(
        gradient: FloatTensor<Self>,
        target: FloatTensor<Self>,
        source: FloatTensor<Self>,
        values: FloatTensor<Self>,
        output: FloatTensor<Self>,
        norm: FloatTensor<Self>,
        edges: Arc<Csr>,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [gradient, target, source, values, output, norm] =
            [gradient, target, source, values, output, norm].map(ready);
        let heads = dims(&target)[1];
        let shared = row_products(gradient.clone(), output, heads);
        edge_attention::backward([gradient, target, source, values, norm, shared], &edges, slope)
    }

    fn sparse_product(values: FloatTensor<Self>, matrix: Arc<Csr>, transposed: bool, rows: usize) -> FloatTensor<Self> {
        sparse_product::product(ready(values), &matrix, transposed, rows)
    }

    fn set_attention(
        scores: FloatTensor<Self>,
        values: FloatTensor<Self>,
        seed: FloatTensor<Self>,
        sets: Arc<Csr>,
        dropout: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [scores, values, seed] = [scores, values, seed].map(ready);
        set_attention::forward(scores, values, seed, &sets, dropout)
    }

    fn set_attention_backward(
        gradient: FloatTensor<Self>,
        scores: FloatTensor<Self>,
        values: FloatTensor<Self>,
        output: FloatTensor<Self>,
        norm: FloatTensor<Self>,
        seed: FloatTensor<Self>,
        sets: Arc<Csr>,
        dropout: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [gradient, scores, values, output, norm, seed] = [gradient, scores, values, output, norm, seed].map(ready);
        set_attention::backward([gradient, scores, values, output, norm, seed], &sets, dropout)
    }

    fn dropout(values: FloatTensor<Self>, seed: FloatTensor<Self>, probability: f32) -> FloatTensor<Self> {
        dropout::drop_places(ready(values), ready(seed), probability)
    }

    fn adam(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        square: FloatTensor<Self>,
        step: AdamStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        // Copied where another tensor shares the memory.
        let own = |tensor: CubeTensor| if tensor.can_mut() { tensor } else { tensor.copy() };
        let [parameter, mean, square] = [parameter, mean, square].map(ready).map(own);
        adam::update(&parameter, ready(gradient), &mean, &square, &step);
        (parameter, mean, square)
    }
}

/// Contiguous and of 32 bits, as the kernels want them.
fn ready(tensor: CubeTensor) -> CubeTensor {
    assert!(tensor.dtype == DType::F32, "the kernels take numbers of 32 bits on this device, not {:?}", tensor.dtype);
    into_contiguous(tensor)
}

fn dims(tensor: &CubeTensor) -> [usize; 2] {
    let shape = tensor.shape();
    [shape[0], shape[1]]
}

/// Memory for `rows` times `columns` numbers, where `like` is.
fn empty(like: &CubeTensor, rows: usize, columns: usize) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), Shape::new([rows, columns]), like.dtype)
}

/// Products of the rows of two tables, head by head: `[rows, heads * d]` twice → `[rows, heads]`.
fn row_products(a: CubeTensor, b: CubeTensor, heads: usize) -> CubeTensor {
    let [rows, width] = dims(&a);
    let products = CubeBackend::float_mul(a, b);
    let products = CubeBackend::float_reshape(products, Shape::new([rows * heads, width / heads]));
    let sums = CubeBackend::float_sum_dim(products, 1);
    ready(CubeBackend::float_reshape(sums, Shape::new([rows, heads])))
}

/// A grid of at least `count` cubes.
fn cubes(count: usize) -> CubeCount {
    let count = count.max(1) as u32;
    CubeCount::Static(count.min(GRID), count.div_ceil(GRID), 1)
}

/// As many units as channels are worth, a power of two.
fn units(channels: usize) -> CubeDim {
    CubeDim::new_1d((channels as u32).next_power_of_two().clamp(32, UNITS))
}

/// A grid with a thread for each of `count` numbers.
fn threads(count: usize) -> CubeCount {
    cubes(count.div_ceil(UNITS as usize))
}

/// The number of this thread in its grid.
#[cube]
fn thread_number() -> usize {
    ((CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X) * CUBE_DIM_X + UNIT_POS_X) as usize
}
