//! `gru`: the last state of a gated recurrent unit.

use crate::gates::{Gates, gate};
use dualk_sdk::ops::{linear, sigmoid, tanh};
use dualk_sdk::prelude::*;

options! {
    /// Options of `gru`.
    pub struct GruOptions {
        /// Width of the state, which is the fused vector.
        #[schemars(range(min = 1))]
        pub hidden: usize = 256,
    }
}

impl Component for GruOptions {
    const NAME: &'static str = "gru";
    const ABOUT: &'static str = "Last state of a gated recurrent unit over the members in order.";
    const CITATION: &'static str = "Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, EMNLP 2014";
}

/// r = σ(x W_ir + b_ir + h W_hr + b_hr), z = σ(x W_iz + b_iz + h W_hz + b_hz),
/// n = tanh(x W_in + b_in + r ∘ (h W_hn + b_hn)), h' = (1 − z) ∘ n + z ∘ h; gates in the order r, z, n.
#[derive(Module, Debug)]
pub struct Gru {
    gates: Gates,
    hidden: usize,
}

impl BuildFusion for GruOptions {
    type Module = Gru;

    fn build(self, context: &FusionContext<'_>) -> Result<Gru> {
        let hidden = self.hidden;
        Ok(Gru { gates: Gates::new(3, context.width, hidden, context.device), hidden })
    }
}

impl Fusion for Gru {
    fn forward(&self, values: Tensor<2>, sets: &Sets) -> Tensor<2> {
        self.gates.last(values, sets, self.hidden, |x, h| step(&self.gates, self.hidden, x, h))
    }

    fn width(&self) -> usize {
        self.hidden
    }
}

/// The state after a member, from the inputs' part of the gates and the state before.
///
/// # Shapes
/// - `x`: `[sets, 3 * hidden]`
/// - `h`, output: `[sets, hidden]`
pub fn step(gates: &Gates, hidden: usize, x: Tensor<2>, h: Tensor<2>) -> Tensor<2> {
    let from_h = linear(&gates.hh, h.clone()); // [sets, 3 * hidden]
    let (x, from_h) = (|g| gate(&x, g, hidden), |g| gate(&from_h, g, hidden));
    let r = sigmoid(x(0) + from_h(0)); // [sets, hidden]
    let z = sigmoid(x(1) + from_h(1)); // [sets, hidden]
    let n = tanh(x(2) + r * from_h(2)); // [sets, hidden]
    (z.clone().neg() + 1.0) * n + z * h
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_does_not_depend_on_the_longest_set() {
        let device = Device::flex();
        let context = FusionContext { width: 3, level: FusionLevel::Visits, device: &device };
        let gru = GruOptions { hidden: 4 }.build(&context).unwrap();
        let values = Tensor::<2>::from_data([[1.0, -2.0, 3.0], [0.5, 0.25, -4.0]], &device);
        let run = |lists: Vec<Vec<u32>>| gru.forward(values.clone(), &Sets::new(lists.into_iter().collect()));
        let together = run(vec![vec![1, 0], vec![], vec![0, 1, 1, 0]]);
        assert_eq!(together.dims(), [3, 4]);
        together.clone().slice([0..1, 0..4]).into_data().assert_eq(&run(vec![vec![1, 0]]).into_data(), true);
        together.slice([1..2, 0..4]).into_data().assert_eq(&TensorData::zeros::<f32, _>([1, 4]), true);
        run(vec![vec![], vec![]]).into_data().assert_eq(&TensorData::zeros::<f32, _>([2, 4]), true);
    }
}
