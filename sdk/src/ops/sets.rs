//! Operations over sets of rows of a table, written with plain tensors: sets are padded to the longest one.

use crate::data::Sets;
use burn::nn::Dropout;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Stands for −∞ where a set has no member: its exponential is 0 in 32 bits, and it makes no NaN.
const ABSENT: f32 = -1e30;

/// Sets as a table of row numbers, filled up with row 0, and which entries are real.
#[derive(Debug, Clone)]
pub struct PaddedSets {
    rows: Tensor<1, Int>,
    mask: Vec<f32>,
    sets: usize,
    longest: usize,
    device: Device,
}

impl PaddedSets {
    /// Pads `sets` to the longest.
    pub fn new(sets: &Sets, device: &Device) -> Self {
        let (count, longest) = (sets.len(), sets.longest());
        let (mut rows, mut mask) = (vec![0i32; count * longest], vec![0f32; count * longest]);
        for (i, members) in sets.members().rows().enumerate() {
            for (j, &row) in members.iter().enumerate() {
                (rows[i * longest + j], mask[i * longest + j]) = (row as i32, 1.0);
            }
        }
        let device = device.clone().without_autodiff();
        let rows = Tensor::from_data(TensorData::new(rows, [count * longest]), &device);
        Self { rows, mask, sets: count, longest, device }
    }

    /// Number of sets.
    pub fn len(&self) -> usize {
        self.sets
    }

    /// Whether there are no sets.
    pub fn is_empty(&self) -> bool {
        self.sets == 0
    }

    /// Length of the longest set. When it is 0 there is nothing to gather.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The members of every set; where a set is shorter, row 0.
    ///
    /// # Shapes
    /// - `table`: `[rows, d]`
    /// - output: `[sets, longest, d]`
    pub fn gather(&self, table: Tensor<2>) -> Tensor<3> {
        let [_, d] = table.dims();
        table.select(0, self.rows.clone()).reshape([self.sets, self.longest, d])
    }

    /// 1 for members, 0 for padding; a constant.
    ///
    /// # Shapes
    /// - output: `[sets, longest, 1]`
    pub fn mask(&self) -> Tensor<3> {
        self.constant(self.mask.clone())
    }

    /// 0 for members, a very low number for padding, to be added to scores before a softmax.
    ///
    /// # Shapes
    /// - output: `[sets, longest, 1]`
    pub fn score_mask(&self) -> Tensor<3> {
        self.constant(self.mask.iter().map(|&m| if m > 0.0 { 0.0 } else { ABSENT }).collect())
    }

    fn constant(&self, values: Vec<f32>) -> Tensor<3> {
        Tensor::from_data(TensorData::new(values, [self.sets, self.longest, 1]), &self.device)
    }

    /// Softmax over the members of each set, separately for every channel. Padding and empty sets get 0.
    ///
    /// # Shapes
    /// - `scores`: `[sets, longest, channels]`
    /// - output: `[sets, longest, channels]`
    pub fn softmax(&self, scores: Tensor<3>) -> Tensor<3> {
        // The product is for empty sets, whose softmax over padding alone is uniform.
        softmax(scores + self.score_mask(), 1) * self.mask()
    }
}

/// Per-channel softmax over the members of each set, and the weighted sum of the members:
///
/// output_s = Σ_{m ∈ s} dropout(softmax_{m ∈ s}(scores_m)) ∘ values_m.
///
/// Repeats in a set count; an empty set gives the zero vector.
///
/// # Shapes
/// - `scores`: `[rows, d]`, or `[rows, 1]` for the same weights in every channel
/// - `values`: `[rows, d]`; `sets` points into the rows of both
/// - output: `[sets.len(), d]`
pub fn softmax_pool(scores: Tensor<2>, values: Tensor<2>, sets: &Sets, dropout: &Dropout) -> Tensor<2> {
    let [_, d] = values.dims();
    let padded = PaddedSets::new(sets, &values.device());
    if padded.longest() == 0 {
        return Tensor::zeros([sets.len(), d], &values.device());
    }
    let weights = dropout.forward(padded.softmax(padded.gather(scores))); // [sets, longest, d or 1]
    (weights * padded.gather(values)).sum_dim(1).squeeze_dim(1) // [sets, d]
}

/// How [`pool`] joins the members of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
}

/// Sum or mean of the members of each set. Repeats count; an empty set gives the zero vector.
///
/// # Shapes
/// - `values`: `[rows, d]`; `sets` points into its rows
/// - output: `[sets.len(), d]`
pub fn pool(values: Tensor<2>, sets: &Sets, pooling: Pooling) -> Tensor<2> {
    let [_, d] = values.dims();
    let padded = PaddedSets::new(sets, &values.device());
    if padded.longest() == 0 {
        return Tensor::zeros([sets.len(), d], &values.device());
    }
    let sums = (padded.gather(values) * padded.mask()).sum_dim(1).squeeze_dim(1); // [sets, d]
    match pooling {
        Pooling::Sum => sums,
        Pooling::Mean => {
            let lengths: Vec<f32> = sets.members().rows().map(|m| m.len().max(1) as f32).collect();
            sums / Tensor::from_data(TensorData::new(lengths, [sets.len(), 1]), &padded.device)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::DropoutConfig;

    fn sets(members: &[&[u32]]) -> Sets {
        Sets::new(members.iter().map(|m| m.iter().copied()).collect())
    }

    fn table(values: &[f32], columns: usize, device: &Device) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values.to_vec(), [values.len() / columns, columns]), device)
    }

    fn close(ours: Tensor<2>, expected: &[f32]) {
        let ours: Vec<f32> = ours.into_data().iter::<f32>().collect();
        assert_eq!(ours.len(), expected.len());
        for (a, b) in ours.iter().zip(expected) {
            assert!((a - b).abs() < 1e-5, "{ours:?} is not {expected:?}");
        }
    }

    fn naive(scores: &[f32], values: &[f32], d: usize, sets: &Sets) -> Vec<f32> {
        let mut out = Vec::new();
        for members in sets.members().rows() {
            for c in 0..d {
                let at = |table: &[f32], m: u32| table[m as usize * d + c];
                let total: f32 = members.iter().map(|&m| at(scores, m).exp()).sum();
                out.push(members.iter().map(|&m| at(scores, m).exp() / total * at(values, m)).sum());
            }
        }
        out
    }

    const SCORES: [f32; 8] = [0.5, -1.0, 2.0, 0.0, -0.3, 4.0, 1.5, -2.0];
    const VALUES: [f32; 8] = [1.0, -2.0, 3.0, 0.5, -1.0, 0.25, 7.0, -6.0];

    #[test]
    fn softmax_pool_agrees_with_the_equation() {
        let device = Device::flex();
        let off = DropoutConfig::new(0.0).init();
        let lists: [&[&[u32]]; 4] = [&[&[0, 1, 2], &[], &[3], &[2, 2, 1]], &[&[1]], &[&[], &[]], &[]];
        for sets in lists.map(sets) {
            let ours = softmax_pool(table(&SCORES, 2, &device), table(&VALUES, 2, &device), &sets, &off);
            assert_eq!(ours.dims(), [sets.len(), 2]);
            close(ours, &naive(&SCORES, &VALUES, 2, &sets));
        }
    }

    #[test]
    fn an_empty_table_has_only_empty_sets() {
        let device = Device::flex().autodiff();
        let off = DropoutConfig::new(0.0).init();
        let empty = Tensor::<2>::zeros([0, 2], &device);
        close(softmax_pool(empty.clone(), empty.clone(), &sets(&[&[], &[]]), &off), &[0.0; 4]);
        close(pool(empty, &sets(&[&[]]), Pooling::Mean), &[0.0; 2]);
    }

    #[test]
    fn gradients_reach_members_alone() {
        let device = Device::flex().autodiff();
        let off = DropoutConfig::new(0.0).init();
        let values = table(&VALUES, 2, &device).require_grad();
        let scores = table(&[0.0; 8], 2, &device);
        let out = softmax_pool(scores, values.clone(), &sets(&[&[1, 2], &[], &[2, 2, 2]]), &off);
        close(values.grad(&out.sum().backward()).unwrap(), &[0.0, 0.0, 0.5, 0.5, 1.5, 1.5, 0.0, 0.0]);
    }

    #[test]
    fn pool_counts_repeats() {
        let device = Device::flex();
        let sets = sets(&[&[0, 3, 3], &[], &[2]]);
        let values = table(&VALUES, 2, &device);
        close(pool(values.clone(), &sets, Pooling::Sum), &[15.0, -14.0, 0.0, 0.0, -1.0, 0.25]);
        close(pool(values, &sets, Pooling::Mean), &[5.0, -14.0 / 3.0, 0.0, 0.0, -1.0, 0.25]);
    }
}
