//! Scaled dot-product attention over edges.
//!
//! With E edges and w channels of all heads, an edge reads a row of keys and one of values forward: 8·E·w bytes of 32-bit
//! tables, 4·E·w operations (a multiplication and an addition each for score and sum). Backward it reads a row each of values,
//! keys, queries and gradients: 16·E·w bytes, 8·E·w operations. What is made beside gradients is E numbers a head.

use super::Csr;
use super::edge_passes::{Lists, score_gradients, sum_rows, transposed, weigh};
use super::real::Real;
use super::tile_scores::dots;
use super::tiles::Tiles;

/// The inputs, row after row.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a, T> {
    pub query: &'a [T],
    pub key: &'a [T],
    pub values: &'a [T],
    /// A row of `heads` numbers an edge.
    pub bias: Option<&'a [T]>,
    pub heads: usize,
    /// Channels of all heads together.
    pub width: usize,
}

impl<T: Real> Inputs<'_, T> {
    /// 1 / √d
    fn scale(&self) -> T {
        T::of64(((self.width / self.heads) as f64).sqrt().recip())
    }
}

/// Output of every node, and the weights of the edges, head after head.
pub(super) fn forward<T: Real>(inputs: Inputs<'_, T>, edges: &Csr) -> (Vec<T>, Vec<T>) {
    match inputs.width / inputs.heads {
        ..=16 => forward_tiled::<T, 16>(inputs, edges),
        _ => forward_tiled::<T, 64>(inputs, edges),
    }
}

fn forward_tiled<T: Real, const C: usize>(inputs: Inputs<'_, T>, edges: &Csr) -> (Vec<T>, Vec<T>) {
    let Inputs { query, key, values, bias, heads, width } = inputs;
    let (lists, count, scale) = (Lists::incoming(edges), edges.members().len(), inputs.scale());
    let [keys, values] = [key, values].map(|table| Tiles::<T, C>::of(table, width, heads));
    let mut output = vec![T::ZERO; edges.len() * width];
    let mut weights = vec![T::ZERO; heads * count];
    for (head, weights) in weights.chunks_exact_mut(count).enumerate() {
        weigh(lists, weights, |block, scores| {
            let members = &lists.members[block.members.clone()];
            for (columns, rows) in keys.of_head(head) {
                for (node, range) in block.rows(lists.offsets) {
                    let own = &query[node * width..][columns.clone()];
                    dots(rows, &members[range.clone()], own, &mut scores[range]);
                }
            }
            for score in scores.iter_mut() {
                *score *= scale;
            }
            if let Some(bias) = bias {
                let rows = bias[block.members.start * heads..].chunks_exact(heads);
                for (score, row) in scores.iter_mut().zip(rows) {
                    *score += row[head];
                }
            }
        });
        sum_rows(&values, head, lists, weights, &mut output, width);
    }
    (output, weights)
}

/// Gradients of query, key, values and, where there is one, bias.
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
    let Inputs { query, key, values, bias, heads, width } = inputs;
    let (incoming, outgoing, scale) = (Lists::incoming(edges), Lists::outgoing(edges), inputs.scale());
    let [queries, keys, of_values, of_output] =
        [query, key, values, gradients].map(|table| Tiles::<T, C>::of(table, width, heads));
    let [mut d_query, mut d_key, mut d_values, mut d_bias] =
        [query, key, values, bias.unwrap_or_default()].map(|table| vec![T::ZERO; table.len()]);
    for (head, weights) in weights.chunks_exact(edges.members().len()).enumerate() {
        let mut d_scores = score_gradients(&of_values, head, incoming, weights, gradients, width);
        for (row, &d) in d_bias.chunks_exact_mut(heads).zip(&d_scores) {
            row[head] = d;
        }
        for d in &mut d_scores {
            *d *= scale;
        }
        sum_rows(&keys, head, incoming, &d_scores, &mut d_query, width);
        sum_rows(&queries, head, outgoing, &transposed(edges, &d_scores), &mut d_key, width);
        sum_rows(&of_output, head, outgoing, &transposed(edges, weights), &mut d_values, width);
    }
    [d_query, d_key, d_values, d_bias]
}
