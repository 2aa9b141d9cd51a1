//! Sparse matrix times table: a cube for each row, a unit for each channel, members in tiles.

use super::{Csr, UNITS, buffers, cubes, dims, empty, units};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

/// The product, or that with the transposed matrix, of `rows` rows.
pub(super) fn product(values: CubeTensor, matrix: &Csr, transposed: bool, rows: usize) -> CubeTensor {
    let [_, width] = dims(&values);
    let output = empty(&values, rows, width);
    let forward = buffers::lists(matrix, &values);
    let (offsets, members, positions, lists) = match transposed {
        false => (forward.offsets, forward.members.clone(), forward.members, matrix.len()),
        true => {
            let t = buffers::transposed(matrix, &values);
            (t.offsets, t.outputs, t.positions, matrix.columns())
        }
    };
    sum_rows::launch(
        &values.client,
        cubes(rows),
        units(width),
        offsets.into_buffer_arg(),
        members.into_buffer_arg(),
        positions.into_buffer_arg(),
        forward.weights.into_buffer_arg(),
        values.clone().into_buffer_arg(),
        output.clone().into_buffer_arg(),
        rows,
        lists,
        width,
        matrix.weights().is_some(),
        transposed,
    );
    output
}

/// Weights stand in the order of the lists, or at `positions` where these are transposed; without them all are 1.
#[cube(launch)]
fn sum_rows(
    offsets: &[u32],
    members: &[u32],
    positions: &[u32],
    weights: &[f32],
    values: &[f32],
    output: &mut [f32],
    n: usize,
    lists: usize,
    width: usize,
    #[comptime] weighted: bool,
    #[comptime] transposed: bool,
) {
    let row = (CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X) as usize;
    if row >= n {
        terminate!();
    }
    let mut tile_weights = Shared::<[f32]>::new_slice(UNITS as usize);
    let mut places = Shared::<[u32]>::new_slice(UNITS as usize);
    let unit = UNIT_POS_X as usize;
    let step = CUBE_DIM_X as usize;
    let mut first = 0usize;
    let mut end = 0usize;
    if row < lists {
        first = offsets[row] as usize;
        end = offsets[row + 1] as usize;
    }
    let mut channel_base = 0usize;
    while channel_base < width {
        let channel = channel_base + unit;
        let mut sum = 0.0f32;
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
                for t in 0..tile {
                    sum += tile_weights[t] * values[places[t] as usize + channel];
                }
            }
            sync_cube();
            base += step;
        }
        if channel < width {
            output[row * width + channel] = sum;
        }
        channel_base += step;
    }
}
