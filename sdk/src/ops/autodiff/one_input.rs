//! Backward passes of what has one input with a gradient.

use crate::ops::Csr;
use crate::ops::dropped::Dropped;
use crate::ops::kernels::{Activation, Entropy, Kernels};
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::Shape;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, unary};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Total;

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

#[derive(Debug)]
pub(super) struct SparseProduct;

impl<B: Kernels> Backward<B, 1> for SparseProduct {
    type State = (Arc<Csr>, bool, usize);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (matrix, transposed, rows) = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |g| B::sparse_product(g, matrix, !transposed, rows));
    }
}

#[derive(Debug)]
pub(super) struct Largest;

impl<B: Kernels> Backward<B, 1> for Largest {
    type State = (FloatTensor<B>, Arc<Csr>, usize);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (places, lists, rows) = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |g| B::largest_backward(g, places, lists, rows));
    }
}

#[derive(Debug)]
pub(super) struct Dropout;

impl<B: Kernels> Backward<B, 1> for Dropout {
    type State = Dropped;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dropped = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |g| B::dropout(g, dropped));
    }
}

#[derive(Debug)]
pub(super) struct Activated;

impl<B: Kernels> Backward<B, 1> for Activated {
    type State = (FloatTensor<B>, Activation);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (output, by) = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |g| B::activate_backward(g, output, by));
    }
}

#[derive(Debug)]
pub(super) struct CrossEntropy;

impl<B: Kernels> Backward<B, 1> for CrossEntropy {
    type State = ([FloatTensor<B>; 2], Entropy);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let ([logits, targets], terms) = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |g| B::cross_entropy_backward(g, logits, targets, terms));
    }
}
