//! Dense products in 32 bits.
//!
//! A cube owns a square of the output, its units small squares of that. Both factors come in slices along the inner
//! dimension through shared memory, four numbers at a time; the next slice is on its way while one is multiplied. Where the
//! output has too few squares to fill a device, the inner dimension is cut, and what the parts yield is added up in order.
//!
//! burn's own products take TF32 on NVIDIA devices, and every new shape asks for another kernel: they serve where TF32 is
//! asked for. Here there are two kernels for each way in which the factors lie.

use super::vectors::times_vector;
use super::{check_countable, dims, empty, reshaped, thread_number, threads};
use crate::ops::Precision;
use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

/// Inner numbers of a slice.
const DEPTH: usize = 16;
/// Units along a side of a cube.
const SIDE: usize = 16;
const UNITS: usize = SIDE * SIDE;
/// Cubes that fill a device: two for each of an H100's 132 multiprocessors.
const ENOUGH: usize = 264;
/// The least inner numbers of a part.
const LEAST: usize = 256;

type Four = Vector<f32, Const<4>>;

/// The product of two matrices, each transposed first where asked.
pub(super) fn product(left: CubeTensor, right: CubeTensor, transposed: [bool; 2], precision: Precision) -> CubeTensor {
    let turned = |tensor, turn| if turn { CubeBackend::float_transpose(tensor) } else { tensor };
    let (left, right) = (turned(left, transposed[0]), turned(right, transposed[1]));
    let ([m, k], [_, n]) = (dims(&left), dims(&right));
    if k == 1 {
        return CubeBackend::float_mul(left, right);
    }
    if n == 1 {
        return times_vector(left, right);
    }
    if m == 1 {
        return reshaped(times_vector(CubeBackend::float_transpose(right), left), 1, n);
    }
    [&left, &right].into_iter().for_each(check_countable);
    if precision == Precision::Tf32 {
        return CubeBackend::float_matmul(left, right);
    }
    by_squares(&left, &right, [m, k, n])
}

/// The product of matrices of `[m, k]` and `[k, n]`, none of them a single row or column, by squares of the output.
fn by_squares(left: &CubeTensor, right: &CubeTensor, [m, k, n]: [usize; 3]) -> CubeTensor {
    let squares = |side: usize| m.div_ceil(side) * n.div_ceil(side);
    // Large squares read less, small ones fill the device.
    let fours = if squares(128) * (k / LEAST).max(1) >= ENOUGH / 2 { 2 } else { 1 };
    let side = fours * 4 * SIDE;
    let parts = (ENOUGH / squares(side)).clamp(1, (k / LEAST).max(1));
    let depth = k.div_ceil(DEPTH).div_ceil(parts) * DEPTH;
    let output = empty(left, m, n);
    let sums = if parts == 1 { output.clone() } else { empty(left, parts * m, n) };
    let [(left_row, left_inner), (right_inner, right_column)] = [left, right].map(|tensor| {
        let strides = tensor.meta.strides();
        (strides[0], strides[1])
    });
    multiply::launch(
        &output.client,
        CubeCount::Static(m.div_ceil(side) as u32, n.div_ceil(side) as u32, parts as u32),
        CubeDim::new_1d(UNITS as u32),
        left.clone().into_buffer_arg(),
        right.clone().into_buffer_arg(),
        sums.clone().into_buffer_arg(),
        m,
        k,
        n,
        depth,
        left_row,
        left_inner,
        right_inner,
        right_column,
        fours,
        left_inner == 1,
        right_inner == 1,
    );
    add_up(sums, &output, parts);
    output
}

/// Adds up, in order, the parts of all numbers of `output`; a single one is there already.
fn add_up(sums: CubeTensor, output: &CubeTensor, parts: usize) {
    let size = output.shape().num_elements();
    if parts > 1 {
        add_parts::launch(
            &output.client,
            threads(size),
            CubeDim::new_1d(super::UNITS),
            sums.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            size,
            parts,
        );
    }
}

/// Part z of the product: inner numbers z · depth and on.
#[cube(launch)]
#[allow(clippy::too_many_lines, reason = "a kernel is read whole")]
fn multiply(
    left: &[f32],
    right: &[f32],
    output: &mut [f32],
    m: usize,
    k: usize,
    n: usize,
    depth: usize,
    left_row: usize,
    left_inner: usize,
    right_inner: usize,
    right_column: usize,
    #[comptime] fours: usize,
    #[comptime] left_along: bool,
    #[comptime] right_along: bool,
) {
    // A row of a slice, and one more against bank conflicts.
    let pitch = comptime!(fours * SIDE + 1);
    let mut lefts = Shared::<[Four]>::new_slice(comptime!(DEPTH * pitch));
    let mut rights = Shared::<[Four]>::new_slice(comptime!(DEPTH * pitch));
    let unit = UNIT_POS_X as usize;
    let (row, column) = (unit / SIDE, unit % SIDE);
    let first_row = CUBE_POS_X as usize * comptime!(fours * 4 * SIDE);
    let first_column = CUBE_POS_Y as usize * comptime!(fours * 4 * SIDE);
    let part = CUBE_POS_Z as usize;
    let mut begin = part * depth;
    let mut end = begin + depth;
    if end > k {
        end = k;
    }
    let mut sums = Array::<Four>::new(comptime!(4 * fours * fours));
    #[unroll]
    for i in 0..comptime!(4 * fours * fours) {
        sums[i] = Four::new(0.0f32);
    }
    let mut next_left = Array::<Four>::new(fours);
    let mut next_right = Array::<Four>::new(fours);
    #[unroll]
    for i in 0..fours {
        next_left[i] = fetch(left, first_row, m, left_row, begin, end, left_inner, i, fours, left_along);
        next_right[i] = fetch(right, first_column, n, right_column, begin, end, right_inner, i, fours, right_along);
    }
    while begin < end {
        #[unroll]
        for i in 0..fours {
            lefts[place(i, fours, left_along)] = next_left[i];
            rights[place(i, fours, right_along)] = next_right[i];
        }
        sync_cube();
        begin += DEPTH;
        #[unroll]
        for i in 0..fours {
            next_left[i] = fetch(left, first_row, m, left_row, begin, end, left_inner, i, fours, left_along);
            next_right[i] = fetch(right, first_column, n, right_column, begin, end, right_inner, i, fours, right_along);
        }
        #[unroll]
        for inner in 0..DEPTH {
            #[unroll]
            for j in 0..fours {
                let of_right = rights[comptime!(inner * pitch + j * SIDE) + column];
                #[unroll]
                for i in 0..fours {
                    let of_left = lefts[comptime!(inner * pitch + i * SIDE) + row];
                    #[unroll]
                    for c in 0..4 {
                        let at = comptime!((i * 4 + c) * fours + j);
                        sums[at] = fma(Four::new(of_left.extract(c)), of_right, sums[at]);
                    }
                }
            }
        }
        sync_cube();
    }
    let own = part * m;
    #[unroll]
    for i in 0..fours {
        #[unroll]
        for c in 0..4 {
            let to_row = first_row + (comptime!(i * SIDE) + row) * 4 + c;
            #[unroll]
            for j in 0..fours {
                let sum = sums[comptime!((i * 4 + c) * fours + j)];
                let to_column = first_column + (comptime!(j * SIDE) + column) * 4;
                #[unroll]
                for l in 0..4 {
                    if to_row < m && to_column + l < n {
                        output[(own + to_row) * n + to_column + l] = sum.extract(l);
                    }
                }
            }
        }
    }
}

/// Which of a slice's fours this unit brings as its `i`-th, as (inner, four): units lie along the direction in which the
/// numbers lie in memory.
#[cube]
fn assigned(#[comptime] i: usize, #[comptime] fours: usize, #[comptime] along: bool) -> (usize, usize) {
    let number = UNIT_POS_X as usize + comptime!(i * UNITS);
    let across = comptime!(fours * SIDE);
    if along { (number % DEPTH, number / DEPTH) } else { (number / across, number % across) }
}

#[cube]
fn place(#[comptime] i: usize, #[comptime] fours: usize, #[comptime] along: bool) -> usize {
    let (inner, four) = assigned(i, fours, along);
    inner * comptime!(fours * SIDE + 1) + four
}

/// Four numbers of one inner place, of as many rows of the left factor or columns of the right one; zeros beyond.
#[cube]
fn fetch(
    factor: &[f32],
    first: usize,
    size: usize,
    stride: usize,
    begin: usize,
    end: usize,
    inner_stride: usize,
    #[comptime] i: usize,
    #[comptime] fours: usize,
    #[comptime] along: bool,
) -> Four {
    let (inner, four) = assigned(i, fours, along);
    let inner = begin + inner;
    let from = first + four * 4;
    let mut out = Four::new(0.0f32);
    #[unroll]
    for c in 0..4 {
        if inner < end && from + c < size {
            out.insert(c, factor[(from + c) * stride + inner * inner_stride]);
        }
    }
    out
}

/// The sums of the parts, in order.
#[cube(launch)]
fn add_parts(sums: &[f32], output: &mut [f32], size: usize, parts: usize) {
    let at = thread_number();
    if at < size {
        let mut sum = sums[at];
        for part in 1..parts {
            sum += sums[part * size + at];
        }
        output[at] = sum;
    }
}
