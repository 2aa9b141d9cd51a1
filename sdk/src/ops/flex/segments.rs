//! Products of groups of rows with a matrix for each group.

use super::real::{Real, mul_add};
use super::tiles::pieces;
use crate::vectorized_fn;
use rayon::prelude::*;
use std::ops::Range;

/// Columns that are summed up in registers.
pub(super) const TILE: usize = 16;
/// Rows that are made together, so that a row of the matrix is read once for all.
const TOGETHER: usize = 4;
/// Rows of a gradient that are summed up in registers.
const TALL: usize = 4;
/// Rows of a task. The same for any number of threads, so that sums over rows are.
const ROWS: usize = 1024;

/// Rows of one group.
struct Part {
    group: usize,
    rows: Range<usize>,
}

/// The groups, which end at `ends`, in parts for tasks.
fn parts(ends: &[usize]) -> Vec<Part> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let groups = starts.zip(ends).enumerate();
    let of = |(group, (start, &end)): (usize, (usize, &usize))| {
        (start..end).step_by(ROWS).map(move |row| Part { group, rows: row..end.min(row + ROWS) })
    };
    groups.flat_map(of).collect()
}

/// The rows of each matrix of `k` rows and `n` columns, one tile of columns after the other. Matrices may be given transposed.
pub(super) fn tiled<T: Real>(matrices: &[T], [k, n]: [usize; 2], transposed: bool) -> Vec<[T; TILE]> {
    let size = n.div_ceil(TILE) * k;
    let mut tiled = vec![[T::ZERO; TILE]; matrices.len() / (k * n) * size];
    for (matrix, tiled) in matrices.chunks_exact(k * n).zip(tiled.chunks_exact_mut(size)) {
        for (place, to) in tiled.iter_mut().enumerate() {
            let (tile, row) = (place / k, place % k);
            for (column, to) in (tile * TILE..n).zip(to) {
                *to = matrix[if transposed { column * k + row } else { row * n + column }];
            }
        }
    }
    tiled
}

/// Each group's rows, `k` wide, times its matrix of `k` rows and `n` columns, which may be given transposed.
pub(super) fn product<T: Real>(
    values: &[T],
    matrices: &[T],
    [k, n]: [usize; 2],
    ends: &[usize],
    transposed: bool,
) -> Vec<T> {
    let rows = ends.last().copied().unwrap_or(0);
    let mut output = vec![T::ZERO; rows * n];
    if k * n == 0 {
        return output;
    }
    let (matrices, size) = (tiled(matrices, [k, n], transposed), n.div_ceil(TILE) * k);
    let parts = parts(ends);
    let outputs = pieces(&mut output, parts.iter().map(|part| part.rows.len() * n));
    parts.par_iter().zip(outputs).for_each(|(part, output)| {
        let values = &values[part.rows.start * k..part.rows.end * k];
        let matrix = &matrices[part.group * size..(part.group + 1) * size];
        multiply(values, matrix, k, n, output);
    });
    output
}

vectorized_fn! {
    /// Rows times a matrix in tiles.
    fn multiply<T: Real>(values: &[T], matrix: &[[T; TILE]], k: usize, n: usize, output: &mut [T]), FMA, {
        for (values, output) in values.chunks(TOGETHER * k).zip(output.chunks_mut(TOGETHER * n)) {
            for (tile, matrix) in matrix.chunks_exact(k).enumerate() {
                let mut sums = [[T::ZERO; TILE]; TOGETHER];
                if values.len() == TOGETHER * k {
                    for (j, row) in matrix.iter().enumerate() {
                        for r in 0..TOGETHER {
                            let factor = values[r * k + j];
                            for c in 0..TILE {
                                sums[r][c] = mul_add::<T, FMA>(factor, row[c], sums[r][c]);
                            }
                        }
                    }
                } else {
                    for (sums, values) in sums.iter_mut().zip(values.chunks_exact(k)) {
                        for (&factor, row) in values.iter().zip(matrix) {
                            for c in 0..TILE {
                                sums[c] = mul_add::<T, FMA>(factor, row[c], sums[c]);
                            }
                        }
                    }
                }
                let (first, width) = (tile * TILE, TILE.min(n - tile * TILE));
                for (output, sums) in output.chunks_exact_mut(n).zip(&sums) {
                    output[first..first + width].copy_from_slice(&sums[..width]);
                }
            }
        }
    }
}

/// The gradients of the matrices: for each group the sum of the outer products of its rows and their gradients.
pub(super) fn gradient<T: Real>(values: &[T], gradient: &[T], [k, n]: [usize; 2], ends: &[usize]) -> Vec<T> {
    let mut output = vec![T::ZERO; ends.len() * k * n];
    if k * n == 0 {
        return output;
    }
    // The same numbers as a row, along which the sums go.
    if n == 1 && k > 1 {
        return self::gradient(gradient, values, [1, k], ends);
    }
    let parts = parts(ends);
    let sums: Vec<Vec<T>> = parts
        .par_iter()
        .map(|part| {
            let rows = part.rows.clone();
            let mut sums = vec![[T::ZERO; TILE]; n.div_ceil(TILE) * k];
            outer(&values[rows.start * k..rows.end * k], &gradient[rows.start * n..rows.end * n], k, n, &mut sums);
            let place = |i: usize| sums[i % n / TILE * k + i / n][i % n % TILE];
            (0..k * n).map(place).collect()
        })
        .collect();
    // In the order of the rows.
    for (part, sums) in parts.iter().zip(sums) {
        let output = &mut output[part.group * k * n..(part.group + 1) * k * n];
        output.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    output
}

vectorized_fn! {
    /// Adds up outer products, in tiles of rows and columns that stay in registers.
    pub(super) fn outer<T: Real>(values: &[T], gradient: &[T], k: usize, n: usize, sums: &mut [[T; TILE]]), FMA, {
        for (tile, sums) in sums.chunks_exact_mut(k).enumerate() {
            let (column, width) = (tile * TILE, TILE.min(n - tile * TILE));
            for (block, sums) in sums.chunks_mut(TALL).enumerate() {
                let row = block * TALL;
                if sums.len() == TALL && width == TILE {
                    let mut kept = [[T::ZERO; TILE]; TALL];
                    for (values, gradient) in values.chunks_exact(k).zip(gradient.chunks_exact(n)) {
                        let gradient = &gradient[column..column + TILE];
                        // Rows of their own, so that the compiler goes along columns.
                        let [a, b, c, d] = &mut kept;
                        add_row::<T, FMA>(a, values[row], gradient);
                        add_row::<T, FMA>(b, values[row + 1], gradient);
                        add_row::<T, FMA>(c, values[row + 2], gradient);
                        add_row::<T, FMA>(d, values[row + 3], gradient);
                    }
                    sums.copy_from_slice(&kept);
                } else {
                    for (values, gradient) in values.chunks_exact(k).zip(gradient.chunks_exact(n)) {
                        for (&factor, sums) in values[row..].iter().zip(sums.iter_mut()) {
                            for (sum, &g) in sums.iter_mut().zip(&gradient[column..column + width]) {
                                *sum = mul_add::<T, FMA>(factor, g, *sum);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// sums += factor · row.
#[inline(always)]
pub(super) fn add_row<T: Real, const FMA: bool>(sums: &mut [T; TILE], factor: T, row: &[T]) {
    for (sum, &x) in sums.iter_mut().zip(row) {
        *sum = mul_add::<T, FMA>(factor, x, *sum);
    }
}
