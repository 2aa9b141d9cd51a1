//! The self-adversarial loss: a cube for each triple.

use super::equations::factors;
use crate::kge::formula::Equation;
use crate::kge::sample::NONE;
use crate::ops::cube::reduce::{max_units, sum_units};
use crate::ops::cube::{UNITS, cube_number};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// Turns both sums of each cell into what the gradients of its dimensions are multiplied with. `parts` gets of each triple
/// the loss and the gradients of both weights.
#[cube(launch)]
#[allow(clippy::too_many_lines, reason = "a kernel is read whole")]
pub(super) fn losses(
    scores: &[f32],
    of_cell: &[u32],
    shares: &[f32],
    shared: &[f32],
    pairs: &mut [f32],
    parts: &mut [f32],
    triples: usize,
    candidates: usize,
    alpha: f32,
    #[comptime] equation: Equation,
) {
    let triple = cube_number();
    if triple >= triples {
        terminate!();
    }
    let mut buffer = Shared::<[f32]>::new_slice(UNITS as usize);
    let unit = UNIT_POS_X as usize;
    let base = triple * candidates;
    let mut top = f32::new(-3.0e38);
    let mut at = 1 + unit;
    while at < candidates {
        if of_cell[base + at] != NONE && scores[base + at] > top {
            top = scores[base + at];
        }
        at += UNITS as usize;
    }
    let top = max_units(&mut buffer, top);
    let mut total = 0.0f32;
    let mut at = 1 + unit;
    while at < candidates {
        if of_cell[base + at] != NONE {
            total += ((scores[base + at] - top) * alpha).exp();
        }
        at += UNITS as usize;
    }
    let total = sum_units(&mut buffer, total);
    let share = shares[triple];
    let mut loss = 0.0f32;
    let mut first_sum = 0.0f32;
    let mut second_sum = 0.0f32;
    let mut at = unit;
    while at < candidates {
        let cell = base + at;
        if of_cell[cell] != NONE {
            // The triple itself pulls its score up, a negative its own down.
            let mut x = scores[cell];
            let mut weight = -share;
            if at > 0 {
                weight = share * ((x - top) * alpha).exp() / total;
                x = -x;
            }
            // log σ(x), and its gradient σ(−x).
            let e = (-x.abs()).exp();
            let mut likelihood = -(1.0f32 + e).ln();
            let mut slope = 1.0f32 / (1.0f32 + e);
            if x < 0.0 {
                likelihood += x;
            } else {
                slope *= e;
            }
            loss -= weight.abs() * likelihood;
            let d = weight * slope;
            let (first, norm) = (pairs[cell * 2], pairs[cell * 2 + 1]);
            first_sum -= d * first;
            second_sum -= d * norm;
            let (by_first, by_second) = factors(d, norm, shared, equation);
            pairs[cell * 2] = by_first;
            pairs[cell * 2 + 1] = by_second;
        }
        at += UNITS as usize;
    }
    let loss = sum_units(&mut buffer, loss);
    let first_sum = sum_units(&mut buffer, first_sum);
    let second_sum = sum_units(&mut buffer, second_sum);
    if unit == 0 {
        parts[triple * 3] = loss;
        parts[triple * 3 + 1] = first_sum;
        parts[triple * 3 + 2] = second_sum;
    }
}

/// Says of every cell that it has no candidate.
#[cube(launch)]
pub(super) fn clear(of_cell: &mut [u32], count: usize) {
    let at = crate::ops::cube::thread_number();
    if at < count {
        of_cell[at] = NONE;
    }
}
