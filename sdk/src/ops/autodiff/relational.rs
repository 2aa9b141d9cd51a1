//! The backward pass of a layer of R-GCN.

use super::register;
use crate::ops::Relations;
use crate::ops::kernels::Kernels;
use burn::backend::tensor::FloatTensor;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct RelationalConvolution;

impl<B: Kernels> Backward<B, 4> for RelationalConvolution {
    type State = ([FloatTensor<B>; 4], Arc<Relations>);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([output, h, weight, matrices], relations) = ops.state;
        let (h, weight, bias, matrices) =
            B::relational_convolution_backward(gradient, output, h, weight, matrices, relations);
        register::<B, 4>(ops.parents.map(|p| p.map(|node| node.id)), [h, weight, bias, matrices], grads);
    }
}
