//! Queries, and scores of candidates: [`LANES`] units go along the dimensions of a pair.

use super::equations::{number, numbers, query, score, terms};
use crate::kge::formula::Equation;
use crate::ops::cube::reduce::sum_units;
use crate::ops::cube::{UNITS, cube_number, thread_number};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// Units of a pair.
const LANES: usize = 8;
/// Pairs of a cube.
pub(super) const PAIRS: usize = UNITS as usize / LANES;

/// The query of each pair of an entity and a relation: a thread for each of them and each dimension.
#[cube(launch)]
pub(super) fn make_queries(
    anchors: &[u32],
    of_relation: &[u32],
    entities: &[f32],
    relations: &[f32],
    queries: &mut [f32],
    count: usize,
    dim: usize,
    scale: f32,
    #[comptime] head: bool,
    #[comptime] equation: Equation,
) {
    let at = thread_number();
    if at >= count * dim {
        terminate!();
    }
    let (row, channel) = (at / dim, at % dim);
    let (anchor, relation) = (anchors[row] as usize, of_relation[row] as usize);
    let parts = comptime!(equation.of_entity());
    let x = number(entities, anchor, channel, dim, 0usize, parts);
    let y = number(entities, anchor, channel, dim, 1usize, parts);
    let parts = comptime!(equation.of_relation());
    let r0 = number(relations, relation, channel, dim, 0usize, parts);
    let r1 = number(relations, relation, channel, dim, 1usize, parts);
    let r2 = number(relations, relation, channel, dim, 2usize, parts);
    let (q0, q1, q2) = query(x, y, r0, r1, r2, scale, head, equation);
    let parts = comptime!(equation.of_query());
    let first = row * parts * dim + channel;
    queries[first] = q0;
    if comptime!(parts > 1) {
        queries[first + dim] = q1;
    }
    if comptime!(parts > 2) {
        queries[first + 2 * dim] = q2;
    }
}

/// This unit's part of both sums of a pair.
#[cube]
fn part_of_sums<N: Size>(
    entities: &[Vector<f32, N>],
    queries: &[Vector<f32, N>],
    entity: usize,
    row: usize,
    lane: usize,
    dim: usize,
    scale: f32,
    #[comptime] equation: Equation,
) -> (f32, f32) {
    let of_entity = comptime!(equation.of_entity());
    let of_query = comptime!(equation.of_query());
    let mut first = 0.0f32;
    let mut second = 0.0f32;
    let mut channel = lane;
    while channel < dim {
        let x = numbers(entities, entity, channel, dim, 0usize, of_entity);
        let y = numbers(entities, entity, channel, dim, 1usize, of_entity);
        let q0 = numbers(queries, row, channel, dim, 0usize, of_query);
        let q1 = numbers(queries, row, channel, dim, 1usize, of_query);
        let q2 = numbers(queries, row, channel, dim, 2usize, of_query);
        #[unroll]
        for c in 0..N::value() {
            let (a, b) =
                terms(x.extract(c), y.extract(c), q0.extract(c), q1.extract(c), q2.extract(c), scale, equation);
            first += a;
            second += b;
        }
        channel += LANES;
    }
    (first, second)
}

/// The sum over the units of a pair, for the first of them.
#[cube]
fn sum_lanes(buffer: &Shared<[f32]>, unit: usize) -> f32 {
    let mut sum = 0.0f32;
    for lane in 0..LANES {
        sum += buffer[unit + lane];
    }
    sum
}

/// The entity of each cell, in the order of entities: a unit for each of the `scored` rows.
#[cube(launch)]
pub(super) fn entities_of_cells(rows: &[u32], offsets: &[u32], entity_of: &mut [u32], scored: usize) {
    let at = thread_number();
    if at < scored {
        let entity = rows[at];
        let mut cell = offsets[at] as usize;
        let end = offsets[at + 1] as usize;
        while cell < end {
            entity_of[cell] = entity;
            cell += 1;
        }
    }
}

/// Scores of the cells in the order of their entities, written where the cells are: so an entity's row is read from memory
/// once. `pairs` gets both sums of a cell, and `of_cell` its entity.
#[cube(launch)]
pub(super) fn score_cells<N: Size>(
    entity_of: &[u32],
    cells: &[u32],
    entities: &[Vector<f32, N>],
    queries: &[Vector<f32, N>],
    shared: &[f32],
    scores: &mut [f32],
    pairs: &mut [f32],
    of_cell: &mut [u32],
    count: usize,
    candidates: usize,
    dim: usize,
    gamma: f32,
    scale: f32,
    #[comptime] equation: Equation,
) {
    let mut firsts = Shared::<[f32]>::new_slice(UNITS as usize);
    let mut seconds = Shared::<[f32]>::new_slice(UNITS as usize);
    let unit = UNIT_POS_X as usize;
    let (at, lane) = (unit / LANES, unit % LANES);
    let k = cube_number() * PAIRS + at;
    let mut first = 0.0f32;
    let mut second = 0.0f32;
    let mut cell = 0usize;
    let mut entity = 0usize;
    if k < count {
        cell = cells[k] as usize;
        entity = entity_of[k] as usize;
        let row = cell / candidates;
        let (a, b) = part_of_sums(entities, queries, entity, row, lane, dim, scale, equation);
        first = a;
        second = b;
    }
    firsts[unit] = first;
    seconds[unit] = second;
    sync_cube();
    if lane == 0 && k < count {
        let first = sum_lanes(&firsts, unit);
        let (value, norm) = score(first, sum_lanes(&seconds, unit), shared, gamma, equation);
        scores[cell] = value;
        pairs[cell * 2] = first;
        pairs[cell * 2 + 1] = norm;
        of_cell[cell] = entity as u32;
    }
}

/// Scores of all entities for each of `rows` queries: `[rows, entities]`.
#[cube(launch)]
pub(super) fn score_all<N: Size>(
    entities: &[Vector<f32, N>],
    queries: &[Vector<f32, N>],
    shared: &[f32],
    scores: &mut [f32],
    all: usize,
    rows: usize,
    dim: usize,
    gamma: f32,
    scale: f32,
    #[comptime] equation: Equation,
) {
    let mut firsts = Shared::<[f32]>::new_slice(UNITS as usize);
    let mut seconds = Shared::<[f32]>::new_slice(UNITS as usize);
    let unit = UNIT_POS_X as usize;
    let (at, lane) = (unit / LANES, unit % LANES);
    let k = cube_number() * PAIRS + at;
    let (entity, row) = (k / rows, k % rows);
    let mut first = 0.0f32;
    let mut second = 0.0f32;
    if entity < all {
        let (a, b) = part_of_sums(entities, queries, entity, row, lane, dim, scale, equation);
        first = a;
        second = b;
    }
    firsts[unit] = first;
    seconds[unit] = second;
    sync_cube();
    if lane == 0 && entity < all {
        let (value, _) = score(sum_lanes(&firsts, unit), sum_lanes(&seconds, unit), shared, gamma, equation);
        scores[row * all + entity] = value;
    }
}

/// Where a score stands to that of the answer: 0 is below, 1 equal and 2 above, where NaN is, too.
#[cube]
fn standing(score: f32, truth: f32) -> u32 {
    let mut place = 0u32;
    if score == truth {
        place = 1u32;
    }
    if score > truth {
        place = 2u32;
    }
    // By their bits: shaders may take numbers for comparable.
    if (u32::reinterpret(score) & 0x7fff_ffffu32) > 0x7f80_0000u32 {
        place = 2u32;
    }
    if (u32::reinterpret(truth) & 0x7fff_ffffu32) > 0x7f80_0000u32 {
        place = 2u32;
    }
    place
}

/// For each query how many entities have a higher score than its answer, the same, and the same and a smaller index, without the
/// answer itself and the other known ones: `[rows, 3]`. A cube for each query; counts below 2²⁴ are whole in 32 bits.
#[cube(launch)]
#[allow(clippy::too_many_lines, reason = "a kernel is read whole")]
pub(super) fn count_above(
    scores: &[f32],
    answers: &[u32],
    offsets: &[u32],
    known: &[u32],
    counts: &mut [f32],
    all: usize,
) {
    let mut buffer = Shared::<[f32]>::new_slice(UNITS as usize);
    let row = CUBE_POS_X as usize;
    let answer = answers[row] as usize;
    let truth = scores[row * all + answer];
    let mut above = 0.0f32;
    let mut equal = 0.0f32;
    let mut before = 0.0f32;
    let mut entity = UNIT_POS_X as usize;
    while entity < all {
        if entity != answer {
            let place = standing(scores[row * all + entity], truth);
            if place == 2u32 {
                above += 1.0;
            }
            if place == 1u32 {
                equal += 1.0;
                if entity < answer {
                    before += 1.0;
                }
            }
        }
        entity += UNITS as usize;
    }
    let mut at = offsets[row] as usize + UNIT_POS_X as usize;
    while at < offsets[row + 1] as usize {
        let entity = known[at] as usize;
        let place = standing(scores[row * all + entity], truth);
        if place == 2u32 {
            above -= 1.0;
        }
        if place == 1u32 {
            equal -= 1.0;
            if entity < answer {
                before -= 1.0;
            }
        }
        at += UNITS as usize;
    }
    let above = sum_units(&mut buffer, above);
    let equal = sum_units(&mut buffer, equal);
    let before = sum_units(&mut buffer, before);
    if UNIT_POS_X == 0 {
        counts[row * 3] = above;
        counts[row * 3 + 1] = equal;
        counts[row * 3 + 2] = before;
    }
}
