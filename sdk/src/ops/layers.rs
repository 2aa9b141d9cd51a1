//! Layers one after the other, and positions and times as numbers.

use super::{add_row, add_row_relu, dropout};
use burn::nn::Dropout;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

/// Input and output width of each of the layers whose output widths are `dims`.
pub fn layer_widths(input: usize, dims: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    std::iter::once(input).chain(dims.iter().copied()).zip(dims.iter().copied())
}

/// A position as sines and cosines: sin(p / 10000^(2k/d)) in channel 2k of the d in `row`, the cosine in channel 2k + 1
/// (Vaswani et al., Attention Is All You Need, section 3.5).
pub fn sinusoid(position: f32, row: &mut [f32]) {
    let width = row.len() as f32;
    for (c, value) in row.iter_mut().enumerate() {
        let angle = position / 10_000f32.powf((c - c % 2) as f32 / width);
        *value = if c % 2 == 0 { angle.sin() } else { angle.cos() };
    }
}

/// An elapsed time as sines and cosines: sin(2ᵏ ln(1 + d)) in channel 2k of `row`, the cosine in channel 2k + 1. Channels come in
/// pairs.
pub fn elapsed(days: f32, row: &mut [f32]) {
    let time = days.max(0.0).ln_1p();
    for (k, pair) in row.chunks_exact_mut(2).enumerate() {
        let angle = time * (1 << k) as f32;
        pair.copy_from_slice(&[angle.sin(), angle.cos()]);
    }
}

/// Layers with ReLU and dropout between, none after the last; `forward` applies one.
///
/// # Shapes
/// - `x`: `[rows, input]`
/// - output: `[rows, width of the last layer]`
pub fn layers<'a, L: 'a>(
    layers: impl IntoIterator<Item = &'a L>,
    x: Tensor<2>,
    between: &Dropout,
    forward: impl Fn(&L, Tensor<2>) -> Tensor<2>,
) -> Tensor<2> {
    layers_with_bias(layers, x, between, |layer, x| (forward(layer, x), None))
}

/// The same for layers of which the last step is to add a bias, which `forward` gives beside what it is added to. On GPUs, bias,
/// ReLU and dropout between two layers are one kernel.
///
/// # Shapes
/// - `x`: `[rows, input]`; a bias: `[width of its layer]`
/// - output: `[rows, width of the last layer]`
pub fn layers_with_bias<'a, L: 'a>(
    layers: impl IntoIterator<Item = &'a L>,
    x: Tensor<2>,
    between: &Dropout,
    forward: impl Fn(&L, Tensor<2>) -> (Tensor<2>, Option<Tensor<1>>),
) -> Tensor<2> {
    let mut layers = layers.into_iter();
    let Some(first) = layers.next() else { return x };
    let (x, bias) = layers.fold(forward(first, x), |(x, bias), layer| {
        let x = match bias {
            Some(bias) => add_row_relu(x, bias, Some(between)),
            None => dropout(relu(x), between),
        };
        forward(layer, x)
    });
    match bias {
        Some(bias) => add_row(x, bias),
        None => x,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::DropoutConfig;
    use burn::tensor::Device;

    #[test]
    fn negatives_are_cut_between_layers_and_not_at_the_ends() {
        let x = Tensor::<2>::from_data([[-1.0, 2.0]], &Device::flex());
        let none = DropoutConfig::new(0.0).init();
        let out = layers(&[-1.0, 3.0, -1.0], x.clone(), &none, |factor, x| x * *factor); // [1, -2] → [3, 0] → [-3, 0]
        assert_eq!(out.into_data().iter::<f32>().collect::<Vec<_>>(), [-3.0, 0.0]);
        let bias = || Some(Tensor::from_data([0.5, -1.0], &Device::flex()));
        let out = layers_with_bias(&[-1.0, 3.0], x, &none, |factor, x| (x * *factor, bias())); // [1.5, -3] → [1.5, 0] → [5, -1]
        assert_eq!(out.into_data().iter::<f32>().collect::<Vec<_>>(), [5.0, -1.0]);
        assert_eq!(layer_widths(7, &[5, 3]).collect::<Vec<_>>(), [(7, 5), (5, 3)]);
    }
}
