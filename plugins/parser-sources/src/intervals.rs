//! Which results are abnormal in a source that says it of none.

use dualk_sdk::schemars::JsonSchema;
use dualk_sdk::serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::Hash;

/// How abnormal results are found where the source has neither flags nor reference ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum Abnormal {
    /// A result outside the central 95 % of all results of the item in the same unit, as a reference interval is defined
    /// (CLSI EP28), though over patients instead of healthy people. Items with fewer than 120 results have none, the
    /// number that the guideline asks for.
    #[default]
    Interval,
    /// No laboratory items.
    None,
}

/// Results that an interval is made from at least.
const FEWEST: usize = 120;
/// Part of the results below the interval, and above it.
const TAIL: f64 = 0.025;

/// The results of every item.
pub struct Results<K> {
    values: HashMap<K, Vec<f32>>,
}

impl<K: Hash + Eq> Default for Results<K> {
    fn default() -> Self {
        Self { values: HashMap::new() }
    }
}

impl<K: Hash + Eq> Results<K> {
    /// Adds a result; what is no number does not count.
    pub fn add(&mut self, item: K, value: f32) {
        if value.is_finite() {
            self.values.entry(item).or_default().push(value);
        }
    }

    /// The results of each item.
    pub fn into_values(self) -> impl Iterator<Item = (K, Vec<f32>)> {
        self.values.into_iter()
    }

    /// Lowest and highest normal result of the items that have enough: the k-th smallest and largest, k = ⌈n · 0.025⌉.
    pub fn intervals(self) -> HashMap<K, (f32, f32)> {
        let enough = self.values.into_iter().filter(|(_, values)| values.len() >= FEWEST);
        let of = |(item, mut values): (K, Vec<f32>)| {
            let outside = (values.len() as f64 * TAIL).ceil() as usize;
            let last = values.len() - 1;
            let low = *values.select_nth_unstable_by(outside, f32::total_cmp).1;
            let high = *values.select_nth_unstable_by(last - outside, f32::total_cmp).1;
            (item, (low, high))
        };
        enough.map(of).collect()
    }
}

/// The values at which sorted results are cut into `parts` of the same size: the k-th cut is the ⌈n·k/parts⌉-th smallest, so
/// that a result belongs to the first part whose cut is not below it. Cuts that are equal are kept.
pub fn quantile(mut values: Vec<f32>, parts: usize) -> Vec<f32> {
    values.sort_unstable_by(f32::total_cmp);
    let cut = |k: usize| values.get((values.len() * k).div_ceil(parts).saturating_sub(1)).copied();
    (1..parts).filter_map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_the_same_size() {
        // numpy.quantile(range(1, 11), [0.25, 0.5, 0.75], method="inverted_cdf")
        assert_eq!(quantile((1..=10).rev().map(|v| v as f32).collect(), 4), [3.0, 5.0, 8.0]);
        assert_eq!(quantile(vec![2.0, 2.0, 2.0], 2), [2.0]);
        assert!(quantile(vec![], 3).is_empty());
    }

    #[test]
    fn the_central_part_is_normal() {
        let mut results = Results::default();
        // 0 … 199 in a scrambled order: 5 are below the interval and 5 above.
        (0..200).for_each(|i| results.add("a", (i * 77 % 200) as f32));
        (0..119).for_each(|i| results.add("few", i as f32));
        results.add("a", f32::NAN);
        let intervals = results.intervals();
        assert_eq!(intervals.get("a"), Some(&(5.0, 194.0)));
        assert_eq!(intervals.get("few"), None);
    }
}
