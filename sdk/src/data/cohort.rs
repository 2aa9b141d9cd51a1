//! What every parser yields: patients, their admissions in time order, codes and abnormal labs.

use super::Ragged;
use std::collections::HashMap;

/// A laboratory item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabItem {
    /// Identifier in the source table.
    pub id: i64,
    /// Index into [`Cohort::lab_categories`]; `None` when the item belongs to none of them.
    pub category: Option<u8>,
}

/// Patients with their admissions, codes and abnormal laboratory items.
///
/// Rows of [`Cohort::codes`] and [`Cohort::labs`] are admissions; the admissions of patient `p` are the rows
/// `admissions.range(p)`, in time order. Parsers have already dropped patients that have an admission without codes
/// (*calibration*), so that every admission has at least one code.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cohort {
    /// Patient identifiers, in the order of the source.
    pub patients: Vec<i64>,
    /// Admission identifiers of each patient, in time order.
    pub admissions: Ragged<i64>,
    /// Per admission, indices into [`Cohort::code_names`] in the order of the source, repeats kept.
    pub codes: Ragged<u32>,
    /// Code texts, in order of first appearance.
    pub code_names: Vec<String>,
    /// Per admission, the set of abnormal items as ascending indices into [`Cohort::lab_items`].
    pub labs: Ragged<u32>,
    /// Laboratory items, ascending by identifier.
    pub lab_items: Vec<LabItem>,
    /// Names of the laboratory categories, such as `hematology`; each gets a pretraining decoder.
    pub lab_categories: Vec<String>,
    /// What was dropped or repaired while reading, as (what, how many), for the log.
    pub notes: Vec<(String, u64)>,
}

impl Cohort {
    /// From patients with their admissions in time order, and the codes of each admission as indices into `names`, for
    /// parsers. Patients that have an admission without codes are left out, as published; so are codes that nobody is
    /// left with. Returns how many patients were left out too. There are no laboratory items yet.
    pub fn of_admissions(
        patients: Vec<(i64, Vec<i64>)>,
        codes: &HashMap<i64, Vec<u32>>,
        names: &[String],
    ) -> (Self, u64) {
        let (mut cohort, mut left_out) = (Self::default(), 0);
        let mut numbers = vec![None; names.len()];
        for (patient, admissions) in patients {
            if !admissions.iter().all(|admission| codes.get(admission).is_some_and(|codes| !codes.is_empty())) {
                left_out += 1;
                continue;
            }
            for admission in &admissions {
                let code_names = &mut cohort.code_names;
                cohort.codes.push(codes[admission].iter().map(|&code| {
                    *numbers[code as usize].get_or_insert_with(|| {
                        code_names.push(names[code as usize].clone());
                        code_names.len() as u32 - 1
                    })
                }));
                cohort.labs.push([]);
            }
            cohort.patients.push(patient);
            cohort.admissions.push(admissions);
        }
        (cohort, left_out)
    }

    /// Sets the abnormal laboratory items: for each admission, in the cohort's order, the keys of its items; `item` gives
    /// identifier and category of a key. Only items that are abnormal somewhere become items of the cohort.
    pub fn set_labs<K: Ord + Copy>(&mut self, mut sets: Vec<Vec<K>>, item: impl Fn(K) -> LabItem) {
        let mut keys: Vec<K> = sets.iter().flatten().copied().collect();
        keys.sort_unstable();
        keys.dedup();
        let rank = |key: K| keys.partition_point(|&k| k < key) as u32;
        for set in &mut sets {
            set.sort_unstable();
            set.dedup();
        }
        self.labs = sets.into_iter().map(|set| set.into_iter().map(rank).collect::<Vec<_>>()).collect();
        self.lab_items = keys.into_iter().map(item).collect();
    }

    /// Number of admissions of patient `p`.
    pub fn visits(&self, p: usize) -> usize {
        self.admissions.range(p).len()
    }

    /// Checks the invariants that the rest of the SDK relies on; for parser authors and tests.
    pub fn validate(&self) -> crate::Result<()> {
        let rows = self.admissions.values().len();
        let fail =
            |what: &str| Err(crate::Error::program(format!("the parser returned an inconsistent cohort: {what}")));
        if self.patients.len() != self.admissions.len() {
            return fail("patients and rows of admissions differ in number");
        }
        let twice = |identifiers: &[i64]| {
            let mut seen = std::collections::HashSet::with_capacity(identifiers.len());
            !identifiers.iter().all(|identifier| seen.insert(*identifier))
        };
        if twice(&self.patients) {
            return fail("a patient occurs twice");
        }
        if twice(self.admissions.values()) {
            return fail("an admission occurs twice");
        }
        if self.codes.len() != rows || self.labs.len() != rows {
            return fail("codes and labs need one row per admission");
        }
        if self.codes.values().iter().any(|&c| c as usize >= self.code_names.len()) {
            return fail("a code index is out of range");
        }
        if self.labs.values().iter().any(|&l| l as usize >= self.lab_items.len()) {
            return fail("a lab index is out of range");
        }
        let categories = self.lab_categories.len();
        if self.lab_items.iter().any(|i| i.category.is_some_and(|c| c as usize >= categories)) {
            return fail("a lab category is out of range");
        }
        if self.codes.rows().any(<[u32]>::is_empty) {
            return fail("an admission has no codes");
        }
        Ok(())
    }
}
