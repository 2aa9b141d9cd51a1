//! What the recurrent fusions share: the linear parts of the gates and the walk over padded sets.

use dualk_sdk::burn::module::Initializer;
use dualk_sdk::burn::nn::{Linear, LinearConfig};
use dualk_sdk::ops::{PaddedSets, linear};
use dualk_sdk::prelude::*;

/// The linear parts of `gates` gates: x W_i + b_i and h W_h + b_h, gate after gate along the columns in PyTorch's
/// order. Both start uniform in ±1/√hidden, as PyTorch's do.
#[derive(Module, Debug)]
pub struct Gates {
    /// `[input, gates * hidden]`
    pub ih: Linear,
    /// `[hidden, gates * hidden]`
    pub hh: Linear,
}

impl Gates {
    /// New gates.
    pub fn new(gates: usize, input: usize, hidden: usize, device: &Device) -> Self {
        let bound = 1.0 / (hidden as f64).sqrt();
        let linear = |input| {
            let start = Initializer::Uniform { min: -bound, max: bound };
            LinearConfig::new(input, gates * hidden).with_initializer(start).init(device)
        };
        Self { ih: linear(input), hh: linear(hidden) }
    }

    /// Runs `step` over the members of each set in order. `step` takes the inputs' part of the gates and the state
    /// before a member, both tensors of `width` columns, and gives the state after it; a set that has ended keeps its
    /// state. Gives the last states, zero for empty sets.
    ///
    /// # Shapes
    /// - `values`: `[rows, input]`; `sets` points into its rows
    /// - `step`: `[sets, gates * hidden]`, `[sets, width]` → `[sets, width]`
    /// - output: `[sets, width]`
    pub fn walk(
        &self,
        values: Tensor<2>,
        sets: &Sets,
        width: usize,
        step: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let padded = PaddedSets::new(sets, &values.device());
        let start = Tensor::<2>::zeros([sets.len(), width], &values.device());
        self.each(values, &padded, start.clone(), step, |_| {}).unwrap_or(start)
    }

    /// The same, with the states after every member; those of a set that has ended are its last.
    ///
    /// # Shapes
    /// - output: `[sets, longest, width]`; `longest` is at least 1
    pub fn states(
        &self,
        values: Tensor<2>,
        padded: &PaddedSets,
        width: usize,
        step: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<2>,
    ) -> Tensor<3> {
        let mut states = Vec::with_capacity(padded.longest());
        let start = Tensor::<2>::zeros([padded.len(), width], &values.device());
        self.each(values, padded, start, step, |state| states.push(state.clone()));
        Tensor::stack(states, 1) // [sets, longest, width]
    }

    /// Walks and shows each state; `None` when there are no members.
    fn each(
        &self,
        values: Tensor<2>,
        padded: &PaddedSets,
        start: Tensor<2>,
        step: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<2>,
        mut show: impl FnMut(&Tensor<2>),
    ) -> Option<Tensor<2>> {
        if padded.longest() == 0 {
            return None;
        }
        // Projected once a row of the table, however often the row occurs in the sets.
        let inputs = padded.gather(linear(&self.ih, values)); // [sets, longest, gates * hidden]
        let mask = padded.mask(); // [sets, longest, 1]
        Some((0..padded.longest()).fold(start, |state, t| {
            let input = inputs.clone().narrow(1, t, 1).squeeze_dim(1); // [sets, gates * hidden]
            let runs = mask.clone().narrow(1, t, 1).squeeze_dim::<2>(1); // [sets, 1]
            let next = step(input, state.clone());
            // Products with exact 0 and 1: a running set gets exactly `next`.
            let state = next * runs.clone() + state * (runs.neg() + 1.0);
            show(&state);
            state
        }))
    }
}

/// Columns of gate `index`.
///
/// # Shapes
/// - `gates`: `[sets, gates * hidden]`
/// - output: `[sets, hidden]`
pub fn gate(gates: &Tensor<2>, index: usize, hidden: usize) -> Tensor<2> {
    gates.clone().narrow(1, index * hidden, hidden) // [sets, hidden]
}
