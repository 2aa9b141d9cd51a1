//! Sparse matrix times table: a cube for each piece of a list, members in tiles; groups of units go through them side by side.

use super::narrow::{Table, widen};
use super::reduce::sum_groups;
use super::{Csr, Layout, UNITS, buffers, cubes, dims, empty, join, piece_bounds};
use crate::ops::Precision;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

/// The product, or that with the transposed matrix, of `rows` rows.
pub(super) fn product(values: CubeTensor, matrix: &Csr, transposed: bool, rows: usize) -> CubeTensor {
    let [_, width] = dims(&values);
    let output = empty(&values, rows, width);
    let forward = buffers::lists(matrix, &values);
    let (members, positions, lists) = match transposed {
        false => (forward.members.clone(), forward.members, matrix.len()),
        true => {
            let t = buffers::transposed(matrix, &values);
            (t.outputs, t.positions, matrix.columns())
        }
    };
    let pieces = buffers::pieces(matrix, transposed, &values);
    let partial = empty(&values, pieces.partial.max(1), width);
    let layout = Layout::new(width, matrix.members().len() / lists.max(1), &[&values]);
    let count = pieces.count + (rows - lists);
    let table = Table::new(&values, matrix.precision() == Precision::Bf16, layout.vector);
    sum_rows::launch(
        &values.client,
        cubes(count),
        layout.dim(),
        layout.vector,
        layout.words(),
        pieces.bounds.clone().into_buffer_arg(),
        members.into_buffer_arg(),
        positions.into_buffer_arg(),
        forward.weights.into_buffer_arg(),
        table.wide.into_buffer_arg(),
        table.packed.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        partial.clone().into_buffer_arg(),
        count,
        pieces.count,
        lists,
        width / layout.vector,
        layout.lanes,
        matrix.weights().is_some(),
        transposed,
        table.narrow,
    );
    join(&pieces, partial, &output, width);
    output
}

/// Weights stand in the order of the lists, or at `positions` where these are transposed; without them all are 1.
#[cube(launch)]
#[allow(clippy::too_many_lines, reason = "a kernel is read whole")]
fn sum_rows<N: Size, M: Size>(
    bounds: &[u32],
    members: &[u32],
    positions: &[u32],
    weights: &[f32],
    values: &[Vector<f32, N>],
    packed: &[Vector<u32, M>],
    output: &mut [Vector<f32, N>],
    partial: &mut [Vector<f32, N>],
    count: usize,
    pieces: usize,
    lists: usize,
    width: usize,
    #[comptime] lanes: usize,
    #[comptime] weighted: bool,
    #[comptime] transposed: bool,
    #[comptime] narrow: bool,
) {
    let piece = (CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X) as usize;
    if piece >= count {
        terminate!();
    }
    let (list, first, end, part) = piece_bounds(bounds, piece, pieces, lists);
    let mut tile_weights = Shared::<[f32]>::new_slice(UNITS as usize);
    let mut places = Shared::<[u32]>::new_slice(UNITS as usize);
    let mut sums = Shared::<[Vector<f32, N>]>::new_slice(UNITS as usize);
    let unit = UNIT_POS_X as usize;
    let step = CUBE_DIM_X as usize;
    let (group, lane, groups) = (unit / lanes, unit % lanes, step / lanes);
    let mut channel_base = 0usize;
    while channel_base < width {
        let channel = channel_base + lane;
        let mut sum = Vector::<f32, N>::new(0.0f32);
        let mut base = first;
        while base < end {
            let k = base + unit;
            if k < end {
                let mut weight = 1.0f32;
                if weighted {
                    let at = if transposed { positions[k] as usize } else { k };
                    weight = weights[at];
                }
                tile_weights[unit] = weight;
                places[unit] = members[k] * width as u32;
            }
            sync_cube();
            if channel < width {
                let mut tile = end - base;
                if tile > step {
                    tile = step;
                }
                let mut t = group;
                while t < tile {
                    let at = places[t] as usize + channel;
                    let row = if narrow { widen::<N, M>(packed[at]) } else { values[at] };
                    sum = fma(Vector::new(tile_weights[t]), row, sum);
                    t += groups;
                }
            }
            sync_cube();
            base += step;
        }
        let sum = sum_groups(&mut sums, sum, lanes);
        if group == 0 && channel < width {
            if part == 0 {
                output[list * width + channel] = sum;
            } else {
                partial[(part - 1) * width + channel] = sum;
            }
        }
        channel_base += lanes;
    }
}
