//! What the recurrent fusions share: the linear parts of the gates and the walk over sets.

use dualk_sdk::burn::module::Initializer;
use dualk_sdk::burn::nn::{Linear, LinearConfig};
use dualk_sdk::ops::{Pooling, linear, pool};
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

    /// Runs `step` over the members of each set in order and gives the state after each. `step` takes the inputs' part of the
    /// gates and the state before a member, of `width` columns, and gives the state after it.
    ///
    /// # Shapes
    /// - `values`: `[rows, input]`; the sets of `packed` point into its rows
    /// - `step`: `[running, gates * hidden]`, `[running, width]` → `[running, width]`
    /// - output: `[members, width]`, in the order of `packed`; there is at least one member
    pub fn states(
        &self,
        values: Tensor<2>,
        packed: &PackedSets,
        width: usize,
        step: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let mut state = Tensor::<2>::zeros([packed.running[0], width], &values.device());
        // Projected once a row of the table, however often the row occurs in the sets.
        let inputs = packed.gather(linear(&self.ih, values)); // [members, gates * hidden]
        let (mut states, mut start) = (Vec::with_capacity(packed.running.len()), 0);
        for &running in &packed.running {
            let before = if running < state.dims()[0] { state.narrow(0, 0, running) } else { state }; // [running, width]
            state = step(inputs.clone().narrow(0, start, running), before);
            states.push(state.clone());
            start += running;
        }
        Tensor::cat(states, 0) // [members, width]
    }

    /// The states after the last members of each set, zero for empty sets.
    ///
    /// # Shapes
    /// - as [`Gates::states`], but output: `[sets, width]`
    pub fn last(
        &self,
        values: Tensor<2>,
        sets: &Sets,
        width: usize,
        step: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        if sets.longest() == 0 {
            return Tensor::zeros([sets.len(), width], &values.device());
        }
        let packed = PackedSets::new(sets);
        let last = packed.sets().members().rows().map(|places| places.last().copied()).collect();
        pool(self.states(values, &packed, width, step), &Sets::new(last), Pooling::Sum) // [sets, width]
    }
}

/// The members of sets in the order in which a recurrent unit reads them: the first of every set, then the second of those
/// that have one, and so on, the longest set first. A step then works on sets that still run and on nothing else.
pub struct PackedSets {
    members: Sets,
    places: Sets,
    /// How many sets have a member at each step.
    running: Vec<usize>,
}

impl PackedSets {
    /// Packs `sets`.
    pub fn new(sets: &Sets) -> Self {
        let lists = sets.members();
        let mut order: Vec<usize> = (0..lists.len()).collect();
        order.sort_by_key(|&set| std::cmp::Reverse(lists.row(set).len()));
        let running: Vec<usize> =
            (0..sets.longest()).map(|step| order.partition_point(|&set| lists.row(set).len() > step)).collect();
        let members = running
            .iter()
            .enumerate()
            .flat_map(|(step, &running)| order[..running].iter().map(move |&set| [lists.row(set)[step]]))
            .collect();
        let mut rank = vec![0; lists.len()];
        order.iter().enumerate().for_each(|(place, &set)| rank[set] = place);
        let starts: Vec<usize> = running.iter().scan(0, |sum, n| Some(std::mem::replace(sum, *sum + n))).collect();
        let places = lists
            .rows()
            .zip(rank)
            .map(|(list, rank)| starts[..list.len()].iter().map(|start| (start + rank) as u32).collect::<Vec<_>>())
            .collect();
        Self { members: Sets::new(members), places: Sets::new(places), running }
    }

    /// The sets over packed rows: set s holds the places of its members, in order.
    pub fn sets(&self) -> &Sets {
        &self.places
    }

    /// The rows of the members.
    ///
    /// # Shapes
    /// - `table`: `[rows, d]`
    /// - output: `[members, d]`
    pub fn gather(&self, table: Tensor<2>) -> Tensor<2> {
        pool(table, &self.members, Pooling::Sum)
    }
}

/// Sets from their last member to their first.
pub fn reversed(sets: &Sets) -> Sets {
    Sets::new(sets.members().rows().map(|list| list.iter().rev().copied().collect::<Vec<_>>()).collect())
}

/// Columns of gate `index`.
///
/// # Shapes
/// - `gates`: `[rows, gates * hidden]`
/// - output: `[rows, hidden]`
pub fn gate(gates: &Tensor<2>, index: usize, hidden: usize) -> Tensor<2> {
    gates.clone().narrow(1, index * hidden, hidden) // [sets, hidden]
}
