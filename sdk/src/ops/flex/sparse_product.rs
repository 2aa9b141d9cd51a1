//! Sparse matrix times table, and its transpose.

use super::real::{Real, Stored, add_scaled, add_scaled4};
use super::simd::vectorized;
use super::{Csr, ROWS_PER_TASK};
use rayon::prelude::*;

/// The product with a table of `width` columns, of `rows` rows.
pub(super) fn product<T: Real, S: Stored<T>>(
    values: &[S],
    width: usize,
    matrix: &Csr,
    transposed: bool,
    rows: usize,
) -> Vec<T> {
    let mut output = vec![T::ZERO; rows * width];
    if width == 0 {
        return output;
    }
    let by_row = output.par_chunks_mut(width).enumerate().with_min_len(ROWS_PER_TASK);
    match transposed {
        false => by_row.for_each(|(i, output)| {
            if i < matrix.len() {
                let range = matrix.range(i);
                let weights = matrix.weights().map(|w| &w[range.clone()]);
                sum_rows(values, &matrix.members()[range], weights, None, output);
            }
        }),
        true => {
            let t = matrix.transposed();
            by_row.for_each(|(j, output)| {
                let range = t.range(j);
                sum_rows(values, &t.outputs[range.clone()], matrix.weights(), Some(&t.positions[range]), output);
            });
        }
    }
    output
}

vectorized! {
    /// One row of the output: the sum of `rows`, by weights that stand in their order or at `positions`.
    fn sum_rows<T: Real, S: Stored<T>>(
        values: &[S],
        rows: &[u32],
        weights: Option<&[f32]>,
        positions: Option<&[u32]>,
        output: &mut [T],
    ), FMA, {
        let width = output.len();
        let weight = |k: usize| match (weights, positions) {
            (None, _) => T::ONE,
            (Some(w), None) => T::of(w[k]),
            (Some(w), Some(p)) => T::of(w[p[k] as usize]),
        };
        let row = |j: u32| &values[j as usize * width..][..width];
        let (fours, rest) = rows.as_chunks::<4>();
        for (k, &j) in fours.iter().enumerate() {
            let w = [weight(4 * k), weight(4 * k + 1), weight(4 * k + 2), weight(4 * k + 3)];
            add_scaled4::<T, S, FMA>(output, w, j.map(row));
        }
        for (k, &j) in (4 * fours.len()..).zip(rest) {
            add_scaled::<T, S, FMA>(output, weight(k), row(j));
        }
    }
}
