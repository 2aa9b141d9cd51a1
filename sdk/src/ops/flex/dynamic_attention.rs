//! Attention of GATv2 over edges: scores are made after the rows of both ends went through LeakyReLU together.
//!
//! With φ(x) = s x + (1 − s) max(0, x) the part s of a score is a sum of a term of each end and, where edges have factors, one
//! of the edge. That of the node itself is the same for all its edges, and softmax takes no notice. So an edge adds, compares
//! and multiplies once a channel.
//!
//! With E edges and w channels of all heads, an edge reads its source's row twice forward: 8·E·w bytes of 32-bit tables, 6·E·w
//! operations (an addition, a maximum, a multiplication and an addition for the score, two for the sum). Backward it reads the
//! source's row twice, and those of target and gradient: 16·E·w bytes, 10·E·w operations, as the gradients of the score are
//! sums of numbers that are there or not. Factors of edges are two more operations wherever x is made, and two for their own
//! gradient. What is made beside gradients is E numbers a head, two for an edge with its factor.

use super::Csr;
use super::edge_passes::{Lists, score_gradients, sum_rows, transposed, weigh};
use super::real::{Real, dot};
use super::tile_scores::{Term, positive_sums, rectified_dots};
use super::tiles::{Block, Tiles, pieces};
use rayon::prelude::*;

/// The inputs, row after row.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a, T> {
    pub target: &'a [T],
    pub source: &'a [T],
    /// A vector a head, one after the other.
    pub a: &'a [T],
    /// What the weight of an edge multiplies.
    pub edge: Option<&'a [T]>,
    pub heads: usize,
    /// Channels of all heads together.
    pub width: usize,
    pub slope: T,
}

/// Output of every node, and the weights of the edges, head after head.
pub(super) fn forward<T: Real>(inputs: Inputs<'_, T>, edges: &Csr) -> (Vec<T>, Vec<T>) {
    match inputs.width / inputs.heads {
        ..=16 => forward_tiled::<T, 16>(inputs, edges),
        _ => forward_tiled::<T, 64>(inputs, edges),
    }
}

fn forward_tiled<T: Real, const C: usize>(inputs: Inputs<'_, T>, edges: &Csr) -> (Vec<T>, Vec<T>) {
    let Inputs { target, source, a, edge, heads, width, slope } = inputs;
    let (lists, count, d) = (Lists::incoming(edges), edges.members().len(), width / heads);
    let sources = Tiles::<T, C>::of(source, width, heads);
    let factors = edge.map(|_| factors::<T>(edges));
    let term = Term::of(factors.as_deref(), edge);
    // The two parts of LeakyReLU.
    let everywhere = |of_head: &[T], head: usize| slope * dot::<T, false>(of_head, &a[head * d..][..d]);
    let of_sources: Vec<T> =
        source.par_chunks_exact(d).with_min_len(256).enumerate().map(|(at, x)| everywhere(x, at % heads)).collect();
    let above: Vec<T> = a.iter().map(|&a| (T::ONE - slope) * a).collect();
    let mut output = vec![T::ZERO; edges.len() * width];
    let mut weights = vec![T::ZERO; heads * count];
    for (head, weights) in weights.chunks_exact_mut(count).enumerate() {
        weigh(lists, weights, |block, scores| {
            let members = &lists.members[block.members.clone()];
            for (score, &source) in scores.iter_mut().zip(members) {
                *score = of_sources[source as usize * heads + head];
            }
            if let Some(Term { factors, row }) = term {
                let by = everywhere(&row[head * d..][..d], head);
                for (score, &factor) in scores.iter_mut().zip(&factors[block.members.clone()]) {
                    *score += factor * by;
                }
            }
            for (columns, rows) in sources.of_head(head) {
                for (node, range) in block.rows(lists.offsets) {
                    let own = &target[node * width..][columns.clone()];
                    let term = term.map(|term| term.part(block.members.start, &range, &columns));
                    let members = &members[range.clone()];
                    rectified_dots(rows, members, own, &above[columns.clone()], term, &mut scores[range]);
                }
            }
        });
        sum_rows(&sources, head, lists, weights, &mut output, width);
    }
    (output, weights)
}

/// The weights of the graph's edges.
fn factors<T: Real>(edges: &Csr) -> Vec<T> {
    match edges.weights() {
        Some(weights) => weights.iter().map(|&w| T::of(w)).collect(),
        None => vec![T::ONE; edges.members().len()],
    }
}

/// Gradients of target, source, a and, where there is one, edge.
pub(super) fn backward<T: Real>(inputs: Inputs<'_, T>, weights: &[T], gradients: &[T], edges: &Csr) -> [Vec<T>; 4] {
    match inputs.width / inputs.heads {
        ..=16 => backward_tiled::<T, 16>(inputs, weights, gradients, edges),
        _ => backward_tiled::<T, 64>(inputs, weights, gradients, edges),
    }
}

fn backward_tiled<T: Real, const C: usize>(
    inputs: Inputs<'_, T>,
    weights: &[T],
    gradients: &[T],
    edges: &Csr,
) -> [Vec<T>; 4] {
    let Inputs { target, source, a, edge, heads, width, slope } = inputs;
    let (incoming, outgoing, d) = (Lists::incoming(edges), Lists::outgoing(edges), width / heads);
    let [targets, sources, of_output] = [target, source, gradients].map(|table| Tiles::<T, C>::of(table, width, heads));
    let factors = edge.map(|_| factors::<T>(edges));
    let turned = factors.as_deref().map(|factors| transposed(edges, factors));
    let [mut d_target, mut d_source, mut d_a, mut d_edge] =
        [target, source, a, edge.unwrap_or_default()].map(|table| vec![T::ZERO; table.len()]);
    for (head, weights) in weights.chunks_exact(edges.members().len()).enumerate() {
        let d_scores = score_gradients(&sources, head, incoming, weights, gradients, width);
        let term = Term::of(factors.as_deref(), edge);
        let pass = Pass { lists: incoming, own: target, others: &sources, d_scores: &d_scores, term };
        let [by_target, active] = pass.run(inputs, head, &mut d_target);
        // Sources are the values, too.
        sum_rows(&of_output, head, outgoing, &transposed(edges, weights), &mut d_source, width);
        let (d_turned, term) = (transposed(edges, &d_scores), Term::of(turned.as_deref(), edge));
        let pass = Pass { lists: outgoing, own: source, others: &targets, d_scores: &d_turned, term };
        let [by_source, _] = pass.run(inputs, head, &mut d_source);
        let products = factors.iter().flatten().zip(&d_scores).map(|(&factor, &d)| factor * d);
        let everywhere = slope * products.sum::<T>();
        for c in head * d..(head + 1) * d {
            d_a[c] = by_target[c] + by_source[c];
            if let Some(row) = edge {
                let through = everywhere + (T::ONE - slope) * active[c];
                d_a[c] += row[c] * through;
                d_edge[c] = a[c] * through;
            }
        }
    }
    [d_target, d_source, d_a, d_edge]
}

/// From the gradients of scores to the rows of one end.
struct Pass<'a, T, const C: usize> {
    /// The edges of that end.
    lists: Lists<'a>,
    own: &'a [T],
    /// The rows of the other end.
    others: &'a Tiles<T, C>,
    /// In the order of the lists, as are the factors of the term.
    d_scores: &'a [T],
    term: Option<Term<'a, T>>,
}

impl<T: Real, const C: usize> Pass<'_, T, C> {
    /// Adds to the gradient of every row, in the columns of the head: the sum of ∂L/∂score · φ'(x) over its edges, times a. And
    /// gives that sum times the row, which is the row's part of the gradient of a; and the sum of ∂L/∂score · factor over the
    /// edges of positive x. Both added up over all rows.
    fn run(&self, inputs: Inputs<'_, T>, head: usize, gradients: &mut [T]) -> [Vec<T>; 2] {
        let Inputs { a, width, slope, .. } = inputs;
        let (lists, above) = (self.lists, T::ONE - slope);
        let blocks = Block::split(lists.offsets, gradients.len() / width);
        let mut sums = vec![T::ZERO; blocks.len() * 2 * width];
        let parts = pieces(gradients, blocks.iter().map(|b| b.outputs.len() * width));
        let work = blocks.par_iter().zip(parts).zip(sums.par_chunks_exact_mut(2 * width)).with_max_len(1);
        work.for_each(|((block, gradients), sums)| {
            let (by_own, of_factors) = sums.split_at_mut(width);
            let (members, d_scores) = (&lists.members[block.members.clone()], &self.d_scores[block.members.clone()]);
            let all = block.rows(lists.offsets).map(|(_, range)| d_scores[range].iter().copied().sum::<T>());
            let totals: Vec<T> = all.collect();
            let mut active = [T::ZERO; C];
            for (columns, tiled) in self.others.of_head(head) {
                let active = &mut active[..columns.len()];
                let rows = block.rows(lists.offsets).zip(gradients.chunks_exact_mut(width)).zip(&totals);
                for (((row, range), gradient), &total) in rows {
                    let own = &self.own[row * width..][columns.clone()];
                    let term = self.term.map(|term| term.part(block.members.start, &range, &columns));
                    let (members, d_scores) = (&members[range.clone()], &d_scores[range]);
                    positive_sums(tiled, members, d_scores, own, term, active, &mut of_factors[columns.clone()]);
                    for (at, c) in columns.clone().enumerate() {
                        let through = slope * total + above * active[at];
                        gradient[c] += a[c] * through;
                        by_own[c] += own[at] * through;
                    }
                }
            }
        });
        let mut all = vec![T::ZERO; 2 * width];
        for block in sums.chunks_exact(2 * width) {
            for (to, &from) in all.iter_mut().zip(block) {
                *to += from;
            }
        }
        let of_factors = all.split_off(width);
        [all, of_factors]
    }
}
