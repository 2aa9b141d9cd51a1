//! Backward passes of attention over edges and over sets.

use crate::ops::Csr;
use crate::ops::dropout::Dropped;
use crate::ops::kernels::Kernels;
use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;
use burn_autodiff::NodeId;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct EdgeAttention;

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

#[derive(Debug)]
pub(super) struct SetAttention;

impl<B: Kernels> Backward<B, 2> for SetAttention {
    type State = ([FloatTensor<B>; 4], Arc<Csr>, Dropped);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([scores, values, output, norm], sets, dropped) = ops.state;
        let (scores, values) = B::set_attention_backward(gradient, scores, values, output, norm, sets, dropped);
        register::<B, 2>(ops.parents.map(|p| p.map(|node| node.id)), [scores, values], grads);
    }
}

/// Hands each gradient to its input, where that takes part.
pub(super) fn register<B: Backend, const N: usize>(
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
