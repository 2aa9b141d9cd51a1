//! A layer of R-GCN. A task has a few members of the batch, whose numbers of all nodes, close together, stay near the processor
//! while it goes through the graph, node by node forward and relation by relation backward. What arrives in rows is never in
//! memory for more than one of them.

use super::Csr;
use super::real::{Real, add_scaled};
use super::segments::{TILE, add_row, outer, tiled};
use crate::ops::Relations;
use crate::vectorized_fn;
use rayon::prelude::*;
use std::ops::Range;

/// Members of the batch in a task: a row of a matrix is read once for all of them, and their sums stay in registers.
const TOGETHER: usize = 4;

/// The matrices of the layer.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a, T> {
    /// The matrix for a node's own numbers.
    pub own: &'a [T],
    /// The matrices of the relations, one below the other.
    pub relations: &'a [T],
    /// Numbers that a node has before and after.
    pub widths: [usize; 2],
}

impl<T: Real> Weights<'_, T> {
    /// All matrices in tiles, a node's own first.
    fn tiled(&self, transposed: bool) -> Vec<[T; TILE]> {
        let [k, n] = self.widths;
        let sizes = if transposed { [n, k] } else { [k, n] };
        let mut matrices = tiled(self.own, sizes, transposed);
        matrices.extend(tiled(self.relations, sizes, transposed));
        matrices
    }
}

/// What the forward pass leaves for the backward pass, and the gradient of its output.
#[derive(Clone, Copy)]
pub(super) struct Outputs<'a, T> {
    pub gradient: &'a [T],
    pub output: &'a [T],
}

/// The gradients that a task computes.
pub(super) struct Sent<T> {
    /// Gradients of its part of `h`.
    h: Vec<T>,
    /// Gradients of the matrices, in tiles.
    matrices: Vec<[T; TILE]>,
    bias: Vec<T>,
}

/// The output.
pub(super) fn forward<T: Real>(h: &[T], bias: &[T], weights: Weights<'_, T>, relations: &Relations) -> Vec<T> {
    let [k, n] = weights.widths;
    let batch = h.len() / (relations.nodes() * k);
    let (matrices, bias) = (weights.tiled(false), tiled(bias, [1, n], false));
    let mut output = vec![T::ZERO; relations.nodes() * batch * n];
    let tasks = by_task(&mut output, batch, n);
    tasks.into_par_iter().enumerate().with_max_len(1).for_each(|(task, mut outputs)| {
        let table = part(h, task, batch, k);
        convolve(&table, &matrices, &bias, weights.widths, relations, &mut outputs);
    });
    output
}

/// Gradients of `h`, the node's own matrix, the bias and the matrices of the relations.
pub(super) fn backward<T: Real>(
    h: &[T],
    weights: Weights<'_, T>,
    outputs: Outputs<'_, T>,
    relations: &Relations,
) -> [Vec<T>; 4] {
    let [k, n] = weights.widths;
    let batch = h.len() / (relations.nodes() * k);
    let (transposed, size) = (weights.tiled(true), n.div_ceil(TILE) * k);
    let nothing = || Sent {
        h: vec![T::ZERO; h.len() / batch * TOGETHER],
        matrices: vec![[T::ZERO; TILE]; (1 + relations.count()) * size],
        bias: vec![T::ZERO; n],
    };
    let mut of_h = vec![T::ZERO; h.len()];
    let tasks = by_task(&mut of_h, batch, k).into_par_iter().enumerate().with_max_len(1);
    let sums: Vec<_> = tasks
        .map(|(task, of_h)| {
            let (table, mut sent) = (part(h, task, batch, k), nothing());
            let columns = columns(task, batch, n);
            send_back(&table, outputs, columns, &transposed, weights.widths, relations, &mut sent);
            for (to, from) in of_h.into_iter().zip(sent.h.chunks_exact(TOGETHER * k)) {
                let width = to.len();
                to.copy_from_slice(&from[..width]);
            }
            (sent.matrices, sent.bias)
        })
        .collect();
    let mut matrices = vec![[T::ZERO; TILE]; (1 + relations.count()) * size];
    let mut of_bias = vec![T::ZERO; n];
    // In the order of the tasks.
    for (of_task, bias) in sums {
        let all = matrices.as_flattened_mut().iter_mut().zip(of_task.as_flattened());
        all.for_each(|(total, &sum)| *total += sum);
        of_bias.iter_mut().zip(bias).for_each(|(total, sum)| *total += sum);
    }
    let number = |i: usize| {
        let (matrix, row, column) = (i / (k * n), i / n % k, i % n);
        matrices[matrix * size + column / TILE * k + row][column % TILE]
    };
    let of_own = (0..k * n).map(number).collect();
    let of_relations = (k * n..(1 + relations.count()) * k * n).map(number).collect();
    [of_h, of_own, of_bias, of_relations]
}

/// Where the members of a task stand in a row of `width` numbers for each of the batch.
fn columns(task: usize, batch: usize, width: usize) -> Range<usize> {
    let first = task * TOGETHER;
    first * width..batch.min(first + TOGETHER) * width
}

/// The columns of each task in every row of a table.
fn by_task<T>(table: &mut [T], batch: usize, width: usize) -> Vec<Vec<&mut [T]>> {
    let rows = table.len() / (batch * width);
    let mut tasks: Vec<Vec<&mut [T]>> = (0..batch.div_ceil(TOGETHER)).map(|_| Vec::with_capacity(rows)).collect();
    for row in table.chunks_exact_mut(batch * width) {
        for (task, columns) in tasks.iter_mut().zip(row.chunks_mut(TOGETHER * width)) {
            task.push(columns);
        }
    }
    tasks
}

/// What a task reads of a table, node after node, with zeros in the place of members beyond the batch.
fn part<T: Real>(table: &[T], task: usize, batch: usize, width: usize) -> Vec<T> {
    let columns = columns(task, batch, width);
    let mut part = Vec::with_capacity(table.len() / batch * TOGETHER);
    for row in table.chunks_exact(batch * width) {
        part.extend_from_slice(&row[columns.clone()]);
        part.resize(part.len() + TOGETHER * width - columns.len(), T::ZERO);
    }
    part
}

vectorized_fn! {
    /// The output of a task, node by node: `outputs` has the places of its members for each.
    fn convolve<T: Real>(
        table: &[T],
        matrices: &[[T; TILE]],
        bias: &[[T; TILE]],
        widths: [usize; 2],
        relations: &Relations,
        outputs: &mut [&mut [T]],
    ), FMA, {
        let [k, n] = widths;
        let (tall, tiles) = (TOGETHER * k, bias.len());
        let (arriving, adding) = (relations.arriving(), relations.adding());
        let mut arrived: Vec<T> = Vec::new();
        for (node, output) in outputs.iter_mut().enumerate() {
            let rows = &adding.members()[adding.range(node)];
            arrived.clear();
            arrived.resize(rows.len() * tall, T::ZERO);
            for (&row, sums) in rows.iter().zip(arrived.chunks_exact_mut(tall)) {
                for (source, w) in sources::<T>(arriving, row as usize) {
                    add_scaled::<T, FMA>(sums, w, &table[source * tall..][..tall]);
                }
            }
            for (tile, &bias) in bias.iter().enumerate() {
                let mut sums = [bias; TOGETHER];
                let own = members(&table[node * tall..], k, k);
                multiply::<T, FMA>(own, &matrices[tile * k..][..k], &mut sums);
                for (&row, arrived) in rows.iter().zip(arrived.chunks_exact(tall)) {
                    let first = ((1 + relations.of_row(row as usize)) * tiles + tile) * k;
                    multiply::<T, FMA>(members(arrived, k, k), &matrices[first..][..k], &mut sums);
                }
                let (first, width) = (tile * TILE, TILE.min(n - tile * TILE));
                for (output, sums) in output.chunks_exact_mut(n).zip(&sums) {
                    for (to, &sum) in output[first..first + width].iter_mut().zip(sums) {
                        *to = if sum <= T::ZERO { T::ZERO } else { sum };
                    }
                }
            }
        }
    }
}

vectorized_fn! {
    /// Computes the gradients of a task; `columns` has its places in a row of the output.
    fn send_back<T: Real>(
        table: &[T],
        outputs: Outputs<'_, T>,
        columns: Range<usize>,
        transposed: &[[T; TILE]],
        widths: [usize; 2],
        relations: &Relations,
        sent: &mut Sent<T>,
    ), FMA, {
        let [k, n] = widths;
        let (tall, wide) = (TOGETHER * k, TOGETHER * n);
        let (down, across) = (n.div_ceil(TILE) * k, k.div_ceil(TILE) * n); // of a matrix in tiles, and of one transposed
        let (arriving, nodes) = (relations.arriving(), relations.nodes());
        let length = outputs.output.len() / nodes;
        // For each node and member of the task, the gradient before ReLU.
        let mut gradient = vec![T::ZERO; nodes * wide];
        for (node, gradient) in gradient.chunks_exact_mut(wide).enumerate() {
            let of_node = &outputs.gradient[node * length..][columns.clone()];
            let output = &outputs.output[node * length..][columns.clone()];
            let members = gradient.chunks_exact_mut(n).zip(of_node.chunks_exact(n)).zip(output.chunks_exact(n));
            for ((to, from), output) in members {
                for (((to, &g), &output), sum) in to.iter_mut().zip(from).zip(output).zip(&mut sent.bias) {
                    *to = if output <= T::ZERO { T::ZERO } else { g };
                    *sum += *to;
                }
            }
        }
        for (gradient, of_h) in gradient.chunks_exact(wide).zip(sent.h.chunks_exact_mut(tall)) {
            turn::<T, FMA>(gradient, widths, &transposed[..across], of_h);
        }
        outer(table, &gradient, k, n, &mut sent.matrices[..down]);
        // What arrives in the rows of a relation, the gradients of the nodes that they lead to, and one of these times the matrix.
        let (mut arrived, mut at_ends, mut turned) = (Vec::new(), Vec::new(), vec![T::ZERO; tall]);
        for relation in 0..relations.count() {
            let rows = relations.rows(relation);
            let transposed = &transposed[(1 + relation) * across..][..across];
            arrived.clear();
            arrived.resize(rows.len() * tall, T::ZERO);
            at_ends.clear();
            for ((row, &node), sums) in rows.clone().zip(&relations.to()[rows]).zip(arrived.chunks_exact_mut(tall)) {
                let gradient = &gradient[node as usize * wide..][..wide];
                at_ends.extend_from_slice(gradient);
                turn::<T, FMA>(gradient, widths, transposed, &mut turned);
                for (source, w) in sources::<T>(arriving, row) {
                    add_scaled::<T, FMA>(sums, w, &table[source * tall..][..tall]);
                    add_scaled::<T, FMA>(&mut sent.h[source * tall..][..tall], w, &turned);
                }
            }
            outer(&arrived, &at_ends, k, n, &mut sent.matrices[(1 + relation) * down..][..down]);
        }
    }
}

/// The nodes that a row comes from, and their weights.
#[inline(always)]
fn sources<T: Real>(arriving: &Csr, row: usize) -> impl Iterator<Item = (usize, T)> {
    let (range, weights) = (arriving.range(row), arriving.weights());
    let nodes = arriving.members()[range.clone()].iter().map(|&node| node as usize);
    nodes.zip(range.map(move |place| weights.map_or(T::ONE, |weights| T::of(weights[place]))))
}

/// The first `width` of every `stride` numbers, for each member of a task.
#[inline(always)]
fn members<T>(numbers: &[T], stride: usize, width: usize) -> [&[T]; TOGETHER] {
    std::array::from_fn(|member| &numbers[member * stride..][..width])
}

/// sums += values · matrix, for each member of a task.
#[inline(always)]
fn multiply<T: Real, const FMA: bool>(
    [a, b, c, d]: [&[T]; TOGETHER],
    matrix: &[[T; TILE]],
    sums: &mut [[T; TILE]; TOGETHER],
) {
    let mut kept = *sums;
    for ((((row, &a), &b), &c), &d) in matrix.iter().zip(a).zip(b).zip(c).zip(d) {
        // Rows of their own, so that the compiler goes along columns.
        let [of_a, of_b, of_c, of_d] = &mut kept;
        add_row::<T, FMA>(of_a, a, row);
        add_row::<T, FMA>(of_b, b, row);
        add_row::<T, FMA>(of_c, c, row);
        add_row::<T, FMA>(of_d, d, row);
    }
    *sums = kept;
}

/// From the gradients of what left a product with a matrix, those of what entered, for each member of a task.
#[inline(always)]
fn turn<T: Real, const FMA: bool>(gradient: &[T], [k, n]: [usize; 2], transposed: &[[T; TILE]], turned: &mut [T]) {
    let gradient = members(gradient, n, n);
    for (tile, matrix) in transposed.chunks_exact(n).enumerate() {
        let mut product = [[T::ZERO; TILE]; TOGETHER];
        multiply::<T, FMA>(gradient, matrix, &mut product);
        let (first, width) = (tile * TILE, TILE.min(k - tile * TILE));
        for (turned, product) in turned.chunks_exact_mut(k).zip(&product) {
            turned[first..first + width].copy_from_slice(&product[..width]);
        }
    }
}
