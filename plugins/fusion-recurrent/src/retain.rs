//! `retain`: attention from two recurrent units that read the visits backwards.

use crate::gates::Gates;
use crate::gru;
use dualk_sdk::burn::nn::{Linear, LinearConfig};
use dualk_sdk::burn::tensor::activation::tanh;
use dualk_sdk::component::at_least;
use dualk_sdk::ops::{PaddedSets, linear};
use dualk_sdk::prelude::*;

options! {
    /// Options of `retain`.
    pub struct RetainOptions {
        /// Width of the states of both recurrent units.
        #[schemars(range(min = 1))]
        pub hidden: usize = 128,
    }
}

impl Component for RetainOptions {
    const NAME: &'static str = "retain";
    const ABOUT: &'static str =
        "Visit- and variable-level attention, each from a GRU over the visits in reverse order; weighted sum.";
    const CITATION: &'static str = "Choi et al., RETAIN, NeurIPS 2016";
}

/// g = GRU_α(v_T, …, v_1), α_t = softmax_t(w_α · g_t + b_α); h = GRU_β(v_T, …, v_1), β_t = tanh(W_β h_t + b_β);
/// out = Σ_t α_t β_t ∘ v_t (steps 2-4 of section 2.2 of the paper). The fused vector is as wide as a visit.
#[derive(Module, Debug)]
pub struct Retain {
    alpha: Gates,
    beta: Gates,
    fc_alpha: Linear,
    fc_beta: Linear,
    hidden: usize,
    width: usize,
}

impl BuildFusion for RetainOptions {
    type Module = Retain;

    fn build(self, context: &FusionContext<'_>) -> Result<Retain> {
        let hidden = at_least("hidden", self.hidden, 1)?;
        let (width, device) = (context.width, context.device);
        Ok(Retain {
            alpha: Gates::new(3, width, hidden, device),
            beta: Gates::new(3, width, hidden, device),
            // Its bias would cancel in the softmax.
            fc_alpha: LinearConfig::new(hidden, 1).with_bias(false).init(device),
            fc_beta: LinearConfig::new(hidden, width).init(device),
            hidden,
            width,
        })
    }
}

impl Fusion for Retain {
    fn forward(&self, values: Tensor<2>, sets: &Sets) -> Tensor<2> {
        // All is in reverse order here; the sum at the end does not care.
        let sets = Sets::new(sets.members().rows().map(|m| m.iter().rev().copied().collect::<Vec<_>>()).collect());
        let padded = PaddedSets::new(&sets, &values.device());
        if padded.longest() == 0 {
            return Tensor::zeros([sets.len(), self.width], &values.device());
        }
        let states = |gates: &Gates| {
            let step = |x, h| gru::step(gates, self.hidden, x, h);
            gates.states(values.clone(), &padded, self.hidden, step) // [sets, longest, hidden]
        };
        let alpha = padded.softmax(linear(&self.fc_alpha, states(&self.alpha))); // [sets, longest, 1]
        let beta = tanh(linear(&self.fc_beta, states(&self.beta))); // [sets, longest, width]
        (alpha * beta * padded.gather(values)).sum_dim(1).squeeze_dim(1) // [sets, width]
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_does_not_depend_on_the_longest_set() {
        let device = Device::flex();
        let context = FusionContext { width: 3, level: FusionLevel::Visits, device: &device };
        let retain = RetainOptions { hidden: 4 }.build(&context).unwrap();
        let values = Tensor::<2>::from_data([[1.0, -2.0, 3.0], [0.5, 0.25, -4.0]], &device);
        let run = |lists: Vec<Vec<u32>>| retain.forward(values.clone(), &Sets::new(lists.into_iter().collect()));
        let together = run(vec![vec![1, 0], vec![], vec![0, 1, 1, 0]]);
        assert_eq!((together.dims(), retain.width()), ([3, 3], 3));
        let alone = run(vec![vec![1, 0]]).into_data();
        together.clone().slice([0..1, 0..3]).into_data().assert_approx_eq::<f32>(&alone, Default::default());
        together.slice([1..2, 0..3]).into_data().assert_eq(&TensorData::zeros::<f32, _>([1, 3]), true);
        assert_eq!(run(vec![vec![]]).dims(), [1, 3]);
    }

    #[test]
    fn bad_options_name_their_key() {
        let context = FusionContext { width: 3, level: FusionLevel::Visits, device: &Device::flex() };
        let error = RetainOptions { hidden: 0 }.build(&context).unwrap_err().to_string();
        assert!(error.starts_with("`hidden`"), "{error}");
    }
}
