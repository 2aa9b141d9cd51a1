//! The kernels with gradients: what is kept of each for its backward pass.

mod attention;
mod one_input;
mod products;
mod relational;
mod row_attention;
mod rows;

use super::dropped::Dropped;
use super::kernels::{Activation, AdamStep, Entropy, Group, Kernels};
use super::{Csr, Precision, Relations};
use attention::{EdgeAttention, SetAttention};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{AutodiffBackend, Backend, TensorMetadata};
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, NodeGuard, OpsKind};
use burn_autodiff::{Autodiff, NodeId};
use one_input::{Activated, CrossEntropy, Dropout, Largest, SparseProduct, Total};
use products::{MatrixProduct, SegmentProduct};
use relational::RelationalConvolution;
use rows::{AddRow, CopyScores, Rectify};
use std::sync::Arc;

impl<B: Kernels, C: CheckpointStrategy> Kernels for Autodiff<B, C> {
    fn edge_attention(
        target: FloatTensor<Self>,
        source: FloatTensor<Self>,
        values: FloatTensor<Self>,
        edges: Arc<Csr>,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let guards = [target.node(), source.node(), values.node()];
        let [target, source, values] = [target, source, values].map(|t| t.into_primitive());
        let (output, log_sum_exp) =
            B::edge_attention(target.clone(), source.clone(), values.clone(), edges.clone(), slope);
        let wrapped_sums = Self::from_inner(log_sum_exp.clone());
        let output = record::<B, C, _, 3>(
            EdgeAttention,
            guards,
            ([target, source, values, output.clone(), log_sum_exp], edges, slope),
            output,
        );
        (output, wrapped_sums)
    }

    fn matrix_product(
        left: FloatTensor<Self>,
        right: FloatTensor<Self>,
        transposed: [bool; 2],
        precision: Precision,
    ) -> FloatTensor<Self> {
        let guards = [left.node(), right.node()];
        let [left, right] = [left, right].map(|t| t.into_primitive());
        let output = B::matrix_product(left.clone(), right.clone(), transposed, precision);
        record::<B, C, _, 2>(MatrixProduct, guards, (left, right, transposed, precision), output)
    }

    fn segment_product(
        values: FloatTensor<Self>,
        matrices: FloatTensor<Self>,
        ends: Arc<Vec<usize>>,
        transposed: bool,
    ) -> FloatTensor<Self> {
        let guards = [values.node(), matrices.node()];
        let [values, matrices] = [values, matrices].map(|t| t.into_primitive());
        let output = B::segment_product(values.clone(), matrices.clone(), ends.clone(), transposed);
        record::<B, C, _, 2>(SegmentProduct, guards, ([values, matrices], ends, transposed), output)
    }

    fn relational_convolution(
        h: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        matrices: FloatTensor<Self>,
        relations: Arc<Relations>,
    ) -> FloatTensor<Self> {
        let guards = [h.node(), weight.node(), bias.node(), matrices.node()];
        let [h, weight, bias, matrices] = [h, weight, bias, matrices].map(|t| t.into_primitive());
        let output = B::relational_convolution(h.clone(), weight.clone(), bias, matrices.clone(), relations.clone());
        let state = ([output.clone(), h, weight, matrices], relations);
        record::<B, C, _, 4>(RelationalConvolution, guards, state, output)
    }

    fn add_row(values: FloatTensor<Self>, row: FloatTensor<Self>) -> FloatTensor<Self> {
        let guards = [values.node(), row.node()];
        let [values, row] = [values, row].map(|t| t.into_primitive());
        let output = B::float_add(values, row); // as it is, it becomes one kernel with what follows
        record::<B, C, _, 2>(AddRow, guards, (), output)
    }

    fn total(values: FloatTensor<Self>, mean: bool) -> FloatTensor<Self> {
        let guard = values.node();
        let values = values.into_primitive();
        let shape = values.shape();
        let output = B::total(values, mean);
        record::<B, C, _, 1>(Total, [guard], (shape, mean), output)
    }

    fn sparse_product(values: FloatTensor<Self>, matrix: Arc<Csr>, transposed: bool, rows: usize) -> FloatTensor<Self> {
        let guard = values.node();
        let values = values.into_primitive();
        let state = (matrix.clone(), transposed, values.shape()[0]);
        let output = B::sparse_product(values, matrix, transposed, rows);
        record::<B, C, _, 1>(SparseProduct, [guard], state, output)
    }

    fn largest(values: FloatTensor<Self>, lists: Arc<Csr>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let guard = values.node();
        let values = values.into_primitive();
        let rows = values.shape()[0];
        let (output, places) = B::largest(values, lists.clone());
        let wrapped_places = Self::from_inner(places.clone());
        let output = record::<B, C, _, 1>(Largest, [guard], (places, lists, rows), output);
        (output, wrapped_places)
    }

    fn set_attention(
        scores: FloatTensor<Self>,
        values: FloatTensor<Self>,
        sets: Arc<Csr>,
        dropped: Dropped,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let guards = [scores.node(), values.node()];
        let [scores, values] = [scores, values].map(|t| t.into_primitive());
        let (output, log_sum_exp) = B::set_attention(scores.clone(), values.clone(), sets.clone(), dropped);
        let wrapped_sums = Self::from_inner(log_sum_exp.clone());
        let output = record::<B, C, _, 2>(
            SetAttention,
            guards,
            ([scores, values, output.clone(), log_sum_exp], sets, dropped),
            output,
        );
        (output, wrapped_sums)
    }

    fn dropout(values: FloatTensor<Self>, dropped: Dropped) -> FloatTensor<Self> {
        let guard = values.node();
        let output = B::dropout(values.into_primitive(), dropped);
        record::<B, C, _, 1>(Dropout, [guard], dropped, output)
    }

    fn rectify(values: FloatTensor<Self>, row: FloatTensor<Self>, dropped: Dropped) -> FloatTensor<Self> {
        let guards = [values.node(), row.node()];
        let [values, row] = [values, row].map(|t| t.into_primitive());
        let output = B::rectify(values, row, dropped);
        record::<B, C, _, 2>(Rectify, guards, (output.clone(), dropped.scale), output)
    }

    fn activate(values: FloatTensor<Self>, by: Activation) -> FloatTensor<Self> {
        let guard = values.node();
        let output = B::activate(values.into_primitive(), by);
        record::<B, C, _, 1>(Activated, [guard], (output.clone(), by), output)
    }

    fn cross_entropy(logits: FloatTensor<Self>, targets: FloatTensor<Self>, terms: Entropy) -> FloatTensor<Self> {
        let guard = logits.node();
        let [logits, targets] = [logits, targets].map(|t| t.into_primitive());
        let output = B::cross_entropy(logits.clone(), targets.clone(), terms);
        record::<B, C, _, 1>(CrossEntropy, [guard], ([logits, targets], terms), output)
    }

    fn copy_scores(
        own_of: FloatTensor<Self>,
        own: FloatTensor<Self>,
        near_of: FloatTensor<Self>,
        near: FloatTensor<Self>,
        item_of: FloatTensor<Self>,
        item: FloatTensor<Self>,
        lists: Arc<Csr>,
        patients: usize,
    ) -> FloatTensor<Self> {
        let tensors = [own_of, own, near_of, near, item_of, item];
        let guards = tensors.each_ref().map(|t| t.node());
        let [own_of, own, near_of, near, item_of, item] = tensors.map(|t| t.into_primitive());
        let kept = [own_of.clone(), item_of.clone()];
        let output = B::copy_scores(own_of, own, near_of, near, item_of, item, lists.clone(), patients);
        record::<B, C, _, 6>(CopyScores, guards, (kept, lists), output)
    }

    // What follows has no gradients: they are the backward passes themselves, and the optimiser.

    fn edge_attention_backward(
        gradient: FloatTensor<Self>,
        target: FloatTensor<Self>,
        source: FloatTensor<Self>,
        values: FloatTensor<Self>,
        output: FloatTensor<Self>,
        log_sum_exp: FloatTensor<Self>,
        edges: Arc<Csr>,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [gradient, target, source, values, output, log_sum_exp] =
            [gradient, target, source, values, output, log_sum_exp].map(|t| t.into_primitive());
        let (target, source, values) =
            B::edge_attention_backward(gradient, target, source, values, output, log_sum_exp, edges, slope);
        (Self::from_inner(target), Self::from_inner(source), Self::from_inner(values))
    }

    fn segment_gradient(
        values: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        ends: Arc<Vec<usize>>,
    ) -> FloatTensor<Self> {
        Self::from_inner(B::segment_gradient(values.into_primitive(), gradient.into_primitive(), ends))
    }

    fn relational_convolution_backward(
        gradient: FloatTensor<Self>,
        output: FloatTensor<Self>,
        h: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        matrices: FloatTensor<Self>,
        relations: Arc<Relations>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [gradient, output, h, weight, matrices] =
            [gradient, output, h, weight, matrices].map(|t| t.into_primitive());
        let (h, weight, bias, matrices) =
            B::relational_convolution_backward(gradient, output, h, weight, matrices, relations);
        (Self::from_inner(h), Self::from_inner(weight), Self::from_inner(bias), Self::from_inner(matrices))
    }

    fn row_sums(values: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::from_inner(B::row_sums(values.into_primitive()))
    }

    fn largest_backward(
        gradient: FloatTensor<Self>,
        places: FloatTensor<Self>,
        lists: Arc<Csr>,
        rows: usize,
    ) -> FloatTensor<Self> {
        let [gradient, places] = [gradient, places].map(|t| t.into_primitive());
        Self::from_inner(B::largest_backward(gradient, places, lists, rows))
    }

    fn set_attention_backward(
        gradient: FloatTensor<Self>,
        scores: FloatTensor<Self>,
        values: FloatTensor<Self>,
        output: FloatTensor<Self>,
        log_sum_exp: FloatTensor<Self>,
        sets: Arc<Csr>,
        dropped: Dropped,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [gradient, scores, values, output, log_sum_exp] =
            [gradient, scores, values, output, log_sum_exp].map(|t| t.into_primitive());
        let (scores, values) = B::set_attention_backward(gradient, scores, values, output, log_sum_exp, sets, dropped);
        (Self::from_inner(scores), Self::from_inner(values))
    }

    fn rectify_backward(gradient: FloatTensor<Self>, output: FloatTensor<Self>, scale: f32) -> FloatTensor<Self> {
        Self::from_inner(B::rectify_backward(gradient.into_primitive(), output.into_primitive(), scale))
    }

    fn activate_backward(gradient: FloatTensor<Self>, output: FloatTensor<Self>, by: Activation) -> FloatTensor<Self> {
        Self::from_inner(B::activate_backward(gradient.into_primitive(), output.into_primitive(), by))
    }

    fn cross_entropy_backward(
        gradient: FloatTensor<Self>,
        logits: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        terms: Entropy,
    ) -> FloatTensor<Self> {
        let [gradient, logits, targets] = [gradient, logits, targets].map(|t| t.into_primitive());
        Self::from_inner(B::cross_entropy_backward(gradient, logits, targets, terms))
    }

    fn marks(lists: IntTensor<Self>, rows: usize, columns: usize) -> FloatTensor<Self> {
        Self::from_inner(B::marks(lists, rows, columns))
    }

    fn copy_scores_backward(
        gradient: FloatTensor<Self>,
        own_of: FloatTensor<Self>,
        item_of: FloatTensor<Self>,
        lists: Arc<Csr>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [gradient, own_of, item_of] = [gradient, own_of, item_of].map(|t| t.into_primitive());
        let (own_of, near_of, item_of) = B::copy_scores_backward(gradient, own_of, item_of, lists);
        (Self::from_inner(own_of), Self::from_inner(near_of), Self::from_inner(item_of))
    }

    fn adam(group: Group<Self>, count: usize, step: AdamStep) -> Group<Self> {
        B::adam(group.map(|t| t.into_primitive()), count, step).map(Self::from_inner)
    }
}

/// Makes `operation` the way of the output's gradient back to the inputs, with the `state` that it needs, where one of the
/// inputs takes part.
fn record<B: Backend, C: CheckpointStrategy, D: Backward<B, N>, const N: usize>(
    operation: D,
    inputs: [NodeGuard; N],
    state: D::State,
    output: FloatTensor<B>,
) -> FloatTensor<Autodiff<B, C>> {
    match operation.prepare::<C>(inputs).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(state, output),
        OpsKind::UnTracked(prep) => prep.finish(output),
    }
}

/// Hands each gradient to its input, where that takes part.
fn register<B: Backend, const N: usize>(
    parents: [Option<NodeId>; N],
    gradients: [FloatTensor<B>; N],
    grads: &mut Gradients,
) {
    for (parent, gradient) in parents.into_iter().zip(gradients) {
        if let Some(id) = parent {
            grads.register::<B>(id, gradient);
        }
    }
}
