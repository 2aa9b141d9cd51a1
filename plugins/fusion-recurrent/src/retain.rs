//! `retain`: attention from two recurrent units that read the visits backwards.

use crate::gates::{Gates, PackedSets, reversed};
use crate::gru;
use dualk_sdk::burn::nn::{DropoutConfig, Linear, LinearConfig};
use dualk_sdk::ops::{linear, softmax_pool, tanh};
use dualk_sdk::prelude::*;

options! {
    /// Options of `retain`.
    pub struct RetainOptions {
        /// Width of the states of both recurrent units.
        #[schemars(range(min = 1))]
        pub hidden: usize = 128,
        /// Whether the days since the visit before enter both recurrent units as well; of visits alone.
        pub elapsed: bool = false,
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
///
/// With `elapsed` both units read (v_t, ln(1 + d_t)), d_t the days since the visit before, 0 for the first and where they are not
/// known: the paper's note on temporal information, with the logarithm of its published code.
#[derive(Module, Debug)]
pub struct Retain {
    alpha: Gates,
    beta: Gates,
    fc_alpha: Linear,
    fc_beta: Linear,
    hidden: usize,
    width: usize,
    elapsed: bool,
}

impl BuildFusion for RetainOptions {
    type Module = Retain;

    fn build(self, context: &FusionContext<'_>) -> Result<Retain> {
        let (hidden, width, device) = (self.hidden, context.width, context.device);
        let elapsed = self.elapsed && context.level == FusionLevel::Visits;
        let input = width + usize::from(elapsed);
        Ok(Retain {
            alpha: Gates::new(3, input, hidden, device),
            beta: Gates::new(3, input, hidden, device),
            // Its bias would cancel in the softmax.
            fc_alpha: LinearConfig::new(hidden, 1).with_bias(false).init(device),
            fc_beta: LinearConfig::new(hidden, width).init(device),
            hidden,
            width,
            elapsed,
        })
    }
}

impl Fusion for Retain {
    fn forward(&self, values: Tensor<2>, sets: &Sets) -> Tensor<2> {
        let device = values.device();
        if sets.longest() == 0 {
            return Tensor::zeros([sets.len(), self.width], &device);
        }
        let (values, inputs, sets) = match self.elapsed {
            false => (values.clone(), values, reversed(sets)),
            // What is elapsed is a matter of the set, so that each member has a row of its own.
            true => {
                let (values, sets) = own_rows(values, sets);
                let inputs = Tensor::cat(vec![values.clone(), since_before(&sets, &device)], 1); // [members, width + 1]
                (values, inputs, reversed(&sets))
            }
        };
        let packed = PackedSets::new(&sets);
        let states = |gates: &Gates| {
            let step = |x, h| gru::step(gates, self.hidden, x, h);
            gates.states(inputs.clone(), &packed, self.hidden, step) // [members, hidden]
        };
        let scores = linear(&self.fc_alpha, states(&self.alpha)); // [members, 1]
        let beta = tanh(linear(&self.fc_beta, states(&self.beta))); // [members, width]
        let none = DropoutConfig::new(0.0).init();
        softmax_pool(scores, beta * packed.gather(values), packed.sets(), &none) // [sets, width]
    }

    fn width(&self) -> usize {
        self.width
    }
}

/// The members of all sets one after the other as rows, and the sets that they make.
///
/// # Shapes
/// - `values`: `[rows, width]`
/// - output: `[members, width]`
fn own_rows(values: Tensor<2>, sets: &Sets) -> (Tensor<2>, Sets) {
    let members = sets.members();
    let rows: Vec<i32> = members.values().iter().map(|&row| row as i32).collect();
    let count = rows.len();
    let device = values.device().without_autodiff();
    let values = values.select(0, Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), &device)); // [members, width]
    let own = Sets::new(members.offsets().windows(2).map(|w| w[0] as u32..w[1] as u32).collect());
    let days = sets.days_ago();
    (values, if days.is_empty() { own } else { own.ago(days.to_vec()) })
}

/// ln(1 + d) of the days d between each member and the one before it in its set.
///
/// # Shapes
/// - output: `[members, 1]`
fn since_before(sets: &Sets, device: &Device) -> Tensor<2> {
    let (members, days) = (sets.members(), sets.days_ago());
    let mut values = vec![0f32; members.values().len()];
    for set in members.offsets().windows(2).filter(|_| !days.is_empty()) {
        for place in set[0] + 1..set[1] {
            values[place] = (days[place - 1] - days[place]).max(0.0).ln_1p();
        }
    }
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count, 1]), &device.clone().without_autodiff())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_does_not_depend_on_the_longest_set() {
        let device = Device::flex();
        let context = FusionContext { width: 3, level: FusionLevel::Visits, device: &device };
        let retain = RetainOptions { hidden: 4, ..Default::default() }.build(&context).unwrap();
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
    fn days_between_visits_count_where_they_are_known() {
        let device = Device::flex();
        let context = FusionContext { width: 3, level: FusionLevel::Visits, device: &device };
        let retain = RetainOptions { hidden: 4, elapsed: true }.build(&context).unwrap();
        let values = Tensor::<2>::from_data([[1.0, -2.0, 3.0], [0.5, 0.25, -4.0]], &device);
        // The second set is the first of a batch of its own; a row of the table is in both.
        let sets = || Sets::new([vec![0, 1], vec![1, 0, 1]].into_iter().collect());
        let run = |sets: &Sets| retain.forward(values.clone(), sets).into_data();
        let near = |a: &TensorData, b: &TensorData| {
            a.iter::<f32>().zip(b.iter::<f32>()).map(|(a, b)| (a - b).abs()).collect::<Vec<_>>()
        };
        let base = run(&sets().ago(vec![30.0, 0.0, 50.0, 20.0, 0.0]));
        let moved = near(&base, &run(&sets().ago(vec![30.0, 0.0, 90.0, 60.0, 0.0])));
        assert!(moved[..3].iter().all(|d| *d < 1e-6) && moved[3..].iter().any(|d| *d > 1e-4), "{moved:?}");
        let undated = near(&run(&sets()), &run(&sets().ago(vec![0.0; 5])));
        assert!(undated.iter().all(|d| *d == 0.0), "{undated:?}");
        let none = Sets::new([Vec::<u32>::new()].into_iter().collect());
        assert_eq!(retain.forward(values.clone(), &none).dims(), [1, 3]);
    }
}
