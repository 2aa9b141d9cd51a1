//! Backward passes of what adds a row to each row: the row gets the sum of the gradients of all.

use crate::ops::Csr;
use crate::ops::kernels::Kernels;
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct AddRow;

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

#[derive(Debug)]
pub(super) struct Rectify;

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

#[derive(Debug)]
pub(super) struct CopyScores;

impl<B: Kernels> Backward<B, 6> for CopyScores {
    type State = ([FloatTensor<B>; 2], Arc<Csr>);

    fn backward(self, ops: Ops<Self::State, 6>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([own_of, item_of], lists) = ops.state;
        let items = lists.len() > own_of.shape()[0];
        let (own_of, near_of, item_of) = B::copy_scores_backward(gradient, own_of, item_of, lists);
        let [of_own_of, of_own, of_near_of, of_near, of_item_of, of_item] = ops.parents;
        let tables = [(of_own_of, of_own, own_of), (of_near_of, of_near, near_of), (of_item_of, of_item, item_of)];
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
