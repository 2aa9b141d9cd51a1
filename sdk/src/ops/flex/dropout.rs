//! Dropout in place, alone or after a bias and ReLU.

use super::real::Real;
use crate::ops::dropped::Dropped;
use crate::vectorized_fn;
use rayon::prelude::*;

/// Numbers a task.
const PIECE: usize = 1 << 14;

/// Drops by the place of each number.
pub(super) fn drop_places<T: Real>(values: &mut [T], dropped: &Dropped) {
    values.par_chunks_mut(PIECE).enumerate().for_each(|(i, values)| piece(values, (i * PIECE) as u32, dropped));
}

vectorized_fn! {
    fn piece<T: Real>(values: &mut [T], first: u32, dropped: &Dropped), FMA, {
        let dropped = *dropped;
        for (i, value) in values.iter_mut().enumerate() {
            *value *= T::of(dropped.factor(first.wrapping_add(i as u32)));
        }
    }
}

/// Adds a row to each row, cuts negative numbers off and drops.
pub(super) fn rectify<T: Real>(values: &mut [T], row: &[T], dropped: &Dropped) {
    values.par_chunks_mut(row.len().max(1)).with_min_len(8).enumerate().for_each(|(i, values)| {
        for ((place, value), &of_row) in ((i * row.len()) as u32..).zip(values.iter_mut()).zip(row) {
            let sum = *value + of_row;
            *value = if sum <= T::ZERO { T::ZERO } else { sum * T::of(dropped.factor(place)) };
        }
    });
}

/// The gradient of what was rectified: where the output is not 0, it was neither cut off nor dropped.
pub(super) fn rectify_backward<T: Real>(gradient: &mut [T], output: &[T], scale: T) {
    gradient.par_chunks_mut(PIECE).zip(output.par_chunks(PIECE)).for_each(|(gradient, output)| {
        for (g, &out) in gradient.iter_mut().zip(output) {
            *g = if out <= T::ZERO { T::ZERO } else { *g * scale };
        }
    });
}
