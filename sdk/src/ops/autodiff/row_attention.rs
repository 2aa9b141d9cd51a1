//! Attention by rows of both ends, with gradients.

use super::{record, register};
use crate::ops::Csr;
use crate::ops::row_attention::RowAttention;
use burn::backend::AutodiffBackend;
use burn::backend::tensor::FloatTensor;
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops};
use std::sync::Arc;

#[derive(Debug)]
struct DotAttention;

impl<B: RowAttention> Backward<B, 4> for DotAttention {
    type State = ([FloatTensor<B>; 5], Arc<Csr>);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([query, key, values, bias, weights], edges) = ops.state;
        let (query, key, values, bias) = B::dot_attention_backward(gradient, query, key, values, bias, weights, edges);
        register::<B, 4>(ops.parents.map(|p| p.map(|node| node.id)), [query, key, values, bias], grads);
    }
}

#[derive(Debug)]
struct DynamicAttention;

impl<B: RowAttention> Backward<B, 4> for DynamicAttention {
    type State = ([FloatTensor<B>; 5], Arc<Csr>, f32);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([target, source, a, edge, weights], edges, slope) = ops.state;
        let (target, source, a, edge) =
            B::dynamic_attention_backward(gradient, target, source, a, edge, weights, edges, slope);
        register::<B, 4>(ops.parents.map(|p| p.map(|node| node.id)), [target, source, a, edge], grads);
    }
}

impl<B: RowAttention, C: CheckpointStrategy> RowAttention for Autodiff<B, C> {
    fn dot_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        values: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        edges: Arc<Csr>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let guards = [query.node(), key.node(), values.node(), bias.node()];
        let [query, key, values, bias] = [query, key, values, bias].map(|t| t.into_primitive());
        let (output, weights) =
            B::dot_attention(query.clone(), key.clone(), values.clone(), bias.clone(), edges.clone());
        let wrapped_weights = Self::from_inner(weights.clone());
        let state = ([query, key, values, bias, weights], edges);
        let output = record::<B, C, _, 4>(DotAttention, guards, state, output);
        (output, wrapped_weights)
    }

    fn dynamic_attention(
        target: FloatTensor<Self>,
        source: FloatTensor<Self>,
        a: FloatTensor<Self>,
        edge: FloatTensor<Self>,
        edges: Arc<Csr>,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let guards = [target.node(), source.node(), a.node(), edge.node()];
        let [target, source, a, edge] = [target, source, a, edge].map(|t| t.into_primitive());
        let (output, weights) =
            B::dynamic_attention(target.clone(), source.clone(), a.clone(), edge.clone(), edges.clone(), slope);
        let wrapped_weights = Self::from_inner(weights.clone());
        let state = ([target, source, a, edge, weights], edges, slope);
        let output = record::<B, C, _, 4>(DynamicAttention, guards, state, output);
        (output, wrapped_weights)
    }

    // What follows has no gradients: it is the backward passes themselves.

    fn dot_attention_backward(
        gradient: FloatTensor<Self>,
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        values: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        edges: Arc<Csr>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [gradient, query, key, values, bias, weights] =
            [gradient, query, key, values, bias, weights].map(|t| t.into_primitive());
        let (query, key, values, bias) = B::dot_attention_backward(gradient, query, key, values, bias, weights, edges);
        (Self::from_inner(query), Self::from_inner(key), Self::from_inner(values), Self::from_inner(bias))
    }

    fn dynamic_attention_backward(
        gradient: FloatTensor<Self>,
        target: FloatTensor<Self>,
        source: FloatTensor<Self>,
        a: FloatTensor<Self>,
        edge: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        edges: Arc<Csr>,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [gradient, target, source, a, edge, weights] =
            [gradient, target, source, a, edge, weights].map(|t| t.into_primitive());
        let (target, source, a, edge) =
            B::dynamic_attention_backward(gradient, target, source, a, edge, weights, edges, slope);
        (Self::from_inner(target), Self::from_inner(source), Self::from_inner(a), Self::from_inner(edge))
    }
}
