//! `lstm`: the last output of a long short-term memory.

use crate::gates::{Gates, gate};
use dualk_sdk::ops::{linear, sigmoid, tanh};
use dualk_sdk::prelude::*;

options! {
    /// Options of `lstm`.
    pub struct LstmOptions {
        /// Width of the output, which is the fused vector.
        #[schemars(range(min = 1))]
        pub hidden: usize = 256,
    }
}

impl Component for LstmOptions {
    const NAME: &'static str = "lstm";
    const ABOUT: &'static str = "Last output of a long short-term memory over the members in order.";
    const CITATION: &'static str = "Hochreiter and Schmidhuber, Long Short-Term Memory, Neural Computation 1997";
}

/// i, f, o = σ(x W_i· + b_i· + h W_h· + b_h·), g = tanh(x W_ig + b_ig + h W_hg + b_hg),
/// c' = f ∘ c + i ∘ g, h' = o ∘ tanh(c'); gates in the order i, f, g, o.
#[derive(Module, Debug)]
pub struct Lstm {
    gates: Gates,
    hidden: usize,
}

impl BuildFusion for LstmOptions {
    type Module = Lstm;

    fn build(self, context: &FusionContext<'_>) -> Result<Lstm> {
        let hidden = self.hidden;
        Ok(Lstm { gates: Gates::new(4, context.width, hidden, context.device), hidden })
    }
}

impl Fusion for Lstm {
    fn forward(&self, values: Tensor<2>, sets: &Sets) -> Tensor<2> {
        let d = self.hidden;
        // The state is [h, c] side by side.
        let state = self.gates.last(values, sets, 2 * d, |x, state| {
            let (h, c) = (gate(&state, 0, d), gate(&state, 1, d)); // [sets, hidden] each
            let gates = x + linear(&self.gates.hh, h); // [sets, 4 * hidden]
            let (i, f) = (sigmoid(gate(&gates, 0, d)), sigmoid(gate(&gates, 1, d)));
            let (g, o) = (tanh(gate(&gates, 2, d)), sigmoid(gate(&gates, 3, d)));
            let c = f * c + i * g; // [sets, hidden]
            Tensor::cat(vec![o * tanh(c.clone()), c], 1) // [sets, 2 * hidden]
        });
        gate(&state, 0, d) // [sets, hidden]
    }

    fn width(&self) -> usize {
        self.hidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_does_not_depend_on_the_longest_set() {
        let device = Device::flex();
        let context = FusionContext { width: 3, level: FusionLevel::Visits, device: &device };
        let lstm = LstmOptions { hidden: 4 }.build(&context).unwrap();
        let values = Tensor::<2>::from_data([[1.0, -2.0, 3.0], [0.5, 0.25, -4.0]], &device);
        let run = |lists: Vec<Vec<u32>>| lstm.forward(values.clone(), &Sets::new(lists.into_iter().collect()));
        let together = run(vec![vec![1, 0], vec![], vec![0, 1, 1, 0]]);
        assert_eq!(together.dims(), [3, 4]);
        together.clone().slice([0..1, 0..4]).into_data().assert_eq(&run(vec![vec![1, 0]]).into_data(), true);
        together.slice([1..2, 0..4]).into_data().assert_eq(&TensorData::zeros::<f32, _>([1, 4]), true);
        run(vec![vec![], vec![]]).into_data().assert_eq(&TensorData::zeros::<f32, _>([2, 4]), true);
    }
}
