//! Backward passes of products of matrices, whole and by groups of rows.

use crate::ops::Precision;
use crate::ops::kernels::Kernels;
use burn::backend::tensor::FloatTensor;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct MatrixProduct;

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

#[derive(Debug)]
pub(super) struct SegmentProduct;

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
