//! What a run was trained and tested on, so that runs on other patients are not compared with it: `data.json`.

use super::run_dir::RunDir;
use crate::data::{Dataset, Ragged};
use crate::storage::hex;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;

const FILE: &str = "data.json";

/// Digests of cohort and split, and their sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Digest of patients, admissions, codes and laboratory items, in their order.
    pub cohort: String,
    /// Digest of the patients of each split, in their order.
    pub split: String,
    /// Number of patients.
    pub patients: usize,
    /// Number of admissions.
    pub admissions: usize,
    /// Number of patients to pretrain on.
    pub pretrain: usize,
    /// Number of patients to train on.
    pub train: usize,
    /// Number of patients to choose the epoch on.
    pub valid: usize,
    /// Number of patients to report on.
    pub test: usize,
}

impl Fingerprint {
    /// The fingerprint of the dataset that stages learn from.
    pub fn of(data: &Dataset) -> Self {
        let (cohort, splits) = (&data.cohort, &data.splits);
        let mut digest = Sha256::new();
        texts(&mut digest, cohort.patients.iter().map(ToString::to_string));
        ragged(&mut digest, &cohort.admissions, |&id| id as u64);
        ragged(&mut digest, &cohort.codes, |&c| u64::from(c));
        texts(&mut digest, cohort.code_names.iter().cloned());
        ragged(&mut digest, &cohort.labs, |&l| u64::from(l));
        numbers(&mut digest, cohort.lab_items.iter().map(|item| item.id as u64));
        let cohort_digest = hex(&digest.finalize());
        let mut digest = Sha256::new();
        for split in [&splits.pretrain, &splits.train, &splits.valid, &splits.test] {
            texts(&mut digest, split.iter().map(|&p| cohort.patients[p].to_string()));
        }
        Self {
            cohort: cohort_digest,
            split: hex(&digest.finalize()),
            patients: cohort.patients.len(),
            admissions: cohort.admissions.values().len(),
            pretrain: splits.pretrain.len(),
            train: splits.train.len(),
            valid: splits.valid.len(),
            test: splits.test.len(),
        }
    }

    /// The part of it in the identity of a run.
    pub(super) fn prepared(&self) -> Value {
        json!({ "cohort": self.cohort, "split": self.split })
    }

    /// The fingerprint of a run; `None` where an older version wrote none.
    pub fn read(run: &RunDir) -> Result<Option<Self>> {
        let file = run.file(FILE);
        match fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|e| Error::user(format!("this is not what `dualk run` writes: {e}")).at_file(file)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("read", file, e)),
        }
    }

    /// Writes it to a run.
    pub fn write(&self, run: &RunDir) -> Result<()> {
        run.write_json(FILE, self)
    }

    /// The beginnings of both digests.
    pub(super) fn digests_text(&self) -> String {
        format!("cohort {}, split {}", short(&self.cohort, 12), short(&self.split, 12))
    }

    /// The cohort in a few words.
    pub fn cohort_text(&self) -> String {
        format!("{} patients with {} admissions ({})", self.patients, self.admissions, short(&self.cohort, 8))
    }

    /// The split in a few words.
    pub fn split_text(&self) -> String {
        let Self { train, valid, test, .. } = self;
        format!("{train} train, {valid} valid, {test} test ({})", short(&self.split, 8))
    }
}

/// The first digits of a digest; all of what has fewer.
fn short(digest: &str, digits: usize) -> &str {
    digest.char_indices().nth(digits).map_or(digest, |(end, _)| &digest[..end])
}

fn numbers(digest: &mut Sha256, values: impl ExactSizeIterator<Item = u64>) {
    digest.update((values.len() as u64).to_le_bytes());
    values.for_each(|v| digest.update(v.to_le_bytes()));
}

fn texts(digest: &mut Sha256, values: impl ExactSizeIterator<Item = String>) {
    digest.update((values.len() as u64).to_le_bytes());
    for text in values {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text.as_bytes());
    }
}

fn ragged<T>(digest: &mut Sha256, rows: &Ragged<T>, number: impl Fn(&T) -> u64) {
    numbers(digest, rows.rows().map(|row| row.len() as u64));
    numbers(digest, rows.values().iter().map(number));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They ended comparisons and reports with a panic.
    #[test]
    fn digests_that_are_short_or_no_digits_are_shown_as_they_are() {
        let (patients, admissions, pretrain, train, valid, test) = (9, 20, 0, 3, 3, 3);
        let of = |cohort: &str, split: &str| {
            let (cohort, split) = (cohort.to_owned(), split.to_owned());
            Fingerprint { cohort, split, patients, admissions, pretrain, train, valid, test }
        };
        let texts = |print: &Fingerprint| [print.cohort_text(), print.split_text(), print.digests_text()];
        let short = of("ab", "ééééééééé");
        let expected =
            ["9 patients with 20 admissions (ab)", "3 train, 3 valid, 3 test (éééééééé)", "cohort ab, split ééééééééé"];
        assert_eq!(texts(&short), expected);
        let long = of("0123456789abcdef", "fedcba9876543210");
        let expected = [
            "9 patients with 20 admissions (01234567)",
            "3 train, 3 valid, 3 test (fedcba98)",
            "cohort 0123456789ab, split fedcba987654",
        ];
        assert_eq!(texts(&long), expected);
    }
}
