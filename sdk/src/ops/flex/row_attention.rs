//! Attention whose scores need whole rows of both ends, as tensors.

use super::real::Real;
use super::{Csr, dims, dot_attention, dynamic_attention, made, numbers, of_type};
use crate::ops::row_attention::RowAttention;
use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;
use burn_flex::FlexTensor;
use std::sync::Arc;

impl RowAttention for Flex {
    fn dot_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        values: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        edges: Arc<Csr>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [query, key, values, bias] = [query, key, values, bias].map(|t| t.to_contiguous());
        let ([n, width], [_, heads]) = (dims(&query), dims(&bias));
        of_type!(values, T => {
            let inputs = dot_inputs::<T>([&query, &key, &values, &bias]);
            let (output, weights) = dot_attention::forward(inputs, &edges);
            (made(output, [n, width]), made(weights, [heads, edges.members().len()]))
        })
    }

    fn dot_attention_backward(
        gradient: FloatTensor<Self>,
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        values: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        edges: Arc<Csr>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [gradient, query, key, values, bias] = [gradient, query, key, values, bias].map(|t| t.to_contiguous());
        of_type!(values, T => {
            let inputs = dot_inputs::<T>([&query, &key, &values, &bias]);
            let [d_query, d_key, d_values, d_bias] =
                dot_attention::backward(inputs, numbers(&weights), numbers(&gradient), &edges);
            let [d_query, d_key, d_values] =
                [(d_query, &query), (d_key, &key), (d_values, &values)].map(|(d, like)| made(d, dims(like)));
            (d_query, d_key, d_values, made_like(d_bias, bias))
        })
    }

    fn dynamic_attention(
        target: FloatTensor<Self>,
        source: FloatTensor<Self>,
        a: FloatTensor<Self>,
        edge: FloatTensor<Self>,
        edges: Arc<Csr>,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [target, source, a, edge] = [target, source, a, edge].map(|t| t.to_contiguous());
        let ([n, width], [heads, _]) = (dims(&target), dims(&a));
        of_type!(source, T => {
            let inputs = dynamic_inputs::<T>([&target, &source, &a, &edge], slope);
            let (output, weights) = dynamic_attention::forward(inputs, &edges);
            (made(output, [n, width]), made(weights, [heads, edges.members().len()]))
        })
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
        let [gradient, target, source, a, edge] = [gradient, target, source, a, edge].map(|t| t.to_contiguous());
        of_type!(source, T => {
            let inputs = dynamic_inputs::<T>([&target, &source, &a, &edge], slope);
            let [d_target, d_source, d_a, d_edge] =
                dynamic_attention::backward(inputs, numbers(&weights), numbers(&gradient), &edges);
            let [d_target, d_source, d_a] =
                [(d_target, &target), (d_source, &source), (d_a, &a)].map(|(d, like)| made(d, dims(like)));
            (d_target, d_source, d_a, made_like(d_edge, edge))
        })
    }
}

fn dot_inputs<'a, T: Real>([query, key, values, bias]: [&'a FlexTensor; 4]) -> dot_attention::Inputs<'a, T> {
    let ([_, width], [_, heads]) = (dims(query), dims(bias));
    let [query, key, values] = [query, key, values].map(numbers::<T>);
    dot_attention::Inputs { query, key, values, bias: some_numbers(bias), heads, width }
}

fn dynamic_inputs<'a, T: Real>(
    [target, source, a, edge]: [&'a FlexTensor; 4],
    slope: f32,
) -> dynamic_attention::Inputs<'a, T> {
    let ([_, width], [heads, _]) = (dims(source), dims(a));
    let [target, source, a] = [target, source, a].map(numbers::<T>);
    dynamic_attention::Inputs { target, source, a, edge: some_numbers(edge), heads, width, slope: T::of(slope) }
}

/// The numbers of a tensor that has rows.
fn some_numbers<T: Real>(tensor: &FlexTensor) -> Option<&[T]> {
    (dims(tensor)[0] > 0).then(|| numbers(tensor))
}

/// The gradient of a tensor that may have no rows, and then is its own gradient.
fn made_like<T: Real>(numbers: Vec<T>, like: FlexTensor) -> FlexTensor {
    if numbers.is_empty() { like } else { made(numbers, dims(&like)) }
}
