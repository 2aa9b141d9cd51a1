//! Splits and vocabularies of a cohort.

use crate::support::config;
use dualk_sdk::data::{SplitOptions, prepare};
use dualk_sdk::prelude::*;
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert_eq, proptest};
use std::collections::BTreeSet;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn patients_are_split_without_rest_and_codes_numbered_once(
        visits in vec(vec(vec(0..30u32, 1..5), 1..4), 4..40), train in 0.1f64..0.8, valid in 0.0f64..0.2, seed in any::<u32>(),
    ) {
        let Some(data) = prepared(&visits, train, valid, seed) else { return Ok(()) };
        let splits = &data.splits;
        let parts: Vec<usize> = [&splits.train, &splits.valid, &splits.test].into_iter().flatten().copied().collect();
        let again: BTreeSet<usize> = parts.iter().copied().collect();
        prop_assert_eq!(again.len(), parts.len(), "a patient is in two splits");
        let several: BTreeSet<usize> = (0..data.cohort.patients.len()).filter(|&p| data.cohort.visits(p) > 1).collect();
        prop_assert_eq!(again, several, "those of several visits, and no others");
        // Numbers of codes name the codes of the cohort, whatever the split.
        let codes = &data.vocabulary.codes[1..];
        prop_assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len());
        for (row, numbered) in data.cohort.codes.rows().zip(data.vocabulary.admission_codes.rows()) {
            let names: BTreeSet<&str> = row.iter().map(|&c| data.cohort.code_names[c as usize].as_str()).collect();
            let known: BTreeSet<&str> = codes.iter().map(String::as_str).collect();
            let ours: BTreeSet<&str> = numbered.iter().filter(|&&c| c > 0).map(|&c| data.vocabulary.codes[c as usize].as_str()).collect();
            prop_assert_eq!(ours, names.intersection(&known).copied().collect::<BTreeSet<_>>());
        }
        // The rows of the cohort are those that were given, in any split.
        let given: Vec<usize> = visits.iter().map(Vec::len).collect();
        let found: Vec<usize> = (0..data.cohort.patients.len()).map(|p| data.cohort.visits(p)).collect();
        prop_assert_eq!(found, given);
    }
}

/// A cohort with these codes by patient and visit, prepared; `None` where there are too few patients to divide.
fn prepared(visits: &[Vec<Vec<u32>>], train: f64, valid: f64, seed: u32) -> Option<Dataset> {
    let names: Vec<String> = (0..30).map(|c| format!("{}.{}", 400 + c / 3, c % 3)).collect();
    let mut cohort = Cohort { code_names: names, ..Cohort::default() };
    let mut admission = 0;
    for (p, patient) in visits.iter().enumerate() {
        cohort.patients.push(p as i64);
        cohort.admissions.push(
            patient
                .iter()
                .map(|_| {
                    admission += 1;
                    admission
                })
                .collect::<Vec<i64>>(),
        );
        for codes in patient {
            let mut seen = BTreeSet::new();
            cohort.codes.push(codes.iter().copied().filter(|c| seen.insert(*c)).collect::<Vec<_>>());
            cohort.labs.push([]);
        }
    }
    cohort.validate().unwrap();
    prepare(cohort, &SplitOptions::Random { train, valid, test: 1.0 - train - valid, seed }).ok()
}
