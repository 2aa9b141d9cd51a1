//! The largest number among rows, channel by channel: a thread for each list and channel, and for each row and channel in the
//! backward pass.

use super::{Csr, UNITS, buffers, dims, empty, thread_number, threads};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

/// The largest numbers, and the entries of the lists at which they stand.
pub(super) fn forward(values: CubeTensor, lists: &Csr) -> (CubeTensor, CubeTensor) {
    let [_, width] = dims(&values);
    let (output, places) = (empty(&values, lists.len(), width), empty(&values, lists.len(), width));
    let on_device = buffers::lists(lists, &values);
    find::launch(
        &values.client,
        threads(lists.len() * width),
        CubeDim::new_1d(UNITS),
        on_device.offsets.into_buffer_arg(),
        on_device.members.into_buffer_arg(),
        values.clone().into_buffer_arg(),
        output.clone().into_buffer_arg(),
        places.clone().into_buffer_arg(),
        lists.len(),
        width,
    );
    (output, places)
}

/// The gradient of the rows: what each list gives to the entries at `places`.
pub(super) fn backward(gradient: CubeTensor, places: CubeTensor, lists: &Csr, rows: usize) -> CubeTensor {
    let [_, width] = dims(&gradient);
    let output = empty(&gradient, rows, width);
    let (forward, transposed) = (buffers::lists(lists, &gradient), buffers::transposed(lists, &gradient));
    give_back::launch(
        &gradient.client,
        threads(rows * width),
        CubeDim::new_1d(UNITS),
        forward.offsets.into_buffer_arg(),
        transposed.offsets.into_buffer_arg(),
        transposed.outputs.into_buffer_arg(),
        transposed.positions.into_buffer_arg(),
        gradient.clone().into_buffer_arg(),
        places.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        rows,
        lists.columns(),
        width,
    );
    output
}

#[cube(launch)]
fn find(
    offsets: &[u32],
    members: &[u32],
    values: &[f32],
    output: &mut [f32],
    places: &mut [f32],
    n: usize,
    width: usize,
) {
    let number = thread_number();
    if number >= n * width {
        terminate!();
    }
    let (list, channel) = (number / width, number % width);
    let first = offsets[list] as usize;
    let end = offsets[list + 1] as usize;
    let mut top = 0.0f32;
    let mut place = f32::new(-1.0);
    for k in first..end {
        let x = values[members[k] as usize * width + channel];
        if k == first || x > top {
            top = x;
            place = f32::cast_from((k - first) as u32);
        }
    }
    output[number] = top;
    places[number] = place;
}

#[cube(launch)]
fn give_back(
    list_offsets: &[u32],
    offsets: &[u32],
    outputs: &[u32],
    positions: &[u32],
    gradient: &[f32],
    places: &[f32],
    output: &mut [f32],
    rows: usize,
    columns: usize,
    width: usize,
) {
    let number = thread_number();
    if number >= rows * width {
        terminate!();
    }
    let (row, channel) = (number / width, number % width);
    let mut sum = 0.0f32;
    if row < columns {
        for entry in offsets[row] as usize..offsets[row + 1] as usize {
            let list = outputs[entry] as usize;
            let at = f32::cast_from(positions[entry] - list_offsets[list]);
            if places[list * width + channel] == at {
                sum += gradient[list * width + channel];
            }
        }
    }
    output[number] = sum;
}
