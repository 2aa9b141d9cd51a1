//! Products of matrices with vectors, and sums of rows: all that counts is to read the matrix once.

use super::narrow::round;
use super::reduce::{sum_groups, sum_lanes, sum_units};
use super::{Layout, UNITS, cubes, dims, empty, ready, reshaped};
use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::Shape;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

/// Units that go along a row.
const LANES: usize = 8;
/// Cubes that share the rows of a sum.
pub(super) const PARTS: usize = 128;
/// The least rows of a part.
const LEAST: usize = 32;
/// The least numbers of which a cube makes a sum.
pub(super) const LEAST_SUMMED: usize = UNITS as usize * 8;

/// That each row has one of its own to be multiplied with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Each {
    /// Whether the numbers of the matrix are rounded to bfloat16.
    pub rounded: bool,
}

/// Products of the rows of a matrix `[rows, width]` with the one row of `with`, or, `each`, with its rows: `[rows, 1]`.
pub(super) fn row_dots(
    matrix: CubeTensor,
    with: CubeTensor,
    rows: usize,
    width: usize,
    each: Option<Each>,
) -> CubeTensor {
    let output = empty(&matrix, rows, 1);
    let layout = Layout::new(width, 0, &[&matrix, &with]);
    dots::launch(
        &output.client,
        cubes(rows.div_ceil(UNITS as usize / LANES)),
        CubeDim::new_1d(UNITS),
        layout.vector,
        matrix.into_buffer_arg(),
        with.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        rows,
        width / layout.vector,
        each.is_some(),
        each.is_some_and(|each| each.rounded),
    );
    output
}

/// The sum of the rows of a matrix, each times its number in `weights`, where there are any: `[1, width]`. Sums of parts of the
/// rows are added up by a second launch, whose cubes have few channels and many units for each.
pub(super) fn row_sums(matrix: CubeTensor, weights: Option<CubeTensor>) -> CubeTensor {
    let [rows, width] = dims(&matrix);
    let output = empty(&matrix, 1, width);
    let parts = (rows / LEAST).clamp(1, PARTS);
    let layout = Layout::new(width, UNITS as usize, &[&matrix]);
    match parts {
        1 => add_rows(matrix, weights, &output, parts, &layout),
        _ => {
            let sums = empty(&matrix, parts, width);
            add_rows(matrix, weights, &sums, parts, &layout);
            add_rows(sums, None, &output, 1, &layout.narrow(LANES));
        }
    }
    output
}

/// Sums of so many parts of the rows, in order: `[parts, width]`.
fn add_rows(matrix: CubeTensor, weights: Option<CubeTensor>, sums: &CubeTensor, parts: usize, layout: &Layout) {
    let [rows, width] = dims(&matrix);
    let (channels, weighted) = (width / layout.vector, weights.is_some());
    sums_of_rows::launch(
        &sums.client,
        CubeCount::Static(channels.div_ceil(layout.lanes) as u32, parts as u32, 1),
        layout.dim(),
        layout.vector,
        matrix.clone().into_buffer_arg(),
        weights.unwrap_or(matrix).into_buffer_arg(), // nothing reads it
        sums.clone().into_buffer_arg(),
        rows,
        channels,
        rows.div_ceil(parts),
        layout.lanes,
        weighted,
    );
}

/// The product of a matrix with a vector, for whichever way the matrix lies in memory: `[rows, inner]` → `[rows, 1]`.
pub(super) fn times_vector(matrix: CubeTensor, vector: CubeTensor) -> CubeTensor {
    let [rows, inner] = dims(&matrix);
    let strides = [matrix.meta.strides()[0], matrix.meta.strides()[1]];
    let vector = ready(vector);
    if strides == [1, rows] && rows > 1 {
        // The transposed matrix lies in order.
        let sums = row_sums(CubeBackend::float_transpose(matrix), Some(vector));
        return reshaped(sums, rows, 1);
    }
    row_dots(ready(matrix), vector, rows, inner, None)
}

/// The sum of all numbers, or their mean: `[1]`.
pub(super) fn total(values: CubeTensor, mean: bool) -> CubeTensor {
    let size = values.shape().num_elements();
    let scale = if mean { 1.0 / size as f32 } else { 1.0 };
    let parts = (size / LEAST_SUMMED).clamp(1, PARTS);
    let sums = empty(&values, parts, 1);
    add(values, &sums, parts, scale);
    sum_parts(sums)
}

/// The sum of a column of partial sums: `[1]`.
pub(super) fn sum_parts(sums: CubeTensor) -> CubeTensor {
    let output = match sums.shape().num_elements() {
        1 => sums,
        _ => {
            let output = empty(&sums, 1, 1);
            add(sums, &output, 1, 1.0);
            output
        }
    };
    CubeBackend::float_reshape(output, Shape::new([1]))
}

/// As many sums as there are cubes.
fn add(values: CubeTensor, to: &CubeTensor, parts: usize, scale: f32) {
    let size = values.shape().num_elements();
    let (values, sums) = (values.into_buffer_arg(), to.clone().into_buffer_arg());
    let cubes = CubeCount::Static(parts as u32, 1, 1);
    sum_all::launch(&to.client, cubes, CubeDim::new_1d(UNITS), values, sums, size, scale);
}

#[cube(launch)]
fn sum_all(values: &[f32], sums: &mut [f32], size: usize, scale: f32) {
    let mut buffer = Shared::<[f32]>::new_slice(UNITS as usize);
    let mut at = (CUBE_POS_X * CUBE_DIM_X + UNIT_POS_X) as usize;
    let mut sum = 0.0f32;
    while at < size {
        sum += values[at];
        at += (CUBE_COUNT_X * CUBE_DIM_X) as usize;
    }
    let total = sum_units(&mut buffer, sum);
    if UNIT_POS_X == 0 {
        sums[CUBE_POS_X as usize] = total * scale;
    }
}

#[cube(launch)]
fn dots<N: Size>(
    matrix: &[Vector<f32, N>],
    with: &[Vector<f32, N>],
    output: &mut [f32],
    rows: usize,
    width: usize,
    #[comptime] each: bool,
    #[comptime] rounded: bool,
) {
    let mut parts = Shared::<[f32]>::new_slice(UNITS as usize);
    let unit = UNIT_POS_X as usize;
    let (at, lane) = (unit / LANES, unit % LANES);
    let row = (CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X) as usize * comptime!(UNITS as usize / LANES) + at;
    let mut part = Vector::<f32, N>::new(0.0f32);
    if row < rows {
        let first = if each { row * width } else { 0usize.runtime() };
        let mut channel = lane;
        while channel < width {
            let own = matrix[row * width + channel];
            let own = if rounded { round::<N>(own) } else { own };
            part = fma(own, with[first + channel], part);
            channel += LANES;
        }
    }
    parts[unit] = sum_lanes(part);
    sync_cube();
    if lane == 0 && row < rows {
        let mut sum = 0.0f32;
        for l in 0..LANES {
            sum += parts[unit + l];
        }
        output[row] = sum;
    }
}

#[cube(launch)]
fn sums_of_rows<N: Size>(
    matrix: &[Vector<f32, N>],
    weights: &[f32],
    sums: &mut [Vector<f32, N>],
    rows: usize,
    width: usize,
    part_rows: usize,
    #[comptime] lanes: usize,
    #[comptime] weighted: bool,
) {
    let mut shared = Shared::<[Vector<f32, N>]>::new_slice(UNITS as usize);
    let unit = UNIT_POS_X as usize;
    let (group, lane, groups) = (unit / lanes, unit % lanes, CUBE_DIM_X as usize / lanes);
    let channel = CUBE_POS_X as usize * lanes + lane;
    let part = CUBE_POS_Y as usize;
    let mut row = part * part_rows + group;
    let mut end = (part + 1) * part_rows;
    if end > rows {
        end = rows;
    }
    let mut sum = Vector::<f32, N>::new(0.0f32);
    if channel < width {
        while row < end {
            if weighted {
                sum = fma(Vector::new(weights[row]), matrix[row * width + channel], sum);
            } else {
                sum += matrix[row * width + channel];
            }
            row += groups;
        }
    }
    let sum = sum_groups(&mut shared, sum, lanes);
    if group == 0 && channel < width {
        sums[part * width + channel] = sum;
    }
}
