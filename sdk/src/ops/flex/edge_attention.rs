//! Attention fused with aggregation. Scores live in a buffer of one node's edges; with the gradients of scores, four
//! bytes an edge and head, nothing larger is made.

use super::real::{Real, Stored, add_scaled, add_scaled4, dot, mul_add, sum16};
use super::simd::vectorized;
use super::{Csr, ROWS_PER_TASK};
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
    pub norm: &'a [T],
}

#[inline(always)]
fn leaky<T: Real>(x: T, slope: T) -> T {
    if x > T::ZERO { x } else { x * slope }
}

/// Output and logarithm of the normaliser of every node.
pub(super) fn forward<T: Real, S: Stored<T>>(inputs: Inputs<'_, T>, rows: &[S], edges: &Csr) -> (Vec<T>, Vec<T>) {
    let mut output = vec![T::ZERO; edges.len() * inputs.width];
    let mut norm = vec![T::ZERO; edges.len() * inputs.heads];
    let nodes = output.par_chunks_mut(inputs.width).zip(norm.par_chunks_mut(inputs.heads));
    nodes.enumerate().with_min_len(ROWS_PER_TASK).for_each_init(Vec::new, |buffer, (i, (output, norm))| {
        attend(inputs, rows, &edges.members()[edges.range(i)], i, buffer, output, norm);
    });
    (output, norm)
}

vectorized! {
    /// One node: its scores, their softmax, and the sum of its neighbours' rows by them.
    fn attend<T: Real, S: Stored<T>>(
        inputs: Inputs<'_, T>,
        rows: &[S],
        neighbours: &[u32],
        node: usize,
        weights: &mut Vec<T>,
        output: &mut [T],
        norm: &mut [T],
    ), FMA, {
        let Inputs { target, source, heads, width, slope } = inputs;
        let d = width / heads;
        weights.resize(neighbours.len(), T::ZERO);
        for head in 0..heads {
            let own = target[node * heads + head];
            let mut top = T::LOWEST;
            for (w, &j) in weights.iter_mut().zip(neighbours) {
                *w = leaky(own + source[j as usize * heads + head], slope);
                top = top.larger(*w);
            }
            let mut total = T::ZERO;
            for w in weights.iter_mut() {
                *w = (*w - top).exp();
            }
            for &w in weights.iter() {
                total += w;
            }
            norm[head] = top + total.ln();
            let scale = T::ONE / total;
            let out = &mut output[head * d..(head + 1) * d];
            let row = |j: u32| &rows[j as usize * width + head * d..][..d];
            let (fours, rest) = neighbours.as_chunks::<4>();
            let (w_fours, w_rest) = weights.as_chunks::<4>();
            for (j, w) in fours.iter().zip(w_fours) {
                add_scaled4::<T, S, FMA>(out, w.map(|w| w * scale), j.map(row));
            }
            for (&j, &w) in rest.iter().zip(w_rest) {
                add_scaled::<T, S, FMA>(out, w * scale, row(j));
            }
        }
    }
}

/// Gradients of target scores, source scores and values; `rows` and `gradients` are the values and the gradient of the
/// output as they are read, so that what softmax subtracts fits what it subtracts from.
pub(super) fn backward<T: Real, S: Stored<T>>(
    inputs: Inputs<'_, T>,
    outputs: Outputs<'_, T>,
    rows: &[S],
    gradients: &[S],
    edges: &Csr,
) -> [Vec<T>; 3] {
    let Inputs { heads, width, .. } = inputs;
    let d = width / heads;
    let count = rows.len() / width;
    // What softmax subtracts from the gradient of every weight of a node: Σ_j α_ij ∂L/∂α_ij = g_i · out_i.
    let mut shared = vec![T::ZERO; edges.len() * heads];
    shared.par_iter_mut().with_min_len(256).enumerate().for_each(|(at, shared)| {
        let (g, out) = (&gradients[at * d..][..d], &outputs.output[at * d..][..d]);
        *shared = dot::<T, S, false>(g, out);
    });
    let transposed = edges.transposed();
    let mut d_values = vec![T::ZERO; count * width];
    let mut d_source = vec![T::ZERO; count * heads];
    // By row of the table, so that each thread writes one piece of it.
    let mut d_scores = vec![T::ZERO; edges.members().len() * heads];
    let mut pieces: Vec<&mut [T]> = Vec::with_capacity(count);
    let mut left = d_scores.as_mut_slice();
    for row in 0..count {
        let (piece, more) = left.split_at_mut(transposed.range(row).len() * heads);
        pieces.push(piece);
        left = more;
    }
    let work = d_values.par_chunks_mut(width).zip(d_source.par_chunks_mut(heads)).zip(pieces.into_par_iter());
    let work = work.enumerate().with_min_len(ROWS_PER_TASK);
    work.for_each_init(<(Vec<T>, Vec<T>)>::default, |buffers, (j, ((d_values, d_source), d_scores))| {
        let nodes = &transposed.outputs[transposed.range(j)];
        collect(inputs, outputs, rows, gradients, &shared, nodes, j, buffers, d_values, d_source, d_scores);
    });
    let mut d_target = vec![T::ZERO; edges.len() * heads];
    d_target.par_chunks_mut(heads).enumerate().with_min_len(64).for_each(|(i, d_target)| {
        for &slot in &transposed.slots[edges.range(i)] {
            for (sum, &d) in d_target.iter_mut().zip(&d_scores[slot as usize * heads..]) {
                *sum += d;
            }
        }
    });
    [d_target, d_source, d_values]
}

vectorized! {
    /// One row of the table: what its outgoing edges send back to it, and the gradients of their scores.
    fn collect<T: Real, S: Stored<T>>(
        inputs: Inputs<'_, T>,
        outputs: Outputs<'_, T>,
        rows: &[S],
        gradients: &[S],
        shared: &[T],
        nodes: &[u32],
        row: usize,
        buffers: &mut (Vec<T>, Vec<T>),
        d_values: &mut [T],
        d_source: &mut [T],
        d_scores: &mut [T],
    ), FMA, {
        let Inputs { target, source, heads, width, slope } = inputs;
        let d = width / heads;
        let (weights, value) = buffers;
        weights.resize(nodes.len(), T::ZERO);
        for head in 0..heads {
            let own = source[row * heads + head];
            for (w, &i) in weights.iter_mut().zip(nodes) {
                let at = i as usize * heads + head;
                *w = leaky(target[at] + own, slope) - outputs.norm[at];
            }
            for w in weights.iter_mut() {
                *w = (*w).exp();
            }
            value.clear();
            value.extend(rows[row * width + head * d..][..d].iter().map(|x| x.load()));
            let sum = &mut d_values[head * d..(head + 1) * d];
            let gradient = |i: u32| &gradients[i as usize * width + head * d..][..d];
            let mut own_gradient = T::ZERO;
            // The gradient of a score: softmax, then LeakyReLU.
            let mut score = |k: usize, w: T, product: T| {
                let at = nodes[k] as usize * heads + head;
                let through = w * (product - shared[at]);
                let through = if target[at] + own > T::ZERO { through } else { through * slope };
                d_scores[k * heads + head] = through;
                own_gradient += through;
            };
            let (fours, rest) = nodes.as_chunks::<4>();
            for (k, i) in fours.iter().enumerate() {
                let w = [weights[4 * k], weights[4 * k + 1], weights[4 * k + 2], weights[4 * k + 3]];
                let products = add_scaled_and_dot4::<T, S, FMA>(sum, value, w, i.map(gradient));
                for e in 0..4 {
                    score(4 * k + e, w[e], products[e]);
                }
            }
            for (k, &i) in (4 * fours.len()..).zip(rest) {
                add_scaled::<T, S, FMA>(sum, weights[k], gradient(i));
                score(k, weights[k], dot::<T, S, FMA>(gradient(i), value));
            }
            d_source[head] = own_gradient;
        }
    }
}

/// acc += Σ w_k · rows_k, and the products rows_k · with, in one pass over the rows.
#[inline(always)]
fn add_scaled_and_dot4<T: Real, S: Stored<T>, const FMA: bool>(
    acc: &mut [T],
    with: &[T],
    w: [T; 4],
    rows: [&[S]; 4],
) -> [T; 4] {
    let n = acc.len();
    let mut sums = [[T::ZERO; 16]; 4];
    let blocks = n / 16 * 16;
    for at in (0..blocks).step_by(16) {
        let (acc, with) = (&mut acc[at..at + 16], &with[at..at + 16]);
        let rows = rows.map(|row| &row[at..at + 16]);
        for i in 0..16 {
            for k in 0..4 {
                let x = rows[k][i].load();
                sums[k][i] = mul_add::<T, FMA>(x, with[i], sums[k][i]);
                acc[i] = mul_add::<T, FMA>(w[k], x, acc[i]);
            }
        }
    }
    let mut products = sums.map(sum16);
    for i in blocks..n {
        for k in 0..4 {
            let x = rows[k][i].load();
            products[k] = mul_add::<T, FMA>(x, with[i], products[k]);
            acc[i] = mul_add::<T, FMA>(w[k], x, acc[i]);
        }
    }
    products
}
