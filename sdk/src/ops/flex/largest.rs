//! The largest number among rows, channel by channel.

use super::{Csr, ROWS_PER_TASK, real::Real};
use rayon::prelude::*;

/// The largest numbers, and the entries of the lists at which they stand.
pub(super) fn forward<T: Real>(values: &[T], width: usize, lists: &Csr) -> [Vec<T>; 2] {
    let size = lists.len() * width;
    let (mut output, mut places) = (vec![T::ZERO; size], vec![T::of(-1.0); size]);
    if size == 0 {
        return [output, places];
    }
    let rows = output.par_chunks_exact_mut(width).zip(places.par_chunks_exact_mut(width)).enumerate();
    rows.with_min_len(ROWS_PER_TASK).for_each(|(i, (tops, places))| {
        for (at, &member) in lists.members()[lists.range(i)].iter().enumerate() {
            let row = &values[member as usize * width..][..width];
            for ((top, place), &x) in tops.iter_mut().zip(places.iter_mut()).zip(row) {
                if at == 0 || x > *top {
                    (*top, *place) = (x, T::of64(at as f64));
                }
            }
        }
    });
    [output, places]
}

/// The gradient of the rows: what each list gives to the entries at `places`.
pub(super) fn backward<T: Real>(gradient: &[T], places: &[T], width: usize, lists: &Csr, rows: usize) -> Vec<T> {
    let t = lists.transposed();
    let mut out = vec![T::ZERO; rows * width];
    if out.is_empty() {
        return out;
    }
    let tasks = out.par_chunks_exact_mut(width).take(lists.columns()).enumerate();
    tasks.with_min_len(ROWS_PER_TASK).for_each(|(row, sums)| {
        for entry in t.range(row) {
            let list = t.outputs[entry] as usize;
            let at = T::of64(f64::from(t.positions[entry] - lists.offsets()[list]));
            let (gradient, places) = (&gradient[list * width..][..width], &places[list * width..][..width]);
            for ((sum, &g), &place) in sums.iter_mut().zip(gradient).zip(places) {
                if place == at {
                    *sum += g;
                }
            }
        }
    });
    out
}
