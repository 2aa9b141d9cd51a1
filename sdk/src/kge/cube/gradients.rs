//! Gradients of queries, and of the entities and relations that they are made of.

use super::equations::{gradient, number, numbers, query_gradient};
use crate::kge::formula::Equation;
use crate::kge::sample::NONE;
use crate::ops::cube::{cube_number, thread_number};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// Gradients of queries in parts: a cube for each query and `chunk` of its candidates, a unit for each dimension.
#[cube(launch)]
#[allow(clippy::too_many_lines, reason = "a kernel is read whole")]
pub(super) fn query_gradients<N: Size>(
    of_cell: &[u32],
    pairs: &[f32],
    entities: &[Vector<f32, N>],
    queries: &[Vector<f32, N>],
    partial: &mut [Vector<f32, N>],
    count: usize,
    candidates: usize,
    chunk: usize,
    chunks: usize,
    dim: usize,
    scale: f32,
    #[comptime] equation: Equation,
) {
    let cube = cube_number();
    if cube >= count {
        terminate!();
    }
    let of_entity = comptime!(equation.of_entity());
    let of_query = comptime!(equation.of_query());
    let row = cube / chunks;
    let begin = (cube % chunks) * chunk;
    let mut end = begin + chunk;
    if end > candidates {
        end = candidates;
    }
    let mut channel = UNIT_POS_X as usize;
    while channel < dim {
        let q0 = numbers(queries, row, channel, dim, 0usize, of_query);
        let q1 = numbers(queries, row, channel, dim, 1usize, of_query);
        let q2 = numbers(queries, row, channel, dim, 2usize, of_query);
        let mut sum0 = Vector::<f32, N>::new(0.0f32);
        let mut sum1 = Vector::<f32, N>::new(0.0f32);
        let mut sum2 = Vector::<f32, N>::new(0.0f32);
        for at in begin..end {
            let cell = row * candidates + at;
            let entity = of_cell[cell];
            if entity != NONE {
                let x = numbers(entities, entity as usize, channel, dim, 0usize, of_entity);
                let y = numbers(entities, entity as usize, channel, dim, 1usize, of_entity);
                let (first, second) = (pairs[cell * 2], pairs[cell * 2 + 1]);
                #[unroll]
                for c in 0..N::value() {
                    let (_, _, d0, d1, d2) = gradient(
                        x.extract(c),
                        y.extract(c),
                        q0.extract(c),
                        q1.extract(c),
                        q2.extract(c),
                        scale,
                        first,
                        second,
                        equation,
                    );
                    sum0.insert(c, sum0.extract(c) + d0);
                    sum1.insert(c, sum1.extract(c) + d1);
                    sum2.insert(c, sum2.extract(c) + d2);
                }
            }
        }
        let to = cube * of_query * dim + channel;
        partial[to] = sum0;
        if comptime!(of_query > 1) {
            partial[to + dim] = sum1;
        }
        if comptime!(of_query > 2) {
            partial[to + 2 * dim] = sum2;
        }
        channel += CUBE_DIM_X as usize;
    }
}

/// One number of a query's gradient: its parts, in order.
#[cube]
fn sum_parts(
    partial: &[f32],
    row: usize,
    channel: usize,
    dim: usize,
    chunks: usize,
    #[comptime] part: usize,
    #[comptime] parts: usize,
) -> f32 {
    let mut sum = 0.0f32;
    if comptime!(part < parts) {
        for chunk in 0..chunks {
            sum += partial[((row * chunks + chunk) * parts + part) * dim + channel];
        }
    }
    sum
}

/// What each triple gives to the gradients of its entity and its relation: a thread for each of them and each dimension.
#[cube(launch)]
pub(super) fn triple_gradients(
    anchors: &[u32],
    of_relation: &[u32],
    entities: &[f32],
    relations: &[f32],
    partial: &[f32],
    to_entities: &mut [f32],
    to_relations: &mut [f32],
    count: usize,
    chunks: usize,
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
    let of_query = comptime!(equation.of_query());
    let d0 = sum_parts(partial, row, channel, dim, chunks, 0usize, of_query);
    let d1 = sum_parts(partial, row, channel, dim, chunks, 1usize, of_query);
    let d2 = sum_parts(partial, row, channel, dim, chunks, 2usize, of_query);
    let (anchor, relation) = (anchors[row] as usize, of_relation[row] as usize);
    let parts = comptime!(equation.of_entity());
    let x = number(entities, anchor, channel, dim, 0usize, parts);
    let y = number(entities, anchor, channel, dim, 1usize, parts);
    let of_relations = comptime!(equation.of_relation());
    let r0 = number(relations, relation, channel, dim, 0usize, of_relations);
    let r1 = number(relations, relation, channel, dim, 1usize, of_relations);
    let r2 = number(relations, relation, channel, dim, 2usize, of_relations);
    let (dx, dy, s0, s1, s2) = query_gradient(x, y, r0, r1, r2, d0, d1, d2, scale, head, equation);
    let first = row * parts * dim + channel;
    to_entities[first] = dx;
    if comptime!(parts > 1) {
        to_entities[first + dim] = dy;
    }
    let first = row * of_relations * dim + channel;
    to_relations[first] = s0;
    if comptime!(of_relations > 1) {
        to_relations[first + dim] = s1;
    }
    if comptime!(of_relations > 2) {
        to_relations[first + 2 * dim] = s2;
    }
}
