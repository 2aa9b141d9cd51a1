//! What published tasks ask, as functions of the data: which codes and which patients.

use dualk_sdk::data::codes::CodeList;
use dualk_sdk::data::legacy_random::RandomState;
use dualk_sdk::prelude::*;
use std::collections::HashSet;

/// Seed of the published shuffle of single-visit patients.
pub const LAB_SHUFFLE_SEED: u32 = 66;
/// Fraction of the single-visit patients that the published lab layer trains on.
pub const LAB_TRAIN_FRACTION: f64 = 0.85;
/// Codes that occur in at most this many last visits are rare.
pub const RARE_THRESHOLD: u64 = 3;
/// The family of ICD-9 whose codes are heart failure.
const HEART_FAILURE: &str = "428";

/// Whether a dotted code is one of heart failure. Other systems have numbers that begin with the same digits.
pub(crate) fn is_heart_failure(code: &str) -> bool {
    code.strip_prefix(HEART_FAILURE).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// For each patient column 0 when a code of the last visit says heart failure.
pub fn heart_failure(data: &Dataset, patients: &[usize]) -> Ragged<u32> {
    let is = |&c: &u32| is_heart_failure(&data.vocabulary.codes[c as usize]);
    let label = |&p: &usize| data.vocabulary.admission_codes.row(data.last_visit(p)).iter().any(is).then_some(0);
    patients.iter().map(label).collect()
}

/// Codes that are labels of `least..=most` training patients; when these are more than `number`, so many of them
/// as `numpy.random.RandomState(seed).choice` draws them, in that order.
pub fn rare_train_codes(data: &Dataset, least: u64, most: u64, number: usize, seed: u32) -> Vec<u32> {
    let counts = data.label_counts(&data.splits.train);
    let fits: Vec<u32> = (0..counts.len() as u32).filter(|&c| (least..=most).contains(&counts[c as usize])).collect();
    if fits.len() <= number {
        return fits;
    }
    let order = RandomState::new(seed).permutation(fits.len());
    order[..number].iter().map(|&i| fits[i]).collect()
}

/// Codes to predict that `chronic` does not hold.
pub fn codes_outside(data: &Dataset, chronic: &CodeList) -> Vec<u32> {
    let code = |&c: &u32| !chronic.contains(&data.vocabulary.codes[c as usize + 1]);
    (0..data.vocabulary.target_codes as u32).filter(code).collect()
}

/// Single-visit patients who are learnt from, shuffled, then cut into those to train the lab layer on and the others.
pub fn single_visit_splits(data: &Dataset, seed: u32, train: f64) -> (Vec<usize>, Vec<usize>) {
    let learnt: HashSet<usize> = data.splits.pretrain.iter().copied().collect();
    let single: Vec<usize> = data.splits.single.iter().copied().filter(|p| learnt.contains(p)).collect();
    let mut shuffled: Vec<usize> =
        RandomState::new(seed).permutation(single.len()).iter().map(|&i| single[i]).collect();
    let rest = shuffled.split_off((train * single.len() as f64) as usize);
    (shuffled, rest)
}
