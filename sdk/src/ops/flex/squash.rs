//! Hyperbolic tangents and logistic functions in vector code, in place.

use super::real::Real;
use super::simd::vectorized;
use crate::ops::kernels::Squash;
use rayon::prelude::*;

/// Numbers a task.
const PIECE: usize = 1 << 14;

/// Each number squashed.
pub(super) fn forward<T: Real>(values: &mut [T], by: Squash) {
    values.par_chunks_mut(PIECE).for_each(|values| match by {
        Squash::Tanh => tangents(values),
        Squash::Sigmoid => logistics(values),
    });
}

/// The gradient of what was squashed, from that of the output: 1 − y² and y (1 − y) times as large.
pub(super) fn backward<T: Real>(gradient: &mut [T], output: &[T], by: Squash) {
    gradient.par_chunks_mut(PIECE).zip(output.par_chunks(PIECE)).for_each(|(gradient, output)| {
        for (g, &y) in gradient.iter_mut().zip(output) {
            *g *= match by {
                Squash::Tanh => T::ONE - y * y,
                Squash::Sigmoid => y * (T::ONE - y),
            };
        }
    });
}

vectorized! {
    fn tangents<T: Real>(values: &mut [T]), FMA, {
        values.iter_mut().for_each(|value| *value = value.tanh());
    }
}

vectorized! {
    fn logistics<T: Real>(values: &mut [T]), FMA, {
        values.iter_mut().for_each(|value| *value = T::ONE / (T::ONE + (T::ZERO - *value).exp()));
    }
}
