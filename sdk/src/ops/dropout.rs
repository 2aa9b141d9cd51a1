//! Dropout without a mask in memory: whether a number is dropped follows from a seed and its place, the same on every
//! device and in the backward pass.

use super::kernels::Kernels;
use crate::device::generator;
use burn::backend::Dispatch;
use burn::nn::Dropout;
use burn::tensor::{Device, Tensor};

/// Dropout as [`Dropout::forward`] has it, in one pass over memory and without a mask: the backward pass drops the same
/// places again. Which ones follows from one number: on the CPU drawn on the device, where `device.seed` decides it, and for
/// other devices on the host, from the seed of the stage.
///
/// # Shapes
/// - output: that of `values`
pub fn dropout<const D: usize>(values: Tensor<D>, dropout: &Dropout) -> Tensor<D> {
    let dropped = active(dropout, &values.device());
    if dropped == Dropped::NOTHING || values.shape().num_elements() == 0 {
        return values;
    }
    Tensor::from_dispatch(Dispatch::dropout(values.into_dispatch(), dropped))
}

/// What is dropped this time; nothing outside training.
pub(super) fn active(dropout: &Dropout, device: &Device) -> Dropped {
    match dropout.training.is_enabled() && device.is_autodiff() && dropout.prob > 0.0 {
        true => Dropped::new(generator::draw(device), dropout.prob as f32),
        false => Dropped::NOTHING,
    }
}

/// Which weights are dropped, and by what the others grow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropped {
    /// Mixed into every place.
    pub key: u32,
    /// Places whose hash, of 24 bits, is below are dropped.
    pub threshold: u32,
    /// 1 / (1 − probability).
    pub scale: f32,
}

impl Dropped {
    /// No place at all.
    pub(super) const NOTHING: Self = Self { key: 0, threshold: 0, scale: 1.0 };

    /// Drops the part `probability`, in 0..1, of all places.
    pub(super) fn new(seed: u32, probability: f32) -> Self {
        let threshold = (probability * 16_777_216.0) as u32;
        Self { key: hash(seed ^ 0x9e37_79b9), threshold, scale: 1.0 / (1.0 - probability) }
    }

    /// 0 for a dropped place, 1 / (1 − probability) for the others.
    #[inline(always)]
    pub(super) fn factor(&self, place: u32) -> f32 {
        if hash(place ^ self.key) >> 8 < self.threshold { 0.0 } else { self.scale }
    }
}

/// Mixes 32 bits (C. Wellons' `lowbias32`).
#[inline(always)]
fn hash(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_dropped_is_the_probability() {
        for (seed, p) in [(1, 0.2f32), (2, 0.5), (16_000_000, 0.9), (3, 0.0)] {
            let dropped = Dropped::new(seed, p);
            let n = 1_000_000;
            let zeros = (0..n).filter(|&i| dropped.factor(i) == 0.0).count() as f64 / n as f64;
            assert!((zeros - p as f64).abs() < 2e-3, "{zeros} instead of {p}");
            let mean = (0..n).map(|i| dropped.factor(i) as f64).sum::<f64>() / n as f64;
            assert!((mean - 1.0).abs() < 1e-2);
        }
    }

    #[test]
    fn seeds_drop_different_places() {
        let zeros = |seed| (0..4096).map(|i| Dropped::new(seed, 0.5).factor(i) == 0.0).collect::<Vec<_>>();
        let same = zeros(1).iter().zip(zeros(2)).filter(|(a, b)| **a == *b).count();
        assert!((1800..2300).contains(&same), "{same} of 4096 places agree");
    }
}
