//! Hyperbolic tangents and logistic functions in vector code, in place.

use super::real::Real;
use crate::ops::kernels::Activation;
use crate::vectorized_fn;
use rayon::prelude::*;

/// Numbers a task.
const PIECE: usize = 1 << 14;

/// The activation of each number.
pub(super) fn forward<T: Real>(values: &mut [T], by: Activation) {
    values.par_chunks_mut(PIECE).for_each(|values| match by {
        Activation::Tanh => tangents(values),
        Activation::Sigmoid => logistics(values),
    });
}

/// The gradient of the input, from that of the output y: 1 − y² and y (1 − y) times as large.
pub(super) fn backward<T: Real>(gradient: &mut [T], output: &[T], by: Activation) {
    gradient.par_chunks_mut(PIECE).zip(output.par_chunks(PIECE)).for_each(|(gradient, output)| {
        for (g, &y) in gradient.iter_mut().zip(output) {
            *g *= match by {
                Activation::Tanh => T::ONE - y * y,
                Activation::Sigmoid => y * (T::ONE - y),
            };
        }
    });
}

vectorized_fn! {
    fn tangents<T: Real>(values: &mut [T]), FMA, {
        values.iter_mut().for_each(|value| *value = value.tanh());
    }
}

vectorized_fn! {
    fn logistics<T: Real>(values: &mut [T]), FMA, {
        values.iter_mut().for_each(|value| *value = T::ONE / (T::ONE + (T::ZERO - *value).exp()));
    }
}
