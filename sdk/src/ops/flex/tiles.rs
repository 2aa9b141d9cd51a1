//! Tables cut into tiles of channels, so that what many rows of a graph read stays near the processor.
//!
//! A row of 256 numbers takes 1 KiB, the table of a large graph more than the second-level cache. A tile holds `C`
//! channels of all rows, close together; a kernel goes over the members of a block of outputs once for each tile, with
//! the sums in registers.

use super::real::{Real, Stored, mul_add};
use crate::vectorized_fn;
use rayon::prelude::*;
use std::ops::Range;

/// Members that make it worth to give a block of outputs to another thread.
const MEMBERS_PER_BLOCK: usize = 4096;

/// A table of `heads · d` columns in tiles of `C` columns, of which none belongs to two heads. The last tile of a head
/// is filled up with zeros.
pub(super) struct Tiles<S, const C: usize> {
    rows: Vec<[S; C]>,
    count: usize,
    /// Channels of a head.
    d: usize,
}

impl<S, const C: usize> Tiles<S, C> {
    /// Tiles of rows of `width` columns; O(numbers).
    pub fn of<T: Real>(numbers: &[T], width: usize, heads: usize) -> Self
    where
        S: Stored<T>,
    {
        let (count, d) = (numbers.len() / width, width / heads);
        let tiles = heads * d.div_ceil(C);
        let mut rows = vec![[S::store(T::ZERO); C]; tiles * count];
        rows.par_chunks_mut(count.max(1)).enumerate().for_each(|(tile, rows)| {
            let columns = Self::columns_of(d, tile);
            for (tiled, row) in rows.iter_mut().zip(numbers.chunks_exact(width)) {
                for (to, &from) in tiled.iter_mut().zip(&row[columns.clone()]) {
                    *to = S::store(from);
                }
            }
        });
        Self { rows, count, d }
    }

    /// The tiles of a head: the columns of each, and its part of every row.
    pub fn of_head(&self, head: usize) -> impl Iterator<Item = (Range<usize>, &[[S; C]])> {
        let tiles = self.d.div_ceil(C);
        (head * tiles..(head + 1) * tiles)
            .map(|tile| (Self::columns_of(self.d, tile), &self.rows[tile * self.count..(tile + 1) * self.count]))
    }

    fn columns_of(d: usize, tile: usize) -> Range<usize> {
        let (head, tile) = (tile / d.div_ceil(C), tile % d.div_ceil(C));
        head * d + tile * C..head * d + d.min((tile + 1) * C)
    }
}

/// Consecutive outputs that one thread makes, and their members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub outputs: Range<usize>,
    pub members: Range<usize>,
}

impl Block {
    /// `count` outputs in blocks of about as many members. Outputs beyond the last offset have no members.
    pub fn split(offsets: &[u32], count: usize) -> Vec<Self> {
        let offset = |output: usize| offsets[output.min(offsets.len() - 1)] as usize;
        let all = offset(count);
        let wanted = (rayon::current_num_threads() * 4).min(all / MEMBERS_PER_BLOCK).max(1);
        let mut blocks = Vec::with_capacity(wanted);
        let mut start = 0;
        for block in 1..=wanted {
            let end = match block == wanted {
                true => count,
                false => offsets.partition_point(|&o| (o as usize) < all * block / wanted).clamp(start, count),
            };
            blocks.push(Self { outputs: start..end, members: offset(start)..offset(end) });
            start = end;
        }
        blocks
    }

    /// Each output of the block, with the range of its members counted from the first of the block.
    pub fn rows<'a>(&self, offsets: &'a [u32]) -> impl Iterator<Item = (usize, Range<usize>)> + use<'a> {
        let (first, outputs) = (self.members.start, self.outputs.clone());
        let offset = move |output: usize| offsets[output.min(offsets.len() - 1)] as usize - first;
        outputs.map(move |output| (output, offset(output)..offset(output + 1)))
    }
}

/// Cuts `numbers` into pieces of these lengths.
pub(super) fn pieces<T>(mut numbers: &mut [T], lengths: impl Iterator<Item = usize>) -> Vec<&mut [T]> {
    let cut = |length| {
        let (piece, left) = std::mem::take(&mut numbers).split_at_mut(length);
        numbers = left;
        piece
    };
    lengths.map(cut).collect()
}

vectorized_fn! {
    /// output = Σ_k weights_k · rows[members_k], of one tile.
    pub(super) fn sum<T: Real, S: Stored<T>; C>(
        rows: &[[S; C]],
        members: &[u32],
        weights: &[T],
        output: &mut [T],
    ), FMA, {
        let mut sums = [T::ZERO; C];
        for (&member, &w) in members.iter().zip(weights) {
            let row = &rows[member as usize];
            for c in 0..C {
                sums[c] = mul_add::<T, FMA>(w, row[c].load(), sums[c]);
            }
        }
        output.copy_from_slice(&sums[..output.len()]);
    }
}

vectorized_fn! {
    /// The same, and products_k += rows[members_k] · with, in one pass over the rows. `C` is a multiple of 16.
    pub(super) fn sum_and_products<T: Real, S: Stored<T>; C>(
        rows: &[[S; C]],
        members: &[u32],
        weights: &[T],
        with: &[T],
        output: &mut [T],
        products: &mut [T],
    ), FMA, {
        let mut other = [T::ZERO; C];
        other[..with.len()].copy_from_slice(with);
        let mut sums = [T::ZERO; C];
        let (fours, rest) = members.as_chunks::<4>();
        let (w_fours, w_rest) = weights.as_chunks::<4>();
        let (p_fours, p_rest) = products.as_chunks_mut::<4>();
        for ((members, w), products) in fours.iter().zip(w_fours).zip(p_fours) {
            let mut lanes = [[T::ZERO; 16]; 4];
            for e in 0..4 {
                let row = &rows[members[e] as usize];
                add_one::<T, S, C, FMA>(row, w[e], &other, &mut sums, &mut lanes[e]);
            }
            for (product, total) in products.iter_mut().zip(totals(lanes)) {
                *product += total;
            }
        }
        for ((&member, &w), product) in rest.iter().zip(w_rest).zip(p_rest) {
            let mut lanes = [T::ZERO; 16];
            add_one::<T, S, C, FMA>(&rows[member as usize], w, &other, &mut sums, &mut lanes);
            *product += totals([lanes; 1])[0];
        }
        output.copy_from_slice(&sums[..output.len()]);
    }
}

/// sums += w · row, and the products row · other added up in lanes.
#[inline(always)]
fn add_one<T: Real, S: Stored<T>, const C: usize, const FMA: bool>(
    row: &[S; C],
    w: T,
    other: &[T; C],
    sums: &mut [T; C],
    lanes: &mut [T; 16],
) {
    for at in (0..C).step_by(16) {
        for lane in 0..16 {
            let x = row[at + lane].load();
            sums[at + lane] = mul_add::<T, FMA>(w, x, sums[at + lane]);
            lanes[lane] = mul_add::<T, FMA>(x, other[at + lane], lanes[lane]);
        }
    }
}

/// The sum of each row of lanes, in a fixed order: halves, then quarters, then one after the other.
#[inline(always)]
pub(super) fn totals<T: Real, const N: usize>(lanes: [[T; 16]; N]) -> [T; N] {
    let mut quarters = [[T::ZERO; 4]; N];
    for (quarter, lanes) in quarters.iter_mut().zip(&lanes) {
        for i in 0..4 {
            quarter[i] = (lanes[i] + lanes[i + 8]) + (lanes[i + 4] + lanes[i + 12]);
        }
    }
    let mut totals = [T::ZERO; N];
    for i in 0..4 {
        for (total, quarter) in totals.iter_mut().zip(&quarters) {
            *total += quarter[i];
        }
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_hold_every_number_once_head_by_head() {
        let numbers: Vec<f64> = (0..2 * 40).map(f64::from).collect();
        let tiles = Tiles::<f64, 16>::of(&numbers, 40, 2);
        let columns = |head| tiles.of_head(head).map(|(columns, _)| columns).collect::<Vec<_>>();
        assert_eq!([columns(0), columns(1)], [vec![0..16, 16..20], vec![20..36, 36..40]]);
        for head in 0..2 {
            for (columns, rows) in tiles.of_head(head) {
                for (row, tiled) in rows.iter().enumerate() {
                    let expected: Vec<f64> = columns.clone().map(|c| (row * 40 + c) as f64).collect();
                    assert_eq!(tiled[..columns.len()], expected);
                    assert!(tiled[columns.len()..].iter().all(|&x| x == 0.0));
                }
            }
        }
    }

    #[test]
    fn blocks_cover_all_outputs_and_members() {
        let mut offsets = vec![0u32];
        offsets.extend((0..50).map(|i| if i < 3 { 30_000 * (i + 1) } else { 90_000 + 100 * i }));
        let blocks = Block::split(&offsets, 60);
        assert!(blocks.len() > 1, "{blocks:?}");
        assert_eq!((blocks[0].outputs.start, blocks[blocks.len() - 1].outputs.end), (0, 60));
        assert!(blocks.windows(2).all(|b| b[0].outputs.end == b[1].outputs.start));
        assert!(blocks.windows(2).all(|b| b[0].members.end == b[1].members.start));
        let rows: Vec<_> = blocks.iter().flat_map(|b| b.rows(&offsets).map(|(_, r)| r.len())).collect();
        assert_eq!(rows.len(), 60);
        assert_eq!(rows.iter().sum::<usize>(), offsets[50] as usize);
        assert_eq!(Block::split(&[0], 0), [Block { outputs: 0..0, members: 0..0 }]);
    }

    #[test]
    fn sums_and_products_add_every_row() {
        for n in [0, 1, 4, 7] {
            let rows: Vec<[f64; 16]> = (0..9).map(|r| std::array::from_fn(|c| (r * 16 + c) as f64 * 0.1)).collect();
            let members: Vec<u32> = (0..n).map(|k| (k * 5 % 9) as u32).collect();
            let weights: Vec<f64> = (0..n).map(|k| 0.5 - k as f64).collect();
            let with: Vec<f64> = (0..10).map(|c| (c as f64).sin()).collect();
            let (mut once, mut both, mut products) = ([9.0; 10], [9.0; 10], vec![1.0; n]);
            sum(&rows, &members, &weights, &mut once);
            sum_and_products(&rows, &members, &weights, &with, &mut both, &mut products);
            for c in 0..10 {
                let expected: f64 = (0..n).map(|k| weights[k] * rows[members[k] as usize][c]).sum();
                assert!((once[c] - expected).abs() < 1e-9 && (both[c] - expected).abs() < 1e-9);
            }
            for k in 0..n {
                let expected: f64 = 1.0 + (0..10).map(|c| rows[members[k] as usize][c] * with[c]).sum::<f64>();
                assert!((products[k] - expected).abs() < 1e-9);
            }
        }
    }
}
