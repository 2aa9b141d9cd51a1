//! Passes over the edges of one head, from which attention is put together. Threads divide blocks of lists among
//! themselves; a block is gone through tile by tile, so that the rows which its edges read stay near the processor.

use super::Csr;
use super::real::{Real, dot};
use super::tile_scores::dots;
use super::tiles::{Block, Tiles, pieces, sum};
use crate::vectorized_fn;
use rayon::prelude::*;

/// For each node its edges, by their other ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lists<'a> {
    pub offsets: &'a [u32],
    pub members: &'a [u32],
}

impl<'a> Lists<'a> {
    /// Edges into nodes.
    pub fn incoming(edges: &'a Csr) -> Self {
        Self { offsets: edges.offsets(), members: edges.members() }
    }

    /// Edges out of nodes, in the order of the transposed lists.
    pub fn outgoing(edges: &'a Csr) -> Self {
        let transposed = edges.transposed();
        Self { offsets: &transposed.offsets, members: &transposed.outputs }
    }

    /// Blocks of lists for the threads.
    fn blocks(self) -> Vec<Block> {
        Block::split(self.offsets, self.offsets.len() - 1)
    }
}

/// Numbers of the edges, in the order of the transposed lists.
pub(super) fn transposed<T: Real>(edges: &Csr, numbers: &[T]) -> Vec<T> {
    let positions = &edges.transposed().positions;
    positions.par_iter().with_min_len(4096).map(|&position| numbers[position as usize]).collect()
}

/// The weights of the edges into each node: `score` fills in the scores of a block, where zeros stand, in the order of its
/// edges, and softmax makes them weights.
pub(super) fn weigh<T: Real>(lists: Lists<'_>, weights: &mut [T], score: impl Fn(&Block, &mut [T]) + Sync) {
    let blocks = lists.blocks();
    let parts = pieces(weights, blocks.iter().map(|b| b.members.len()));
    blocks.par_iter().zip(parts).with_max_len(1).for_each(|(block, weights)| {
        score(block, weights);
        for (_, range) in block.rows(lists.offsets) {
            softmax(&mut weights[range]);
        }
    });
}

vectorized_fn! {
    /// Scores become weights.
    fn softmax<T: Real>(scores: &mut [T]), _FMA, {
        let mut top = T::LOWEST;
        for &s in scores.iter() {
            top = top.larger(s);
        }
        for s in scores.iter_mut() {
            *s = (*s - top).exp();
        }
        let mut total = T::ZERO;
        for &s in scores.iter() {
            total += s;
        }
        let scale = T::ONE / total;
        for s in scores.iter_mut() {
            *s *= scale;
        }
    }
}

/// The weighted sum of the rows of each list: all numbers of `output` in the columns of the head.
pub(super) fn sum_rows<T: Real, const C: usize>(
    table: &Tiles<T, C>,
    head: usize,
    lists: Lists<'_>,
    weights: &[T],
    output: &mut [T],
    width: usize,
) {
    let blocks = Block::split(lists.offsets, output.len() / width);
    let outputs = pieces(output, blocks.iter().map(|b| b.outputs.len() * width));
    blocks.par_iter().zip(outputs).with_max_len(1).for_each(|(block, output)| {
        let (members, weights) = (&lists.members[block.members.clone()], &weights[block.members.clone()]);
        for (columns, rows) in table.of_head(head) {
            for ((_, range), output) in block.rows(lists.offsets).zip(output.chunks_exact_mut(width)) {
                sum(rows, &members[range.clone()], &weights[range], &mut output[columns.clone()]);
            }
        }
    });
}

/// Gradients of the scores of the edges into each node, from those of the outputs: through the weighted sum of the rows of
/// `values` and through softmax.
pub(super) fn score_gradients<T: Real, const C: usize>(
    values: &Tiles<T, C>,
    head: usize,
    lists: Lists<'_>,
    weights: &[T],
    gradients: &[T],
    width: usize,
) -> Vec<T> {
    let blocks = lists.blocks();
    let mut d_scores = vec![T::ZERO; weights.len()];
    let parts = pieces(&mut d_scores, blocks.iter().map(|b| b.members.len()));
    blocks.par_iter().zip(parts).with_max_len(1).for_each(|(block, d_scores)| {
        let (members, weights) = (&lists.members[block.members.clone()], &weights[block.members.clone()]);
        for (columns, rows) in values.of_head(head) {
            for (node, range) in block.rows(lists.offsets) {
                let gradient = &gradients[node * width..][columns.clone()];
                dots(rows, &members[range.clone()], gradient, &mut d_scores[range]);
            }
        }
        for (_, range) in block.rows(lists.offsets) {
            through_softmax(&weights[range.clone()], &mut d_scores[range]);
        }
    });
    d_scores
}

vectorized_fn! {
    /// Gradients of weights become gradients of scores.
    fn through_softmax<T: Real>(weights: &[T], gradients: &mut [T]), FMA, {
        let shared = dot::<T, FMA>(weights, gradients);
        for (g, &w) in gradients.iter_mut().zip(weights) {
            *g = w * (*g - shared);
        }
    }
}
