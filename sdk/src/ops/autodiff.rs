//! Backward passes of the kernels.

use super::dropout::Dropped;
use super::kernels::{AdamStep, Entropy, Group, Kernels};
use super::{Csr, Precision};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{AutodiffBackend, TensorMetadata};
use burn::tensor::Shape;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn_autodiff::{Autodiff, NodeId};
use std::sync::Arc;

impl<B: Kernels, C: CheckpointStrategy> Kernels for Autodiff<B, C> {
    fn edge_attention(
        target: FloatTensor<Self>,
        source: FloatTensor<Self>,
        values: FloatTensor<Self>,
        edges: Arc<Csr>,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        #[derive(Debug)]
        struct EdgeAttention;

        impl<B: Kernels> Backward<B, 3> for EdgeAttention {
            type State = ([FloatTensor<B>; 5], Arc<Csr>, f32);

            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
                let gradient = grads.consume::<B>(&ops.node);
                let ([target, source, values, output, norm], edges, slope) = ops.state;
                let (target, source, values) =
                    B::edge_attention_backward(gradient, target, source, values, output, norm, edges, slope);
                register::<B, 3>(ops.parents.map(|p| p.map(|node| node.id)), [target, source, values], grads);
            }
        }

        let guards = [target.node(), source.node(), values.node()];
        let [target, source, values] = [target, source, values].map(|t| t.into_primitive());
        let (output, norm) = B::edge_attention(target.clone(), source.clone(), values.clone(), edges.clone(), slope);
        let wrapped_norm = Self::from_inner(norm.clone());
        let output = match EdgeAttention.prepare::<C>(guards).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let tensors = [target, source, values, output.clone(), norm];
                prep.finish((tensors, edges, slope), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        };
        (output, wrapped_norm)
    }

    fn matrix_product(
        left: FloatTensor<Self>,
        right: FloatTensor<Self>,
        transposed: [bool; 2],
        precision: Precision,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct MatrixProduct;

        impl<B: Kernels> Backward<B, 2> for MatrixProduct {
            type State = (FloatTensor<B>, FloatTensor<B>, [bool; 2], Precision);

            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let gradient = grads.consume::<B>(&ops.node);
                let (left, right, [l, r], precision) = ops.state;
                let [of_left, of_right] = ops.parents;
                // With L and R as they enter the product, its gradients are G Rᵀ and Lᵀ G.
                if let Some(node) = of_left {
                    let product = match l {
                        false => B::matrix_product(gradient.clone(), right.clone(), [false, !r], precision),
                        true => B::matrix_product(right.clone(), gradient.clone(), [r, true], precision),
                    };
                    grads.register::<B>(node.id, product);
                }
                if let Some(node) = of_right {
                    let product = match r {
                        false => B::matrix_product(left, gradient, [!l, false], precision),
                        true => B::matrix_product(gradient, left, [true, l], precision),
                    };
                    grads.register::<B>(node.id, product);
                }
            }
        }

        let guards = [left.node(), right.node()];
        let [left, right] = [left, right].map(|t| t.into_primitive());
        let output = B::matrix_product(left.clone(), right.clone(), transposed, precision);
        match MatrixProduct.prepare::<C>(guards).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((left, right, transposed, precision), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn segment_product(
        values: FloatTensor<Self>,
        matrices: FloatTensor<Self>,
        ends: Arc<Vec<usize>>,
        transposed: bool,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct SegmentProduct;

        impl<B: Kernels> Backward<B, 2> for SegmentProduct {
            type State = ([FloatTensor<B>; 2], Arc<Vec<usize>>, bool);

            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let gradient = grads.consume::<B>(&ops.node);
                let ([values, matrices], ends, transposed) = ops.state;
                let [of_values, of_matrices] = ops.parents;
                if let Some(node) = of_matrices {
                    let sums = match transposed {
                        false => B::segment_gradient(values, gradient.clone(), ends.clone()),
                        true => B::segment_gradient(gradient.clone(), values, ends.clone()),
                    };
                    grads.register::<B>(node.id, sums);
                }
                if let Some(node) = of_values {
                    grads.register::<B>(node.id, B::segment_product(gradient, matrices, ends, !transposed));
                }
            }
        }

        let guards = [values.node(), matrices.node()];
        let [values, matrices] = [values, matrices].map(|t| t.into_primitive());
        let output = B::segment_product(values.clone(), matrices.clone(), ends.clone(), transposed);
        match SegmentProduct.prepare::<C>(guards).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(([values, matrices], ends, transposed), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn add_row(values: FloatTensor<Self>, row: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct AddRow;

        impl<B: Kernels> Backward<B, 2> for AddRow {
            type State = ();

            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let gradient = grads.consume::<B>(&ops.node);
                let [of_values, of_row] = ops.parents;
                if let Some(node) = of_row {
                    grads.register::<B>(node.id, B::row_sums(gradient.clone()));
                }
                if let Some(node) = of_values {
                    grads.register::<B>(node.id, gradient);
                }
            }
        }

        let guards = [values.node(), row.node()];
        let [values, row] = [values, row].map(|t| t.into_primitive());
        let output = B::float_add(values, row); // as it is, it becomes one kernel with what follows
        match AddRow.prepare::<C>(guards).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn total(values: FloatTensor<Self>, mean: bool) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Total;

        impl<B: Kernels> Backward<B, 1> for Total {
            type State = (Shape, bool);

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let (shape, mean) = ops.state;
                let each = if mean { 1.0 / shape.num_elements() as f64 } else { 1.0 };
                unary::<B, _>(ops.parents, ops.node, grads, |g| {
                    let ones = B::float_ones(shape.clone(), &g.device(), g.dtype().into());
                    let gradient = B::float_reshape(g, vec![1; shape.num_dims()].into());
                    B::float_mul(B::float_mul_scalar(ones, each.into()), gradient)
                });
            }
        }

        let guard = values.node();
        let values = values.into_primitive();
        let shape = values.shape();
        let output = B::total(values, mean);
        match Total.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((shape, mean), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn sparse_product(values: FloatTensor<Self>, matrix: Arc<Csr>, transposed: bool, rows: usize) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct SparseProduct;

        impl<B: Kernels> Backward<B, 1> for SparseProduct {
            type State = (Arc<Csr>, bool, usize);

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let (matrix, transposed, rows) = ops.state;
                unary::<B, _>(ops.parents, ops.node, grads, |g| B::sparse_product(g, matrix, !transposed, rows));
            }
        }

        let guard = values.node();
        let values = values.into_primitive();
        let state = (matrix.clone(), transposed, values.shape()[0]);
        let output = B::sparse_product(values, matrix, transposed, rows);
        match SparseProduct.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(state, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn largest(values: FloatTensor<Self>, lists: Arc<Csr>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        #[derive(Debug)]
        struct Largest;

        impl<B: Kernels> Backward<B, 1> for Largest {
            type State = (FloatTensor<B>, Arc<Csr>, usize);

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let (places, lists, rows) = ops.state;
                unary::<B, _>(ops.parents, ops.node, grads, |g| B::largest_backward(g, places, lists, rows));
            }
        }

        let guard = values.node();
        let values = values.into_primitive();
        let rows = values.shape()[0];
        let (output, places) = B::largest(values, lists.clone());
        let wrapped_places = Self::from_inner(places.clone());
        let output = match Largest.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((places, lists, rows), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        };
        (output, wrapped_places)
    }

    fn set_attention(
        scores: FloatTensor<Self>,
        values: FloatTensor<Self>,
        sets: Arc<Csr>,
        dropped: Dropped,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        #[derive(Debug)]
        struct SetAttention;

        impl<B: Kernels> Backward<B, 2> for SetAttention {
            type State = ([FloatTensor<B>; 4], Arc<Csr>, Dropped);

            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let gradient = grads.consume::<B>(&ops.node);
                let ([scores, values, output, norm], sets, dropped) = ops.state;
                let (scores, values) = B::set_attention_backward(gradient, scores, values, output, norm, sets, dropped);
                register::<B, 2>(ops.parents.map(|p| p.map(|node| node.id)), [scores, values], grads);
            }
        }

        let guards = [scores.node(), values.node()];
        let [scores, values] = [scores, values].map(|t| t.into_primitive());
        let (output, norm) = B::set_attention(scores.clone(), values.clone(), sets.clone(), dropped);
        let wrapped_norm = Self::from_inner(norm.clone());
        let output = match SetAttention.prepare::<C>(guards).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let tensors = [scores, values, output.clone(), norm];
                prep.finish((tensors, sets, dropped), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        };
        (output, wrapped_norm)
    }

    fn dropout(values: FloatTensor<Self>, dropped: Dropped) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Dropout;

        impl<B: Kernels> Backward<B, 1> for Dropout {
            type State = Dropped;

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let dropped = ops.state;
                unary::<B, _>(ops.parents, ops.node, grads, |g| B::dropout(g, dropped));
            }
        }

        let guard = values.node();
        let output = B::dropout(values.into_primitive(), dropped);
        match Dropout.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(dropped, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn rectify(values: FloatTensor<Self>, row: FloatTensor<Self>, dropped: Dropped) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Rectify;

        impl<B: Kernels> Backward<B, 2> for Rectify {
            type State = (FloatTensor<B>, f32);

            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let gradient = grads.consume::<B>(&ops.node);
                let (output, scale) = ops.state;
                let gradient = B::rectify_backward(gradient, output, scale);
                let [of_values, of_row] = ops.parents;
                if let Some(node) = of_row {
                    grads.register::<B>(node.id, B::row_sums(gradient.clone()));
                }
                if let Some(node) = of_values {
                    grads.register::<B>(node.id, gradient);
                }
            }
        }

        let guards = [values.node(), row.node()];
        let [values, row] = [values, row].map(|t| t.into_primitive());
        let output = B::rectify(values, row, dropped);
        match Rectify.prepare::<C>(guards).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((output.clone(), dropped.scale), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn cross_entropy(logits: FloatTensor<Self>, targets: FloatTensor<Self>, terms: Entropy) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct CrossEntropy;

        impl<B: Kernels> Backward<B, 1> for CrossEntropy {
            type State = ([FloatTensor<B>; 2], Entropy);

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let ([logits, targets], terms) = ops.state;
                unary::<B, _>(ops.parents, ops.node, grads, |g| B::cross_entropy_backward(g, logits, targets, terms));
            }
        }

        let guard = logits.node();
        let [logits, targets] = [logits, targets].map(|t| t.into_primitive());
        let output = B::cross_entropy(logits.clone(), targets.clone(), terms);
        match CrossEntropy.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(([logits, targets], terms), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn said(
        own_of: FloatTensor<Self>,
        own: FloatTensor<Self>,
        near_of: FloatTensor<Self>,
        near: FloatTensor<Self>,
        item_of: FloatTensor<Self>,
        item: FloatTensor<Self>,
        lists: Arc<Csr>,
        patients: usize,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Said;

        impl<B: Kernels> Backward<B, 6> for Said {
            type State = ([FloatTensor<B>; 2], Arc<Csr>);

            fn backward(self, ops: Ops<Self::State, 6>, grads: &mut Gradients, _: &mut Checkpointer) {
                let gradient = grads.consume::<B>(&ops.node);
                let ([own_of, item_of], lists) = ops.state;
                let items = lists.len() > own_of.shape()[0];
                let (own_of, near_of, item_of) = B::said_backward(gradient, own_of, item_of, lists);
                let [of_own_of, of_own, of_near_of, of_near, of_item_of, of_item] = ops.parents;
                let tables =
                    [(of_own_of, of_own, own_of), (of_near_of, of_near, near_of), (of_item_of, of_item, item_of)];
                // Items that do not enter have no gradient.
                for (each, all, gradient) in tables.into_iter().take(if items { 3 } else { 2 }) {
                    if let Some(node) = all {
                        grads.register::<B>(node.id, B::row_sums(gradient.clone()));
                    }
                    if let Some(node) = each {
                        grads.register::<B>(node.id, gradient);
                    }
                }
            }
        }

        let tensors = [own_of, own, near_of, near, item_of, item];
        let guards = tensors.each_ref().map(|t| t.node());
        let [own_of, own, near_of, near, item_of, item] = tensors.map(|t| t.into_primitive());
        let kept = [own_of.clone(), item_of.clone()];
        let output = B::said(own_of, own, near_of, near, item_of, item, lists.clone(), patients);
        match Said.prepare::<C>(guards).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((kept, lists), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    // What follows has no gradients: they are the backward passes themselves, and the optimiser.

    fn edge_attention_backward(
        gradient: FloatTensor<Self>,
        target: FloatTensor<Self>,
        source: FloatTensor<Self>,
        values: FloatTensor<Self>,
        output: FloatTensor<Self>,
        norm: FloatTensor<Self>,
        edges: Arc<Csr>,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [gradient, target, source, values, output, norm] =
            [gradient, target, source, values, output, norm].map(|t| t.into_primitive());
        let (target, source, values) =
            B::edge_attention_backward(gradient, target, source, values, output, norm, edges, slope);
        (Self::from_inner(target), Self::from_inner(source), Self::from_inner(values))
    }

    fn segment_gradient(
        values: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        ends: Arc<Vec<usize>>,
    ) -> FloatTensor<Self> {
        Self::from_inner(B::segment_gradient(values.into_primitive(), gradient.into_primitive(), ends))
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
        norm: FloatTensor<Self>,
        sets: Arc<Csr>,
        dropped: Dropped,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [gradient, scores, values, output, norm] =
            [gradient, scores, values, output, norm].map(|t| t.into_primitive());
        let (scores, values) = B::set_attention_backward(gradient, scores, values, output, norm, sets, dropped);
        (Self::from_inner(scores), Self::from_inner(values))
    }

    fn rectify_backward(gradient: FloatTensor<Self>, output: FloatTensor<Self>, scale: f32) -> FloatTensor<Self> {
        Self::from_inner(B::rectify_backward(gradient.into_primitive(), output.into_primitive(), scale))
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

    fn said_backward(
        gradient: FloatTensor<Self>,
        own_of: FloatTensor<Self>,
        item_of: FloatTensor<Self>,
        lists: Arc<Csr>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [gradient, own_of, item_of] = [gradient, own_of, item_of].map(|t| t.into_primitive());
        let (own_of, near_of, item_of) = B::said_backward(gradient, own_of, item_of, lists);
        (Self::from_inner(own_of), Self::from_inner(near_of), Self::from_inner(item_of))
    }

    fn adam(group: Group<Self>, count: usize, step: AdamStep) -> Group<Self> {
        B::adam(group.map(|t| t.into_primitive()), count, step).map(Self::from_inner)
    }
}

/// Hands each gradient to its input, where that takes part.
fn register<B: Kernels, const N: usize>(
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
