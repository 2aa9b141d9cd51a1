//! Dropout in place.

use super::real::Real;
use super::simd::vectorized;
use crate::ops::dropout::Dropped;
use rayon::prelude::*;

/// Numbers a task.
const PIECE: usize = 1 << 14;

/// Drops by the place of each number.
pub(super) fn drop_places<T: Real>(values: &mut [T], dropped: &Dropped) {
    values.par_chunks_mut(PIECE).enumerate().for_each(|(i, values)| piece(values, (i * PIECE) as u32, dropped));
}

vectorized! {
    fn piece<T: Real>(values: &mut [T], first: u32, dropped: &Dropped), FMA, {
        let dropped = *dropped;
        for (i, value) in values.iter_mut().enumerate() {
            *value *= T::of(dropped.factor(first.wrapping_add(i as u32)));
        }
    }
}
