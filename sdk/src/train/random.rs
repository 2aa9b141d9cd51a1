//! Seeds and orders that depend on the manifest's seed alone.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// A seed for one purpose, from the experiment's seed and the numbers that name the purpose.
pub fn derive_seed(seed: u64, purpose: &[u64]) -> u64 {
    purpose.iter().fold(mix(seed), |state, &n| mix(state ^ mix(n)))
}

/// `0..n` in an order that depends on `seed` alone.
pub fn shuffled(n: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    order
}

/// SplitMix64 (Steele, Lea and Flood 2014).
fn mix(x: u64) -> u64 {
    let z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
