//! Sparse matrix times table, and its transpose.

use super::Csr;
use super::real::{Real, Stored, add_scaled};
use super::tiles::{Block, Tiles, pieces, sum};
use crate::vectorized_fn;
use rayon::prelude::*;

/// A table is cut into tiles where that many members a row read it.
const READINGS: usize = 8;

/// The rows of the product, in compressed form.
#[derive(Clone, Copy)]
pub(super) struct Lists<'a> {
    offsets: &'a [u32],
    members: &'a [u32],
    weights: Option<&'a [f32]>,
    /// Where the weight of each member stands, if not at its own place.
    positions: Option<&'a [u32]>,
}

impl Lists<'_> {
    #[inline(always)]
    fn weight<T: Real>(&self, member: usize) -> T {
        match (self.weights, self.positions) {
            (None, _) => T::ONE,
            (Some(weights), None) => T::of(weights[member]),
            (Some(weights), Some(positions)) => T::of(weights[positions[member] as usize]),
        }
    }
}

/// The product with a table of `width` columns, of `rows` rows.
pub(super) fn product<T: Real, S: Stored<T>>(
    values: &[T],
    width: usize,
    matrix: &Csr,
    transposed: bool,
    rows: usize,
) -> Vec<T> {
    if width == 0 {
        return Vec::new();
    }
    let (offsets, members, positions) = match transposed {
        false => (matrix.offsets(), matrix.members(), None),
        true => {
            let t = matrix.transposed();
            (t.offsets.as_slice(), t.outputs.as_slice(), Some(t.positions.as_slice()))
        }
    };
    let lists = Lists { offsets, members, weights: matrix.weights(), positions };
    match (members.len() / READINGS >= values.len() / width, width) {
        (false, _) => row_by_row(lists, values, width, rows),
        (true, ..=16) => by_tiles::<T, S, 16>(lists, values, width, rows),
        (true, _) => by_tiles::<T, S, 64>(lists, values, width, rows),
    }
}

fn by_tiles<T: Real, S: Stored<T>, const C: usize>(lists: Lists, values: &[T], width: usize, rows: usize) -> Vec<T> {
    let table = Tiles::<S, C>::of(values, width, 1);
    let blocks = Block::split(lists.offsets, rows);
    let mut output = vec![T::ZERO; rows * width];
    let outputs = pieces(&mut output, blocks.iter().map(|b| b.outputs.len() * width));
    blocks.par_iter().zip(outputs).with_max_len(1).for_each_init(Vec::new, |weights, (block, output)| {
        let members = &lists.members[block.members.clone()];
        weights.clear();
        weights.extend(block.members.clone().map(|member| lists.weight::<T>(member)));
        for (columns, tiled) in table.of_head(0) {
            for ((_, range), output) in block.rows(lists.offsets).zip(output.chunks_exact_mut(width)) {
                sum(tiled, &members[range.clone()], &weights[range], &mut output[columns.clone()]);
            }
        }
    });
    output
}

fn row_by_row<T: Real>(lists: Lists, values: &[T], width: usize, rows: usize) -> Vec<T> {
    let blocks = Block::split(lists.offsets, rows);
    let mut output = vec![T::ZERO; rows * width];
    let outputs = pieces(&mut output, blocks.iter().map(|b| b.outputs.len() * width));
    blocks.par_iter().zip(outputs).with_max_len(1).for_each(|(block, output)| {
        for ((_, range), output) in block.rows(lists.offsets).zip(output.chunks_exact_mut(width)) {
            let first = block.members.start;
            add_rows(values, lists, first + range.start, first + range.end, output);
        }
    });
    output
}

vectorized_fn! {
    /// One row of the output: the sum of the rows of the members `from..to`.
    fn add_rows<T: Real>(values: &[T], lists: Lists<'_>, from: usize, to: usize, output: &mut [T]), FMA, {
        let width = output.len();
        for member in from..to {
            let row = &values[lists.members[member] as usize * width..][..width];
            add_scaled::<T, FMA>(output, lists.weight(member), row);
        }
    }
}
