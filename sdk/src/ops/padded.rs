//! Sets padded to the longest one, for operations along a sequence that no kernel covers.

use super::Csr;
use super::Sets;
use super::product::product;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;

/// Stands for −∞ where a set has no member: its exponential is 0 in 32 bits, and it makes no NaN.
const ABSENT: f32 = -1e30;

/// Sets as a table of members, each set filled up to the longest.
#[derive(Debug, Clone)]
pub struct PaddedSets {
    /// One list a place: a member, or nothing.
    places: Arc<Csr>,
    mask: Vec<f32>,
    sets: usize,
    longest: usize,
    device: Device,
}

impl PaddedSets {
    /// Pads `sets` to the longest.
    pub fn new(sets: &Sets, device: &Device) -> Self {
        let (count, longest) = (sets.len(), sets.longest());
        let mut mask = vec![0f32; count * longest];
        let mut offsets = vec![0u32];
        for (i, members) in sets.members().rows().enumerate() {
            mask[i * longest..][..members.len()].fill(1.0);
            let start = sets.members().offsets()[i];
            offsets.extend((1..=longest).map(|j| (start + j.min(members.len())) as u32));
        }
        let places = Csr::new(offsets, sets.members().values().to_vec(), None);
        Self { places, mask, sets: count, longest, device: device.clone().without_autodiff() }
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

    /// The members of every set; zeros where a set is shorter.
    ///
    /// # Shapes
    /// - `table`: `[rows, d]`
    /// - output: `[sets, longest, d]`
    pub fn gather(&self, table: Tensor<2>) -> Tensor<3> {
        let [_, d] = table.dims();
        product(self.places.clone(), table, self.sets * self.longest).reshape([self.sets, self.longest, d])
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
