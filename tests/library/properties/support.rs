//! What the properties share: how many cases, numbers as tensors, and when numbers are near.

use dualk_sdk::prelude::*;
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy};

/// As many cases as `PROPTEST_CASES` says, or 100.
pub fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Edges of a graph: nodes, and (source, target, weight), repeats and loops among them.
pub fn edges() -> impl Strategy<Value = (usize, Vec<(u32, u32, f32)>)> {
    (1..9usize).prop_flat_map(|n| (Just(n), vec((0..n as u32, 0..n as u32, 0.1f32..2.0), 0..30)))
}

pub fn numbers(count: usize) -> impl Strategy<Value = Vec<f32>> {
    vec(-2f32..2.0, count)
}

pub fn tensor(values: &[f32], columns: usize) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len() / columns.max(1), columns]), &Device::flex())
}

pub fn values(tensor: Tensor<2>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

pub fn all_near(ours: &[f64], plain: &[f64], tolerance: f64) -> bool {
    ours.len() == plain.len() && ours.iter().zip(plain).all(|(a, b)| (a - b).abs() <= tolerance * b.abs().max(1.0))
}
