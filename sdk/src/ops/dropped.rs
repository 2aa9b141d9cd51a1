//! What dropout drops: whether a number goes follows from a seed and its place, the same on every device and in the backward
//! pass.

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
