//! The largest number among rows, channel by channel: a thread for each piece of a list and channel, in the backward pass of
//! the list of a row. What the pieces of a long list yield is put together in order.

use super::{Csr, UNITS, buffers, dims, empty, join, piece_bounds, thread_number, threads};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

/// The largest numbers, and the entries of the lists at which they stand.
pub(super) fn forward(values: CubeTensor, lists: &Csr) -> (CubeTensor, CubeTensor) {
    let [_, width] = dims(&values);
    let (output, places) = (empty(&values, lists.len(), width), empty(&values, lists.len(), width));
    let on_device = buffers::lists(lists, &values);
    let pieces = buffers::pieces(lists, false, &values);
    let partial = || empty(&values, pieces.partial.max(1), width);
    let (tops, tops_at) = (partial(), partial());
    find::launch(
        &values.client,
        threads(pieces.count * width),
        CubeDim::new_1d(UNITS),
        pieces.bounds.clone().into_buffer_arg(),
        on_device.offsets.into_buffer_arg(),
        on_device.members.into_buffer_arg(),
        values.clone().into_buffer_arg(),
        output.clone().into_buffer_arg(),
        places.clone().into_buffer_arg(),
        tops.clone().into_buffer_arg(),
        tops_at.clone().into_buffer_arg(),
        pieces.count,
        width,
    );
    if pieces.long > 0 {
        find_among::launch(
            &values.client,
            threads(pieces.long * width),
            CubeDim::new_1d(UNITS),
            pieces.rows.into_buffer_arg(),
            tops.into_buffer_arg(),
            tops_at.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            places.clone().into_buffer_arg(),
            pieces.long,
            width,
        );
    }
    (output, places)
}

/// The gradient of the rows: what each list gives to the entries at `places`.
pub(super) fn backward(gradient: CubeTensor, places: CubeTensor, lists: &Csr, rows: usize) -> CubeTensor {
    let [_, width] = dims(&gradient);
    let output = empty(&gradient, rows, width);
    let (forward, transposed) = (buffers::lists(lists, &gradient), buffers::transposed(lists, &gradient));
    let pieces = buffers::pieces(lists, true, &gradient);
    let partial = empty(&gradient, pieces.partial.max(1), width);
    let count = pieces.count + (rows - lists.columns());
    give_back::launch(
        &gradient.client,
        threads(count * width),
        CubeDim::new_1d(UNITS),
        pieces.bounds.clone().into_buffer_arg(),
        forward.offsets.into_buffer_arg(),
        transposed.outputs.into_buffer_arg(),
        transposed.positions.into_buffer_arg(),
        gradient.clone().into_buffer_arg(),
        places.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        partial.clone().into_buffer_arg(),
        count,
        pieces.count,
        lists.columns(),
        width,
    );
    join(&pieces, partial, &output, width);
    output
}

#[cube(launch)]
fn find(
    bounds: &[u32],
    offsets: &[u32],
    members: &[u32],
    values: &[f32],
    output: &mut [f32],
    places: &mut [f32],
    tops: &mut [f32],
    tops_at: &mut [f32],
    pieces: usize,
    width: usize,
) {
    let number = thread_number();
    if number >= pieces * width {
        terminate!();
    }
    let (piece, channel) = (number / width, number % width);
    let (list, first, end, part) = piece_bounds(bounds, piece, pieces, 0);
    let begin = offsets[list] as usize;
    let mut top = 0.0f32;
    let mut place = f32::new(-1.0);
    for k in first..end {
        let x = values[members[k] as usize * width + channel];
        if k == first || x > top {
            top = x;
            place = f32::cast_from((k - begin) as u32);
        }
    }
    if part == 0 {
        output[list * width + channel] = top;
        places[list * width + channel] = place;
    } else {
        tops[(part - 1) * width + channel] = top;
        tops_at[(part - 1) * width + channel] = place;
    }
}

/// The largest of the largest numbers of the pieces of a list, the first of equal ones.
#[cube(launch)]
fn find_among(
    rows: &[u32],
    tops: &[f32],
    tops_at: &[f32],
    output: &mut [f32],
    places: &mut [f32],
    long: usize,
    width: usize,
) {
    let number = thread_number();
    if number >= long * width {
        terminate!();
    }
    let (at, channel) = (number / width, number % width);
    let list = rows[at * 3] as usize;
    let first = rows[at * 3 + 1] as usize;
    let mut top = tops[first * width + channel];
    let mut place = tops_at[first * width + channel];
    for piece in 1..rows[at * 3 + 2] as usize {
        let x = tops[(first + piece) * width + channel];
        if x > top {
            top = x;
            place = tops_at[(first + piece) * width + channel];
        }
    }
    output[list * width + channel] = top;
    places[list * width + channel] = place;
}

#[cube(launch)]
fn give_back(
    bounds: &[u32],
    list_offsets: &[u32],
    outputs: &[u32],
    positions: &[u32],
    gradient: &[f32],
    places: &[f32],
    output: &mut [f32],
    partial: &mut [f32],
    count: usize,
    pieces: usize,
    lists: usize,
    width: usize,
) {
    let number = thread_number();
    if number >= count * width {
        terminate!();
    }
    let (piece, channel) = (number / width, number % width);
    let (row, first, end, part) = piece_bounds(bounds, piece, pieces, lists);
    let mut sum = 0.0f32;
    for entry in first..end {
        let list = outputs[entry] as usize;
        let at = f32::cast_from(positions[entry] - list_offsets[list]);
        if places[list * width + channel] == at {
            sum += gradient[list * width + channel];
        }
    }
    if part == 0 {
        output[row * width + channel] = sum;
    } else {
        partial[(part - 1) * width + channel] = sum;
    }
}
