//! Adam on used rows, in the kernels that add up their gradients.

use super::equations::{gradient, numbers};
use crate::kge::formula::Equation;
use crate::ops::cube::reduce::{sum_groups, sum_units};
use crate::ops::cube::{UNITS, cube_number, thread_number};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// Units along a row in [`row_steps`]; the others of a cube take other triples.
pub(super) const LANES: usize = 32;

/// m ← a m + (1 − β₁) g, v ← b v + (1 − β₂) g², x ← x − rate m / (√v + ε).
#[cube]
fn adam<N: Size>(
    values: &mut [Vector<f32, N>],
    first: &mut [Vector<f32, N>],
    second: &mut [Vector<f32, N>],
    at: usize,
    gradient: Vector<f32, N>,
    keep_first: f32,
    keep_second: f32,
    rate: f32,
    add_first: f32,
    add_second: f32,
    epsilon: f32,
) {
    let mean = fma(first[at], Vector::new(keep_first), gradient * Vector::new(add_first));
    let square = fma(second[at], Vector::new(keep_second), gradient * gradient * Vector::new(add_second));
    first[at] = mean;
    second[at] = square;
    values[at] -= mean * Vector::new(rate) / (square.sqrt() + Vector::new(epsilon));
}

/// Moves rows on without a gradient, x ← x − rate m / (√v + ε), where `factors` has rate and ε of each: a thread for each number.
#[cube(launch)]
pub(super) fn late_steps(
    rows: &[u32],
    factors: &[f32],
    values: &mut [f32],
    first: &[f32],
    second: &[f32],
    count: usize,
    width: usize,
) {
    let thread = thread_number();
    if thread >= count * width {
        terminate!();
    }
    let position = thread / width;
    let at = rows[position] as usize * width + thread % width;
    let (mean, square) = (first[at], second[at]);
    let (rate, epsilon) = (factors[position * 2], factors[position * 2 + 1]);
    values[at] -= mean * rate / (square.sqrt() + epsilon);
}

/// Gradients of scored entities, a cube for each and a unit for each dimension, and Adam at once; but for those that queries
/// are made of, too: `kept` gets their gradients, in the row that `keep` says, counted from 1.
#[cube(launch)]
#[allow(clippy::too_many_lines, reason = "a kernel is read whole")]
pub(super) fn entity_steps<N: Size>(
    rows: &[u32],
    offsets: &[u32],
    cells: &[u32],
    keep: &[u32],
    factors: &[f32],
    pairs: &[f32],
    queries: &[Vector<f32, N>],
    values: &mut [Vector<f32, N>],
    first: &mut [Vector<f32, N>],
    second: &mut [Vector<f32, N>],
    kept: &mut [Vector<f32, N>],
    count: usize,
    candidates: usize,
    dim: usize,
    scale: f32,
    add_first: f32,
    add_second: f32,
    epsilon: f32,
    #[comptime] equation: Equation,
) {
    let position = cube_number();
    if position >= count {
        terminate!();
    }
    let of_entity = comptime!(equation.of_entity());
    let of_query = comptime!(equation.of_query());
    let row = rows[position] as usize;
    let begin = offsets[position] as usize;
    let end = offsets[position + 1] as usize;
    let to = keep[position] as usize;
    let mut channel = UNIT_POS_X as usize;
    while channel < dim {
        let at = row * of_entity * dim + channel;
        let x = values[at];
        let mut y = Vector::<f32, N>::new(0.0f32);
        if comptime!(of_entity > 1) {
            y = values[at + dim];
        }
        let mut sum_x = Vector::<f32, N>::new(0.0f32);
        let mut sum_y = Vector::<f32, N>::new(0.0f32);
        for k in begin..end {
            let cell = cells[k] as usize;
            let query = cell / candidates;
            let q0 = numbers(queries, query, channel, dim, 0usize, of_query);
            let q1 = numbers(queries, query, channel, dim, 1usize, of_query);
            let q2 = numbers(queries, query, channel, dim, 2usize, of_query);
            let (by_first, by_second) = (pairs[cell * 2], pairs[cell * 2 + 1]);
            #[unroll]
            for c in 0..N::value() {
                let (dx, dy, _, _, _) = gradient(
                    x.extract(c),
                    y.extract(c),
                    q0.extract(c),
                    q1.extract(c),
                    q2.extract(c),
                    scale,
                    by_first,
                    by_second,
                    equation,
                );
                sum_x.insert(c, sum_x.extract(c) + dx);
                sum_y.insert(c, sum_y.extract(c) + dy);
            }
        }
        if to == 0 {
            let keep_first = factors[position * 3];
            let keep_second = factors[position * 3 + 1];
            let rate = factors[position * 3 + 2];
            adam(values, first, second, at, sum_x, keep_first, keep_second, rate, add_first, add_second, epsilon);
            if comptime!(of_entity > 1) {
                adam(
                    values,
                    first,
                    second,
                    at + dim,
                    sum_y,
                    keep_first,
                    keep_second,
                    rate,
                    add_first,
                    add_second,
                    epsilon,
                );
            }
        } else {
            let at = (to - 1) * of_entity * dim + channel;
            kept[at] = sum_x;
            if comptime!(of_entity > 1) {
                kept[at + dim] = sum_y;
            }
        }
        channel += CUBE_DIM_X as usize;
    }
}

/// Adam on rows whose gradient is what their triples give, and what `kept` holds for them in the row that `keep` says,
/// counted from 1. A cube goes through [`LANES`] places of a row.
#[cube(launch)]
pub(super) fn row_steps<N: Size>(
    rows: &[u32],
    offsets: &[u32],
    members: &[u32],
    keep: &[u32],
    factors: &[f32],
    given: &[Vector<f32, N>],
    kept: &[Vector<f32, N>],
    values: &mut [Vector<f32, N>],
    first: &mut [Vector<f32, N>],
    second: &mut [Vector<f32, N>],
    count: usize,
    across: usize,
    width: usize,
    add_first: f32,
    add_second: f32,
    epsilon: f32,
) {
    let cube = cube_number();
    if cube >= count * across {
        terminate!();
    }
    let mut sums = Shared::<[Vector<f32, N>]>::new_slice(UNITS as usize);
    let position = cube / across;
    let unit = UNIT_POS_X as usize;
    let (group, lane, groups) = (unit / LANES, unit % LANES, UNITS as usize / LANES);
    let channel = (cube % across) * LANES + lane;
    let mut sum = Vector::<f32, N>::new(0.0f32);
    if channel < width {
        let mut k = offsets[position] as usize + group;
        while k < offsets[position + 1] as usize {
            sum += given[members[k] as usize * width + channel];
            k += groups;
        }
        let from = keep[position] as usize;
        if group == 0 && from > 0 {
            sum += kept[(from - 1) * width + channel];
        }
    }
    let sum = sum_groups(&mut sums, sum, LANES);
    if group == 0 && channel < width {
        adam(
            values,
            first,
            second,
            rows[position] as usize * width + channel,
            sum,
            factors[position * 3],
            factors[position * 3 + 1],
            factors[position * 3 + 2],
            add_first,
            add_second,
            epsilon,
        );
    }
}

/// Adds up the parts of all triples: the loss goes to its place, the two weights take a step of Adam where there are any. One
/// cube.
#[cube(launch)]
pub(super) fn finish(
    parts: &[f32],
    losses: &mut [f32],
    values: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    triples: usize,
    slot: usize,
    keep_first: f32,
    keep_second: f32,
    rate: f32,
    add_first: f32,
    add_second: f32,
    epsilon: f32,
    #[comptime] learnt: bool,
) {
    let mut buffer = Shared::<[f32]>::new_slice(UNITS as usize);
    let mut loss = 0.0f32;
    let mut d0 = 0.0f32;
    let mut d1 = 0.0f32;
    let mut triple = UNIT_POS_X as usize;
    while triple < triples {
        loss += parts[triple * 3];
        d0 += parts[triple * 3 + 1];
        d1 += parts[triple * 3 + 2];
        triple += UNITS as usize;
    }
    let loss = sum_units(&mut buffer, loss);
    let d0 = sum_units(&mut buffer, d0);
    let d1 = sum_units(&mut buffer, d1);
    let unit = UNIT_POS_X as usize;
    if unit == 0 {
        losses[slot] = loss;
    }
    if comptime!(learnt) {
        if unit < 2 {
            let mut d = d0;
            if unit == 1 {
                d = d1;
            }
            let mean = first[unit] * keep_first + d * add_first;
            let square = second[unit] * keep_second + d * d * add_second;
            first[unit] = mean;
            second[unit] = square;
            values[unit] -= mean * rate / (square.sqrt() + epsilon);
        }
    }
}
