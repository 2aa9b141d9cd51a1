//! Backward passes of attention over edges and over sets.

use super::register;
use crate::ops::Csr;
use crate::ops::dropped::Dropped;
use crate::ops::kernels::Kernels;
use burn::backend::tensor::FloatTensor;
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
        let ([target, source, values, output, log_sum_exp], edges, slope) = ops.state;
        let (target, source, values) =
            B::edge_attention_backward(gradient, target, source, values, output, log_sum_exp, edges, slope);
        register::<B, 3>(ops.parents.map(|p| p.map(|node| node.id)), [target, source, values], grads);
    }
}

#[derive(Debug)]
pub(super) struct SetAttention;

impl<B: Kernels> Backward<B, 2> for SetAttention {
    type State = ([FloatTensor<B>; 4], Arc<Csr>, Dropped);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([scores, values, output, log_sum_exp], sets, dropped) = ops.state;
        let (scores, values) = B::set_attention_backward(gradient, scores, values, output, log_sum_exp, sets, dropped);
        register::<B, 2>(ops.parents.map(|p| p.map(|node| node.id)), [scores, values], grads);
    }
}
