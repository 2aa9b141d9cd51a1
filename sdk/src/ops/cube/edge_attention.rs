//! Attention fused with aggregation: a cube for each piece of a node's list and each head. Neighbours come in tiles of one a
//! unit, whose weights stand in shared memory while groups of units add up their rows side by side.

use super::narrow::{Table, round, widen};
use super::reduce::{max_units, sum_groups, sum_lanes, sum_units};
use super::{Csr, Layout, UNITS, buffers, cube_number, cubes, dims, empty, join, piece_bounds, row_products};
use crate::ops::Precision;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

/// Units that work on the product of one edge.
const LANES: usize = 8;

#[cube]
fn leaky(x: f32, slope: f32) -> f32 {
    if x > 0.0 { x } else { x * slope }
}

/// Output, and the log-sum-exp of the scores.
pub(super) fn forward(
    target: CubeTensor,
    source: CubeTensor,
    values: CubeTensor,
    edges: &Csr,
    slope: f32,
) -> (CubeTensor, CubeTensor) {
    let ([n, heads], [_, width]) = (dims(&target), dims(&values));
    let lists = buffers::lists(edges, &values);
    let log_sum_exp = empty(&values, n, heads);
    let output = empty(&values, n, width);
    normalise::launch(
        &values.client,
        cubes(n * heads),
        CubeDim::new_1d(UNITS),
        lists.offsets.into_buffer_arg(),
        lists.members.clone().into_buffer_arg(),
        target.clone().into_buffer_arg(),
        source.clone().into_buffer_arg(),
        log_sum_exp.clone().into_buffer_arg(),
        n,
        heads,
        slope,
    );
    let pieces = buffers::pieces(edges, false, &values);
    let (d, rounded) = (width / heads, edges.precision() == Precision::Bf16);
    let table = Table::new(&values, rounded, Layout::new(d, 0, &[&values]).vector);
    sum_weighted([target, source, log_sum_exp.clone()], table, &pieces, lists.members, n, output.clone(), slope, false);
    (output, log_sum_exp)
}

/// Gradients of target scores, source scores and values, from the gradient of the output, the three inputs, the output and
/// the log-sum-exp. Values and gradients are rounded throughout, so that what softmax subtracts fits what it subtracts from.
#[expect(clippy::too_many_lines, reason = "launches of kernels, an argument a line")]
pub(super) fn backward(tensors: [CubeTensor; 6], edges: &Csr, slope: f32) -> (CubeTensor, CubeTensor, CubeTensor) {
    let [gradient, target, source, values, output, log_sum_exp] = tensors;
    let ([n, heads], [m, width]) = (dims(&target), dims(&values));
    let rounded = edges.precision() == Precision::Bf16;
    let shared = row_products(gradient.clone(), output, heads, edges.precision());
    let columns = edges.columns();
    let (lists, transposed) = (buffers::lists(edges, &values), buffers::transposed(edges, &values));
    let d_target = empty(&values, n, heads);
    let d_source = empty(&values, m, heads);
    let d_values = empty(&values, m, width);
    let d_scores = empty(&values, edges.members().len().max(1), heads);
    let own = [source.clone(), target.clone(), log_sum_exp.clone()];
    let outputs = transposed.outputs.clone();
    let pieces = buffers::pieces(edges, true, &values);
    let layout = Layout::new(width / heads, 0, &[&values, &gradient]);
    let table = Table::new(&gradient, rounded, layout.vector);
    sum_weighted(own, table.clone(), &pieces, outputs, columns, d_values.clone(), slope, true);
    let partial = empty(&values, pieces.partial.max(1), heads);
    let count = pieces.count + (m - columns);
    score_gradients::launch(
        &values.client,
        cubes(count * heads),
        CubeDim::new_1d(UNITS),
        layout.vector,
        layout.words(),
        pieces.bounds.clone().into_buffer_arg(),
        transposed.outputs.into_buffer_arg(),
        target.into_buffer_arg(),
        source.into_buffer_arg(),
        log_sum_exp.into_buffer_arg(),
        shared.into_buffer_arg(),
        table.wide.into_buffer_arg(),
        table.packed.into_buffer_arg(),
        values.clone().into_buffer_arg(),
        d_scores.clone().into_buffer_arg(),
        d_source.clone().into_buffer_arg(),
        partial.clone().into_buffer_arg(),
        count,
        pieces.count,
        columns,
        heads,
        width / heads / layout.vector,
        slope,
        rounded,
        table.narrow,
    );
    join(&pieces, partial, &d_source, heads);
    sum_by_slots::launch(
        &values.client,
        cubes(n * heads),
        CubeDim::new_1d(UNITS),
        lists.offsets.into_buffer_arg(),
        transposed.slots.into_buffer_arg(),
        d_scores.into_buffer_arg(),
        d_target.clone().into_buffer_arg(),
        n,
        heads,
    );
    (d_target, d_source, d_values)
}

/// The log-sum-exp of a node's scores.
#[cube(launch)]
fn normalise(
    offsets: &[u32],
    members: &[u32],
    target: &[f32],
    source: &[f32],
    log_sum_exp: &mut [f32],
    n: usize,
    heads: usize,
    slope: f32,
) {
    let number = cube_number();
    if number >= n * heads {
        terminate!();
    }
    let (node, head) = (number / heads, number % heads);
    let mut buffer = Shared::<[f32]>::new_slice(UNITS as usize);
    let first = offsets[node] as usize + UNIT_POS_X as usize;
    let end = offsets[node + 1] as usize;
    let step = CUBE_DIM_X as usize;
    let own = target[number];
    let mut top = f32::new(-3.0e38);
    let mut k = first;
    while k < end {
        let score = leaky(own + source[members[k] as usize * heads + head], slope);
        if score > top {
            top = score;
        }
        k += step;
    }
    let top = max_units(&mut buffer, top);
    let mut total = 0.0f32;
    let mut k = first;
    while k < end {
        total += (leaky(own + source[members[k] as usize * heads + head], slope) - top).exp();
        k += step;
    }
    let total = sum_units(&mut buffer, total);
    if UNIT_POS_X == 0 {
        // A node without edges has none; nothing reads it.
        let mut log_total = 0.0f32;
        if total > 0.0 {
            log_total = top + total.ln();
        }
        log_sum_exp[number] = log_total;
    }
}

/// Σ α · row over the entries of each of the lists that are cut into `pieces`, where α comes from the scores of a list's own
/// node, those of the entries and the log-sum-exp; rows of `output` beyond the lists get zeros.
#[allow(clippy::too_many_arguments)]
fn sum_weighted(
    [own, other, log_sum_exp]: [CubeTensor; 3],
    table: Table,
    pieces: &buffers::Pieces,
    members: CubeTensor,
    lists: usize,
    output: CubeTensor,
    slope: f32,
    by_source: bool,
) {
    let ([_, heads], [n, width]) = (dims(&own), dims(&output));
    let partial = empty(&output, pieces.partial.max(1), width);
    let layout = Layout::new(width / heads, UNITS as usize, &[&table.wide]);
    let count = pieces.count + (n - lists);
    weighted_sum::launch(
        &output.client,
        cubes(count * heads),
        layout.dim(),
        layout.vector,
        layout.words(),
        pieces.bounds.clone().into_buffer_arg(),
        members.into_buffer_arg(),
        own.into_buffer_arg(),
        other.into_buffer_arg(),
        log_sum_exp.into_buffer_arg(),
        table.wide.into_buffer_arg(),
        table.packed.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        partial.clone().into_buffer_arg(),
        count,
        pieces.count,
        lists,
        heads,
        width / heads / layout.vector,
        slope,
        layout.lanes,
        by_source,
        table.narrow,
    );
    join(pieces, partial, &output, width);
}

/// Σ α · row over the entries of each piece, α from the scores: of the targets of an edge's rows (`by_source` false), or of
/// the sources (true), whose lists are the transposed ones.
#[cube(launch)]
#[allow(clippy::too_many_lines, reason = "a kernel is read whole")]
fn weighted_sum<N: Size, M: Size>(
    bounds: &[u32],
    members: &[u32],
    own: &[f32],
    other: &[f32],
    log_sum_exp: &[f32],
    rows: &[Vector<f32, N>],
    packed: &[Vector<u32, M>],
    output: &mut [Vector<f32, N>],
    partial: &mut [Vector<f32, N>],
    count: usize,
    pieces: usize,
    lists: usize,
    heads: usize,
    d: usize,
    slope: f32,
    #[comptime] lanes: usize,
    #[comptime] by_source: bool,
    #[comptime] narrow: bool,
) {
    let cube = cube_number();
    if cube >= count * heads {
        terminate!();
    }
    let (piece, head) = (cube / heads, cube % heads);
    let (node, first, end, part) = piece_bounds(bounds, piece, pieces, lists);
    let number = node * heads + head;
    let mut weights = Shared::<[f32]>::new_slice(UNITS as usize);
    let mut places = Shared::<[u32]>::new_slice(UNITS as usize);
    let mut sums = Shared::<[Vector<f32, N>]>::new_slice(UNITS as usize);
    let unit = UNIT_POS_X as usize;
    let step = CUBE_DIM_X as usize;
    let (group, lane, groups) = (unit / lanes, unit % lanes, step / lanes);
    let mut channel_base = 0usize;
    while channel_base < d {
        let channel = channel_base + lane;
        let mut sum = Vector::<f32, N>::new(0.0f32);
        let mut base = first;
        while base < end {
            if base + unit < end {
                let member = members[base + unit] as usize;
                let at = member * heads + head;
                let score = leaky(own[number] + other[at], slope);
                let log_total = if by_source { log_sum_exp[at] } else { log_sum_exp[number] };
                weights[unit] = (score - log_total).exp();
                places[unit] = (at * d) as u32;
            }
            sync_cube();
            if channel < d {
                let mut tile = end - base;
                if tile > step {
                    tile = step;
                }
                let mut t = group;
                while t < tile {
                    let at = places[t] as usize + channel;
                    let row = if narrow { widen::<N, M>(packed[at]) } else { rows[at] };
                    sum = fma(Vector::new(weights[t]), row, sum);
                    t += groups;
                }
            }
            sync_cube();
            base += step;
        }
        let sum = sum_groups(&mut sums, sum, lanes);
        if group == 0 && channel < d {
            if part == 0 {
                output[number * d + channel] = sum;
            } else {
                partial[((part - 1) * heads + head) * d + channel] = sum;
            }
        }
        channel_base += lanes;
    }
}

/// Gradients of the scores of the edges out of each node, and their sums. [`LANES`] units multiply the rows of an edge.
#[cube(launch)]
#[allow(clippy::too_many_lines, reason = "a kernel is read whole")]
fn score_gradients<N: Size, M: Size>(
    bounds: &[u32],
    members: &[u32],
    target: &[f32],
    source: &[f32],
    log_sum_exp: &[f32],
    shared: &[f32],
    gradient: &[Vector<f32, N>],
    packed: &[Vector<u32, M>],
    values: &[Vector<f32, N>],
    d_scores: &mut [f32],
    d_source: &mut [f32],
    partial: &mut [f32],
    count: usize,
    pieces: usize,
    lists: usize,
    heads: usize,
    d: usize,
    slope: f32,
    #[comptime] rounded: bool,
    #[comptime] narrow: bool,
) {
    let cube = cube_number();
    if cube >= count * heads {
        terminate!();
    }
    let (piece, head) = (cube / heads, cube % heads);
    let (node, first, end, row) = piece_bounds(bounds, piece, pieces, lists);
    let number = node * heads + head;
    let mut parts = Shared::<[f32]>::new_slice(UNITS as usize);
    let unit = UNIT_POS_X as usize;
    let (edge, lane) = (unit / LANES, unit % LANES);
    let step = CUBE_DIM_X as usize / LANES;
    let mut own_sum = 0.0f32;
    let mut base = first;
    while base < end {
        let mut part = Vector::<f32, N>::new(0.0f32);
        if base + edge < end {
            let at = members[base + edge] as usize * heads + head;
            let mut channel = lane;
            while channel < d {
                let other = if narrow { widen::<N, M>(packed[at * d + channel]) } else { gradient[at * d + channel] };
                let own = values[number * d + channel];
                let own = if rounded { round::<N>(own) } else { own };
                part = fma(other, own, part);
                channel += LANES;
            }
        }
        parts[unit] = sum_lanes(part);
        sync_cube();
        if unit < step && base + unit < end {
            let at = members[base + unit] as usize * heads + head;
            let mut product = 0.0f32;
            for l in 0..LANES {
                product += parts[unit * LANES + l];
            }
            let sum = target[at] + source[number];
            let weight = (leaky(sum, slope) - log_sum_exp[at]).exp();
            let through = leaky_gradient(weight * (product - shared[at]), sum, slope);
            d_scores[(base + unit) * heads + head] = through;
            own_sum += through;
        }
        sync_cube();
        base += step;
    }
    let total = sum_units(&mut parts, own_sum);
    if unit == 0 {
        if row == 0 {
            d_source[number] = total;
        } else {
            partial[(row - 1) * heads + head] = total;
        }
    }
}

/// The gradient through LeakyReLU at `x`.
#[cube]
fn leaky_gradient(gradient: f32, x: f32, slope: f32) -> f32 {
    if x > 0.0 { gradient } else { gradient * slope }
}

/// The sums of the gradients of scores over the edges into each node.
#[cube(launch)]
fn sum_by_slots(offsets: &[u32], slots: &[u32], d_scores: &[f32], d_target: &mut [f32], n: usize, heads: usize) {
    let number = cube_number();
    if number >= n * heads {
        terminate!();
    }
    let (node, head) = (number / heads, number % heads);
    let mut buffer = Shared::<[f32]>::new_slice(UNITS as usize);
    let end = offsets[node + 1] as usize;
    let mut sum = 0.0f32;
    let mut k = offsets[node] as usize + UNIT_POS_X as usize;
    while k < end {
        sum += d_scores[slots[k] as usize * heads + head];
        k += CUBE_DIM_X as usize;
    }
    let total = sum_units(&mut buffer, sum);
    if UNIT_POS_X == 0 {
        d_target[number] = total;
    }
}
