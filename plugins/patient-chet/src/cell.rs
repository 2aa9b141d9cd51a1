//! A gated recurrent unit, one step at a time.

use dualk_sdk::burn::module::Initializer;
use dualk_sdk::burn::nn::{Linear, LinearConfig};
use dualk_sdk::ops::{linear, sigmoid, tanh};
use dualk_sdk::prelude::*;

/// r = σ(x W_ir + b_ir + h W_hr + b_hr), z = σ(x W_iz + b_iz + h W_hz + b_hz),
/// n = tanh(x W_in + b_in + r ∘ (h W_hn + b_hn)), h' = (1 − z) ∘ n + z ∘ h; gates in the order r, z, n. All start uniform in
/// ±1/√hidden, as PyTorch's `GRUCell`.
#[derive(Module, Debug)]
pub struct Cell {
    ih: Linear,
    hh: Linear,
    hidden: usize,
}

impl Cell {
    /// A new unit.
    pub fn new(input: usize, hidden: usize, device: &Device) -> Self {
        let bound = 1.0 / (hidden as f64).sqrt();
        let layer = |input| {
            let start = Initializer::Uniform { min: -bound, max: bound };
            LinearConfig::new(input, 3 * hidden).with_initializer(start).init(device)
        };
        Self { ih: layer(input), hh: layer(hidden), hidden }
    }

    /// Width of the state.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// What inputs add to the gates.
    ///
    /// # Shapes
    /// - `x`: `[rows, input]`
    /// - output: `[rows, 3 * hidden]`
    pub fn inputs(&self, x: Tensor<2>) -> Tensor<2> {
        linear(&self.ih, x)
    }

    /// The state after an input.
    ///
    /// # Shapes
    /// - `inputs`: `[rows, 3 * hidden]`, as [`Cell::inputs`] gives them
    /// - `h`, output: `[rows, hidden]`
    pub fn step(&self, inputs: Tensor<2>, h: Tensor<2>) -> Tensor<2> {
        let states = linear(&self.hh, h.clone()); // [rows, 3 * hidden]
        let gate = |gates: &Tensor<2>, index: usize| gates.clone().narrow(1, index * self.hidden, self.hidden);
        let r = sigmoid(gate(&inputs, 0) + gate(&states, 0)); // [rows, hidden]
        let z = sigmoid(gate(&inputs, 1) + gate(&states, 1)); // [rows, hidden]
        let n = tanh(gate(&inputs, 2) + r * gate(&states, 2)); // [rows, hidden]
        (z.clone().neg() + 1.0) * n + z * h
    }
}
