//! `dipole`: a recurrent unit in both directions, and attention of the last visit over those before it.

use crate::gates::{Gates, PackedSets, reversed};
use crate::gru;
use dualk_sdk::burn::nn::{Linear, LinearConfig};
use dualk_sdk::burn::tensor::activation::relu;
use dualk_sdk::ops::{PaddedSets, Pooling, linear, pool, tanh};
use dualk_sdk::prelude::*;
use dualk_sdk::serde::{Deserialize, Serialize};

/// How a visit before the last is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, dualk_sdk::schemars::JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum Score {
    /// w · h_i.
    Location,
    /// h_T · W h_i.
    General,
    /// v · tanh(W [h_T; h_i]).
    Concat,
}

options! {
    /// Options of `dipole`.
    pub struct DipoleOptions {
        /// Width of a state of each direction.
        #[schemars(range(min = 1))]
        pub hidden: usize = 128,
        /// Width of an embedded visit.
        #[schemars(range(min = 1))]
        pub embed: usize = 128,
        /// Width of the fused vector.
        #[schemars(range(min = 1))]
        pub dim: usize = 128,
        /// `location`, `general` or `concat`.
        pub score: Score = Score::Location,
        /// Whether visits are also read backwards.
        pub bidirectional: bool = true,
    }
}

impl Component for DipoleOptions {
    const NAME: &'static str = "dipole";
    const ABOUT: &'static str =
        "A GRU in both directions and attention of the last visit over those before it, joined by a layer.";
    const CITATION: &'static str = "Ma et al., Dipole: Diagnosis Prediction in Healthcare via Attention-based \
                                    Bidirectional Recurrent Neural Networks, KDD 2017";
}

/// x_t = ReLU(v_t W_v + b_v), h_t = [GRU→(x)_t; GRU←(x)_t], c = Σ_{t < T} softmax_{t < T}(score(h_T, h_t)) h_t,
/// out = tanh([c; h_T] W_c) (section 3 of the paper). With one visit c is 0; without any the output is 0. Biases of
/// the scores of a location would cancel in the softmax.
#[derive(Module, Debug)]
pub struct Dipole {
    embed: Linear,
    /// The forward direction; the name is that of its parameters.
    ahead: Gates,
    back: Option<Gates>,
    /// `general`: W, on the side of the last visit. `concat`: W.
    fc_pair: Option<Linear>,
    /// `location`: w. `concat`: v.
    fc_score: Option<Linear>,
    fc_out: Linear,
    hidden: usize,
    width: usize,
}

impl BuildFusion for DipoleOptions {
    type Module = Dipole;

    fn build(self, context: &FusionContext<'_>) -> Result<Dipole> {
        let Self { hidden, embed, dim: width, .. } = self;
        let device = context.device;
        let state = if self.bidirectional { 2 * hidden } else { hidden };
        let linear = |input, output| LinearConfig::new(input, output).with_bias(false).init(device);
        let (fc_pair, fc_score) = match self.score {
            Score::Location => (None, Some(linear(state, 1))),
            Score::General => (Some(linear(state, state)), None),
            Score::Concat => (Some(linear(2 * state, hidden)), Some(linear(hidden, 1))),
        };
        Ok(Dipole {
            embed: LinearConfig::new(context.width, embed).init(device),
            ahead: Gates::new(3, embed, hidden, device),
            back: self.bidirectional.then(|| Gates::new(3, embed, hidden, device)),
            fc_pair,
            fc_score,
            fc_out: linear(2 * state, width),
            hidden,
            width,
        })
    }
}

impl Fusion for Dipole {
    fn forward(&self, values: Tensor<2>, sets: &Sets) -> Tensor<2> {
        let device = values.device();
        if sets.longest() == 0 {
            return Tensor::zeros([sets.len(), self.width], &device);
        }
        let packed = PackedSets::new(sets);
        let states = self.states(relu(linear(&self.embed, values)), sets, &packed); // [members, state]
        let split = || packed.sets().members().rows().map(<[u32]>::split_last);
        let last = Sets::new(split().map(|list| list.map(|(&last, _)| last)).collect());
        let last = PaddedSets::new(&last, &device); // one row a set
        let filled = last.mask().squeeze_dim::<2>(2); // [sets, 1]
        let last = last.gather(states.clone()); // [sets, 1, state]
        let before = split().map(|list| list.map_or(Vec::new(), |(_, before)| before.to_vec())).collect();
        let context = self.context(states, last.clone(), &Sets::new(before)); // [sets, state]
        let joined = Tensor::cat(vec![context, last.squeeze_dim(1)], 1); // [sets, 2 * state]
        tanh(linear(&self.fc_out, joined)) * filled // [sets, dim]
    }

    fn width(&self) -> usize {
        self.width
    }
}

impl Dipole {
    /// The states of both directions side by side.
    ///
    /// # Shapes
    /// - `values`: `[rows, embed]`
    /// - output: `[members, state]`, in the order of `packed`, which is made of `sets`
    fn states(&self, values: Tensor<2>, sets: &Sets, packed: &PackedSets) -> Tensor<2> {
        let walk = |gates: &Gates, packed: &PackedSets| {
            gates.states(values.clone(), packed, self.hidden, |x, h| gru::step(gates, self.hidden, x, h))
        };
        let forward = walk(&self.ahead, packed); // [members, hidden]
        let Some(gates) = &self.back else { return forward };
        let back = PackedSets::new(&reversed(sets));
        // Step t of a set of n stands at n − 1 − t; sets of the same lengths are packed alike.
        let mut turned = vec![[0]; sets.members().values().len()];
        for (list, other) in packed.sets().members().rows().zip(back.sets().members().rows()) {
            list.iter().zip(other.iter().rev()).for_each(|(&place, &other)| turned[place as usize] = [other]);
        }
        let turned = Sets::new(turned.into_iter().collect());
        let back = pool(walk(gates, &back), &turned, Pooling::Sum); // [members, hidden]
        Tensor::cat(vec![forward, back], 1) // [members, 2 * hidden]
    }

    /// The weighted sum of the states before the last; zeros where there are none.
    ///
    /// # Shapes
    /// - `states`: `[rows, state]`; `before` points into its rows
    /// - `last`: `[sets, 1, state]`
    /// - output: `[sets, state]`
    fn context(&self, states: Tensor<2>, last: Tensor<3>, before: &Sets) -> Tensor<2> {
        let [count, _, width] = last.dims();
        let padded = PaddedSets::new(before, &last.device());
        if padded.longest() == 0 {
            return Tensor::zeros([count, width], &last.device());
        }
        let states = padded.gather(states); // [sets, longest, state]
        let scores = match (&self.fc_pair, &self.fc_score) {
            (None, Some(location)) => location.forward(states.clone()), // [sets, longest, 1]
            (Some(general), None) => (linear(general, last) * states.clone()).sum_dim(2),
            (Some(pair), Some(score)) => {
                let last = last.repeat_dim(1, padded.longest()); // [sets, longest, state]
                linear(score, tanh(linear(pair, Tensor::cat(vec![last, states.clone()], 2))))
            }
            (None, None) => unreachable!("every kind of score has a layer"),
        };
        (padded.softmax(scores) * states).sum_dim(1).squeeze_dim(1) // [sets, state]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(options: DipoleOptions, device: &Device) -> Result<Dipole> {
        options.build(&FusionContext { width: 3, level: FusionLevel::Visits, device })
    }

    #[test]
    fn the_result_does_not_depend_on_the_longest_set() {
        let device = Device::flex();
        for (score, bidirectional) in
            [(Score::Location, true), (Score::General, true), (Score::Concat, true), (Score::Location, false)]
        {
            let options = DipoleOptions { hidden: 4, dim: 5, score, bidirectional, ..Default::default() };
            let dipole = build(options, &device).unwrap();
            let values = Tensor::<2>::from_data([[1.0, -2.0, 3.0], [0.5, 0.25, -4.0]], &device);
            let run = |lists: Vec<Vec<u32>>| dipole.forward(values.clone(), &Sets::new(lists.into_iter().collect()));
            let together = run(vec![vec![1, 0], vec![], vec![0, 1, 1, 0], vec![1]]);
            assert_eq!((together.dims(), dipole.width()), ([4, 5], 5));
            for (s, list) in [(0, vec![1, 0]), (3, vec![1])] {
                let alone = run(vec![list]).into_data();
                together.clone().slice([s..s + 1]).into_data().assert_approx_eq::<f32>(&alone, Default::default());
            }
            assert_eq!(together.slice([1..2]).abs().sum().into_scalar::<f32>(), 0.0);
            assert_eq!(run(vec![vec![]]).dims(), [1, 5]);
        }
    }
}
