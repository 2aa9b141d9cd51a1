//! The copy path of a head: a patient's own codes, their neighbours in the graph, and codes that occur with the items that
//! enter, speak for columns directly.
//!
//! The codes of a history reach the logits only through the patient encoder and a hidden layer, which must carry every
//! code's identity through a few hundred numbers. A copy path (See et al., ACL 2017, for words) adds it behind them.

use crate::data::{AGES, Batch};
use crate::graph::Graph;
use crate::ops::{Csr, Kernels, weighted_sums};
use burn::backend::Dispatch;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use std::sync::Arc;

/// Initial weight of a code for its own column, by the age of the visit.
const OWN: [f32; AGES] = [0.75, 0.4, 0.2];
/// Scale of these parameters: Adam's steps are about the same for all parameters, and these weights must change by more.
const STEP: f32 = 4.0;
/// The scale for neighbours, whose edges weigh little.
const NEAR_STEP: f32 = 20.0;

/// Initial weight of an item for the codes that occur with it.
const ITEM: f32 = 0.25;
/// Scale of its parameter.
const ITEM_STEP: f32 = 10.0;
/// Least fraction of the visits with an abnormal item that must have a code for the item to count for it.
const LEAST: f32 = 0.02;

/// Which columns each code and item speaks for: its own, and those of its neighbours.
#[derive(Debug)]
pub struct HistoryMap {
    outputs: usize,
    nodes: usize,
    own: Vec<Option<u32>>,
    /// For each node the columns of its neighbours, and the weights of the edges to them.
    near: Vec<Vec<(u32, f32)>>,
    /// For each laboratory item the columns of the codes that occur with it, and how often they do.
    items: Vec<Vec<(u32, f32)>>,
}

impl HistoryMap {
    /// `columns` has for each node of the graph the column that it asks for, if any.
    pub fn new(columns: &[Option<u32>], outputs: usize, graph: &Graph) -> Self {
        let mut near = vec![Vec::new(); graph.nodes()];
        for (source, target, weight) in graph.iter().filter(|(source, target, _)| source != target) {
            if let Some(column) = columns.get(target as usize).copied().flatten() {
                near[source as usize].push((column, weight * NEAR_STEP));
            }
        }
        Self { outputs, nodes: graph.nodes(), own: columns.to_vec(), near, items: Vec::new() }
    }

    /// With laboratory items, by how often codes are recorded in admissions in which they are abnormal. `admissions` has
    /// the codes and the items of each, as nodes of the graph and columns of the lab input, in any number.
    pub fn with_items(
        self,
        items: usize,
        admissions: impl IntoIterator<Item = (impl IntoIterator<Item = u32>, Vec<u32>)>,
    ) -> Self {
        let (mut counts, mut totals) = (vec![0f32; items * self.outputs], vec![0f32; items]);
        for (codes, abnormal) in admissions {
            let mut columns: Vec<u32> = codes.into_iter().filter_map(|code| self.own[code as usize]).collect();
            columns.sort_unstable();
            columns.dedup();
            for item in abnormal.into_iter().map(|item| item as usize) {
                totals[item] += 1.0;
                columns.iter().for_each(|&c| counts[item * self.outputs + c as usize] += 1.0);
            }
        }
        let item = |(row, total): (&[f32], &f32)| -> Vec<(u32, f32)> {
            let parts = row.iter().map(|count| count / total.max(1.0));
            (0..).zip(parts).filter(|(_, part)| *part >= LEAST).map(|(c, part)| (c, part * ITEM_STEP)).collect()
        };
        let items = counts.chunks(self.outputs.max(1)).zip(&totals).map(item).collect();
        Self { items, ..self }
    }

    /// From what codes say for themselves, what they say for their neighbours, and what items say, to columns: a matrix of
    /// `outputs` rows over 2 · nodes + items.
    fn matrix(&self) -> Arc<Csr> {
        let nodes = self.nodes as u32;
        let own = self.own.iter().zip(0..).filter_map(|(column, code)| column.map(|c| (c, code, STEP)));
        let spread = |lists: &[Vec<(u32, f32)>], first: u32| {
            let lists = lists.iter().zip(first..);
            lists.flat_map(|(list, from)| list.iter().map(move |&(c, weight)| (c, from, weight))).collect::<Vec<_>>()
        };
        let entries: Vec<(u32, u32, f32)> =
            own.chain(spread(&self.near, nodes)).chain(spread(&self.items, 2 * nodes)).collect();
        let mut offsets = vec![0u32; self.outputs + 1];
        entries.iter().for_each(|e| offsets[e.0 as usize + 1] += 1);
        (0..self.outputs).for_each(|i| offsets[i + 1] += offsets[i]);
        let mut next = offsets.clone();
        let (mut members, mut weights) = (vec![0; entries.len()], vec![0.0; entries.len()]);
        for (column, from, weight) in entries {
            let at = &mut next[column as usize];
            (members[*at as usize], weights[*at as usize]) = (from, weight);
            *at += 1;
        }
        Csr::new(offsets, members, Some(weights))
    }

    /// For each code, and then for each item where items enter, in how many visits of each age a patient of the batch has it:
    /// members are patient · ages + age, in order. Items have the first age.
    fn lists(&self, batch: &Batch) -> Arc<Csr> {
        let mut entries: Vec<(u32, u32)> = Vec::new();
        let mut add = |list: usize, patient: usize, age: usize| {
            entries.push((list as u32, (patient * AGES + age) as u32));
        };
        batch.codes_by_age(|p, age, code| add(code as usize, p, age));
        if !self.items.is_empty() {
            let mut seen: Vec<u32> = Vec::new();
            for (p, items) in batch.labs.rows().enumerate() {
                seen.clear();
                seen.extend(items);
                seen.sort_unstable();
                seen.dedup();
                seen.iter().for_each(|&item| add(self.nodes + item as usize, p, 0));
            }
        }
        Csr::counted(self.nodes + self.items.len(), entries, &[])
    }
}

/// logits_pc += Σ_v Σ_{j ∈ v} ( s·(w_a + d_ja)·[j asks for c] + s'·(n_a + e_ja)·A_jc ), where v are the visits of patient p
/// that are seen, a is the age of a visit (last, one before, earlier), A_jc is the weight of the edge from j to the code of
/// column c, and s, s' are constants. w and n are shared by all codes, d and e belong to one code: chronic codes come to
/// speak louder than acute ones. To this comes s''·Σ_i (m + f_i) B_ic over the laboratory items i that enter, where B_ic is
/// how often the code of c is recorded in admissions in which i is abnormal. d, e, f and n start at 0.
///
/// What each code says is summed up first, a row for each code and a column for each patient, and then spread by one sparse
/// product over a matrix that never changes: O(batch · edges) work, 2 · batch · nodes numbers.
#[derive(Module, Debug)]
pub struct History {
    /// w: `[1, ages]`
    own: Param<Tensor<2>>,
    /// d: `[nodes, ages]`
    own_of: Param<Tensor<2>>,
    /// n: `[1, ages]`
    near: Param<Tensor<2>>,
    /// e: `[nodes, ages]`
    near_of: Param<Tensor<2>>,
    /// m: `[1, 1]`
    item: Param<Tensor<2>>,
    /// f: `[items, 1]`, at least one
    item_of: Param<Tensor<2>>,
    #[module(skip)]
    map: Arc<HistoryMap>,
    #[module(skip)]
    matrix: Arc<Csr>,
}

impl History {
    /// A new copy path.
    pub fn new(map: HistoryMap, device: &Device) -> Self {
        let zeros = |rows: usize| Param::from_tensor(Tensor::zeros([rows, AGES], device));
        let items = map.items.len().max(1);
        Self {
            own: Param::from_tensor(Tensor::from_data([OWN], device)),
            own_of: zeros(map.nodes),
            near: zeros(1),
            near_of: zeros(map.nodes),
            item: Param::from_tensor(Tensor::from_data([[ITEM]], device)),
            item_of: Param::from_tensor(Tensor::zeros([items, 1], device)),
            matrix: map.matrix(),
            map: Arc::new(map),
        }
    }

    /// What is added to the logits.
    ///
    /// # Shapes
    /// - output: `[batch, outputs]`
    pub fn forward(&self, batch: &Batch) -> Tensor<2> {
        let lists = self.map.lists(batch);
        let [own_of, own, near_of, near, item_of, item] =
            [&self.own_of, &self.own, &self.near_of, &self.near, &self.item_of, &self.item]
                .map(|parameter| parameter.val().into_dispatch());
        let scores = Dispatch::copy_scores(own_of, own, near_of, near, item_of, item, lists, batch.len());
        let scores = Tensor::from_dispatch(scores); // [2 · nodes + items, batch]
        weighted_sums(self.matrix.clone(), scores).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Ragged, Sets};
    use burn::tensor::TensorData;

    /// Codes 1 to 3 ask for columns 0, none and 1; edges 1 → 3, 2 → 1, 2 → 3 and a loop.
    fn map() -> HistoryMap {
        let graph = Graph::new(4, &[(1, 3, 0.5), (2, 1, 0.25), (2, 3, 0.75), (3, 3, 1.0)]).unwrap();
        // Item 0 is abnormal in three admissions, code 1 is recorded in two of them and code 3 in one; item 1 in none.
        let admissions = [(vec![1, 2], vec![0]), (vec![1, 1], vec![0]), (vec![3], vec![0]), (vec![1, 3], vec![])];
        HistoryMap::new(&[None, Some(0), None, Some(1)], 2, &graph).with_items(2, admissions)
    }

    /// Two patients: visits {1, 2}, {1, 1, 3}; and none.
    fn batch() -> Batch {
        let ragged = |rows: Vec<Vec<u32>>| rows.into_iter().collect::<Ragged<u32>>();
        Batch {
            codes: Sets::new(ragged(vec![vec![1, 2], vec![1, 1, 3]])),
            visits: Sets::new(ragged(vec![vec![0, 1], vec![]])),
            labs: ragged(vec![vec![], vec![0]]),
            visit_labs: Ragged::new(),
            demographics: Vec::new(),
            targets: Vec::new(),
            numbers: Vec::new(),
        }
    }

    fn numbers(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().iter().collect()
    }

    #[test]
    fn sums_are_those_of_the_equation() {
        let device = crate::device::tested().unwrap().device;
        let mut history = History::new(map(), &device);
        // Nothing but what codes say for themselves: code 1 in both visits, code 3 in the last.
        let start = numbers(history.forward(&batch()));
        assert_eq!(start[..2], [STEP * (OWN[0] + OWN[1]), STEP * OWN[0]]);
        // The second patient has nothing but item 0.
        for (ours, part) in start[2..].iter().zip([2.0 / 3.0, 1.0 / 3.0]) {
            assert!((ours - ITEM_STEP * ITEM * part).abs() < 1e-5, "{start:?}");
        }
        // n = (0.1, 0.2, 0): the last visit has 1 → 3 (0.5); the one before 1 → 3, 2 → 1 and 2 → 3.
        history.near = Param::from_tensor(Tensor::from_data([[0.1, 0.2, 0.0]], &device));
        let expected = [start[0] + NEAR_STEP * 0.2 * 0.25, start[1] + NEAR_STEP * (0.1 * 0.5 + 0.2 * (0.5 + 0.75))];
        for (ours, expected) in numbers(history.forward(&batch())).iter().zip(expected) {
            assert!((ours - expected).abs() < 1e-5, "{ours} and {expected}");
        }
    }

    #[test]
    fn gradients_are_finite_differences() {
        let device = crate::device::tested().unwrap().device.autodiff();
        let weights = Tensor::<2>::from_data([[1.0, -2.0], [3.0, 0.5]], &device);
        let random = |rows: usize, from: f32, columns: usize| -> TensorData {
            let values = (0..rows * columns).map(|i| (from + i as f32 * 1.3).sin()).collect::<Vec<f32>>();
            TensorData::new(values, [rows, columns])
        };
        let codes = [random(1, 0.1, AGES), random(4, 0.7, AGES), random(1, 1.9, AGES), random(4, 2.3, AGES)];
        let data: Vec<TensorData> = codes.into_iter().chain([random(1, 0.4, 1), random(2, 0.9, 1)]).collect();
        let with = |data: &[TensorData]| {
            let param = |i: usize| Param::from_tensor(Tensor::from_data(data[i].clone(), &device).require_grad());
            let made = History::new(map(), &device);
            let (item, item_of) = (param(4), param(5));
            History { own: param(0), own_of: param(1), near: param(2), near_of: param(3), item, item_of, ..made }
        };
        let value = |history: &History| (history.forward(&batch()) * weights.clone()).sum();
        let history = with(&data);
        let gradients = value(&history).backward();
        let History { own, own_of, near, near_of, item, item_of, .. } = &history;
        let parameters = [own, own_of, near, near_of, item, item_of];
        let mut moved_ones = 0;
        for (which, parameter) in parameters.into_iter().enumerate() {
            let ours = numbers(parameter.val().grad(&gradients).unwrap());
            for (i, ours) in ours.iter().enumerate() {
                let shifted = |by: f32| {
                    let mut data = data.clone();
                    let mut values: Vec<f32> = data[which].iter().collect();
                    values[i] += by;
                    data[which] = TensorData::new(values, data[which].shape().clone());
                    value(&with(&data)).into_scalar::<f32>()
                };
                let expected = (shifted(0.5) - shifted(-0.5)) / 1.0; // linear: any distance will do
                assert!((ours - expected).abs() < 1e-3, "parameter {which}, number {i}: {ours} and {expected}");
                moved_ones += usize::from(expected != 0.0);
            }
        }
        assert_eq!(moved_ones, 12);
    }
}
