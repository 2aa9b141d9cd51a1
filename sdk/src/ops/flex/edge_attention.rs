//! Attention fused with aggregation. The weights of a block's edges are computed first, then its rows are summed by
//! tile. Nothing is made that is larger than the weights and the gradients of the scores of one head, four bytes an edge
//! each.

use super::Csr;
use super::real::{Real, Stored};
use super::tiles::{Block, Tiles, pieces, sum, sum_and_products};
use crate::sparse::Transposed;
use crate::vectorized_fn;
use rayon::prelude::*;

/// The inputs beside the values, row after row.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a, T> {
    pub target: &'a [T],
    pub source: &'a [T],
    pub heads: usize,
    /// Channels of all heads together.
    pub width: usize,
    pub slope: T,
}

/// What the forward pass leaves for the backward pass.
#[derive(Clone, Copy)]
pub(super) struct Outputs<'a, T> {
    pub output: &'a [T],
    pub log_sum_exp: &'a [T],
}

#[inline(always)]
fn leaky<T: Real>(x: T, slope: T) -> T {
    if x > T::ZERO { x } else { x * slope }
}

/// Output, and the log-sum-exp of the scores, of every node.
pub(super) fn forward<T: Real, S: Stored<T>>(inputs: Inputs<'_, T>, values: &[T], edges: &Csr) -> (Vec<T>, Vec<T>) {
    match inputs.width / inputs.heads {
        ..=16 => forward_tiled::<T, S, 16>(inputs, values, edges),
        _ => forward_tiled::<T, S, 64>(inputs, values, edges),
    }
}

fn forward_tiled<T: Real, S: Stored<T>, const C: usize>(
    inputs: Inputs<'_, T>,
    values: &[T],
    edges: &Csr,
) -> (Vec<T>, Vec<T>) {
    let Inputs { heads, width, .. } = inputs;
    let table = Tiles::<S, C>::of(values, width, heads);
    let mut output = vec![T::ZERO; edges.len() * width];
    let mut log_sum_exp = vec![T::ZERO; edges.len() * heads];
    let blocks = Block::split(edges.offsets(), edges.len());
    for head in 0..heads {
        let outputs = pieces(&mut output, blocks.iter().map(|b| b.outputs.len() * width));
        let log_sum_exps = pieces(&mut log_sum_exp, blocks.iter().map(|b| b.outputs.len() * heads));
        let work = blocks.par_iter().zip(outputs).zip(log_sum_exps).with_max_len(1);
        work.for_each_init(Vec::new, |weights, ((block, output), log_sum_exp)| {
            let neighbours = &edges.members()[block.members.clone()];
            let nodes = || block.rows(edges.offsets());
            weights.resize(neighbours.len(), T::ZERO);
            for ((node, range), log_sum_exp) in nodes().zip(log_sum_exp.chunks_exact_mut(heads)) {
                let own = inputs.target[node * heads + head];
                let weights = &mut weights[range.clone()];
                softmax(inputs, head, own, &neighbours[range], weights, &mut log_sum_exp[head]);
            }
            for (columns, rows) in table.of_head(head) {
                for ((_, range), output) in nodes().zip(output.chunks_exact_mut(width)) {
                    sum(rows, &neighbours[range.clone()], &weights[range], &mut output[columns.clone()]);
                }
            }
        });
    }
    (output, log_sum_exp)
}

vectorized_fn! {
    /// The weights of one node's edges, and the log-sum-exp of their scores.
    fn softmax<T: Real>(
        inputs: Inputs<'_, T>,
        head: usize,
        own: T,
        neighbours: &[u32],
        weights: &mut [T],
        log_sum_exp: &mut T,
    ), _FMA, {
        let Inputs { source, heads, slope, .. } = inputs;
        let mut top = T::LOWEST;
        for (w, &j) in weights.iter_mut().zip(neighbours) {
            *w = leaky(own + source[j as usize * heads + head], slope);
            top = top.larger(*w);
        }
        for w in weights.iter_mut() {
            *w = (*w - top).exp();
        }
        let mut total = T::ZERO;
        for &w in weights.iter() {
            total += w;
        }
        *log_sum_exp = top + total.ln();
        let scale = T::ONE / total;
        for w in weights.iter_mut() {
            *w *= scale;
        }
    }
}

/// Gradients of target scores, source scores and values. Values and gradients are read as `S` throughout, so that what
/// softmax subtracts fits what it subtracts from.
pub(super) fn backward<T: Real, S: Stored<T>>(
    inputs: Inputs<'_, T>,
    outputs: Outputs<'_, T>,
    values: &[T],
    gradients: &[T],
    edges: &Csr,
) -> [Vec<T>; 3] {
    match inputs.width / inputs.heads {
        ..=16 => backward_tiled::<T, S, 16>(inputs, outputs, values, gradients, edges),
        17..=64 => backward_tiled::<T, S, 64>(inputs, outputs, values, gradients, edges),
        _ => backward_tiled::<T, S, 128>(inputs, outputs, values, gradients, edges),
    }
}

fn backward_tiled<T: Real, S: Stored<T>, const C: usize>(
    inputs: Inputs<'_, T>,
    outputs: Outputs<'_, T>,
    values: &[T],
    gradients: &[T],
    edges: &Csr,
) -> [Vec<T>; 3] {
    let Inputs { heads, width, .. } = inputs;
    let (d, count) = (width / heads, values.len() / width);
    let table = Tiles::<S, C>::of(gradients, width, heads);
    let shared = subtracted::<T, S>(gradients, outputs.output, edges.len() * heads, d);
    let transposed = edges.transposed();
    let pass =
        Backward { inputs, log_sum_exp: outputs.log_sum_exp, values, table: &table, transposed, shared: &shared };
    let blocks = Block::split(&transposed.offsets, count);
    let mut d_target = vec![T::ZERO; edges.len() * heads];
    let mut d_source = vec![T::ZERO; count * heads];
    let mut d_values = vec![T::ZERO; count * width];
    // In the order of the transposed lists, so that each thread writes one piece of it.
    let mut d_scores = vec![T::ZERO; edges.members().len()];
    for head in 0..heads {
        let work = blocks
            .par_iter()
            .zip(pieces(&mut d_values, blocks.iter().map(|b| b.outputs.len() * width)))
            .zip(pieces(&mut d_source, blocks.iter().map(|b| b.outputs.len() * heads)))
            .zip(pieces(&mut d_scores, blocks.iter().map(|b| b.members.len())))
            .with_max_len(1);
        work.for_each_init(Vec::new, |weights, (((block, d_values), d_source), d_scores)| {
            pass.of_block(head, block, weights, d_values, d_source, d_scores);
        });
        d_target.par_chunks_mut(heads).enumerate().with_min_len(64).for_each(|(i, d_target)| {
            d_target[head] = transposed.slots[edges.range(i)].iter().map(|&slot| d_scores[slot as usize]).sum();
        });
    }
    [d_target, d_source, d_values]
}

/// What softmax subtracts from the gradient of every weight of a node: Σ_j α_ij ∂L/∂α_ij = g_i · out_i, for `count` rows of `d`
/// numbers.
fn subtracted<T: Real, S: Stored<T>>(gradients: &[T], output: &[T], count: usize, d: usize) -> Vec<T> {
    let mut shared = vec![T::ZERO; count];
    shared.par_iter_mut().with_min_len(256).enumerate().for_each(|(at, shared)| {
        let range = at * d..(at + 1) * d;
        let gradients = gradients[range.clone()].iter().map(|&g| S::rounded(g));
        *shared = gradients.zip(&output[range]).map(|(g, &out)| g * out).sum();
    });
    shared
}

/// What the backward pass reads, whatever the head and the block.
struct Backward<'a, T, S, const C: usize> {
    inputs: Inputs<'a, T>,
    log_sum_exp: &'a [T],
    values: &'a [T],
    /// The gradient of the output.
    table: &'a Tiles<S, C>,
    transposed: &'a Transposed,
    /// As [`subtracted`] gives it.
    shared: &'a [T],
}

impl<T: Real, S: Stored<T>, const C: usize> Backward<'_, T, S, C> {
    /// Gradients of the values and the source scores of a block's rows, for one head, and of the scores of their edges. `weights`
    /// is overwritten.
    fn of_block(
        &self,
        head: usize,
        block: &Block,
        weights: &mut Vec<T>,
        d_values: &mut [T],
        d_source: &mut [T],
        d_scores: &mut [T],
    ) {
        let &Self { inputs, log_sum_exp, values, table, transposed, shared } = self;
        let Inputs { heads, width, .. } = inputs;
        let nodes = &transposed.outputs[block.members.clone()];
        let rows = || block.rows(&transposed.offsets);
        weights.resize(nodes.len(), T::ZERO);
        for (row, range) in rows() {
            let own = inputs.source[row * heads + head];
            weigh(inputs, log_sum_exp, head, own, &nodes[range.clone()], &mut weights[range]);
        }
        d_scores.fill(T::ZERO); // the products of both rows first
        let mut value = [T::ZERO; C];
        for (columns, tiled) in table.of_head(head) {
            let value = &mut value[..columns.len()];
            for ((row, range), d_values) in rows().zip(d_values.chunks_exact_mut(width)) {
                for (to, &from) in value.iter_mut().zip(&values[row * width..][columns.clone()]) {
                    *to = S::rounded(from);
                }
                let (nodes, weights) = (&nodes[range.clone()], &weights[range.clone()]);
                sum_and_products(tiled, nodes, weights, value, &mut d_values[columns.clone()], &mut d_scores[range]);
            }
        }
        for ((row, range), d_source) in rows().zip(d_source.chunks_exact_mut(heads)) {
            let own = inputs.source[row * heads + head];
            let (nodes, weights) = (&nodes[range.clone()], &weights[range.clone()]);
            through_softmax(inputs, shared, head, own, nodes, weights, &mut d_scores[range], &mut d_source[head]);
        }
    }
}

vectorized_fn! {
    /// The weights of the edges that leave a row, from the log-sum-exp of the nodes that they lead to.
    fn weigh<T: Real>(
        inputs: Inputs<'_, T>,
        log_sum_exp: &[T],
        head: usize,
        own: T,
        nodes: &[u32],
        weights: &mut [T],
    ), _FMA, {
        let Inputs { target, heads, slope, .. } = inputs;
        for (w, &i) in weights.iter_mut().zip(nodes) {
            let at = i as usize * heads + head;
            *w = leaky(target[at] + own, slope) - log_sum_exp[at];
        }
        for w in weights.iter_mut() {
            *w = (*w).exp();
        }
    }
}

vectorized_fn! {
    /// Products ∂L/∂α of the edges that leave a row become gradients of their scores, through softmax and LeakyReLU.
    fn through_softmax<T: Real>(
        inputs: Inputs<'_, T>,
        shared: &[T],
        head: usize,
        own: T,
        nodes: &[u32],
        weights: &[T],
        d_scores: &mut [T],
        total: &mut T,
    ), _FMA, {
        let Inputs { target, heads, slope, .. } = inputs;
        for ((d_score, &i), &w) in d_scores.iter_mut().zip(nodes).zip(weights) {
            let at = i as usize * heads + head;
            let through = w * (*d_score - shared[at]);
            *d_score = if target[at] + own > T::ZERO { through } else { through * slope };
        }
        for &d in d_scores.iter() {
            *total += d;
        }
    }
}
