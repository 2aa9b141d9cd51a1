//! Which patients serve for what.

use super::legacy_random::{PySet, RandomState};
use super::{Cohort, Split, Vocabulary};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How patients are divided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "serde", tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum SplitOptions {
    /// The published split, bit for bit: training patients first cover every code, then are drawn at random.
    Dualk {
        /// Number of multi-visit patients to train on.
        train: usize,
        /// Number of multi-visit patients to report on; those left over are for choosing the epoch.
        test: usize,
        /// Seed of NumPy's legacy generator.
        #[serde(default = "default_seed")]
        seed: u32,
    },
    /// Multi-visit patients at random; the parts sum to 1.
    Random {
        /// Part of them to train on.
        #[serde(default = "default_train")]
        train: f64,
        /// Part of them to choose the epoch on.
        #[serde(default = "default_held_out")]
        valid: f64,
        /// Part of them to report on.
        #[serde(default = "default_held_out")]
        test: f64,
        /// Seed of the shuffle.
        #[serde(default = "default_seed")]
        seed: u32,
    },
}

fn default_seed() -> u32 {
    42
}

fn default_train() -> f64 {
    0.8
}

fn default_held_out() -> f64 {
    0.1
}

impl Default for SplitOptions {
    fn default() -> Self {
        let (train, valid, test, seed) = (default_train(), default_held_out(), default_held_out(), default_seed());
        Self::Random { train, valid, test, seed }
    }
}

impl SplitOptions {
    /// Checks what can be known without the cohort.
    pub fn check(&self) -> Result<()> {
        match *self {
            Self::Dualk { train, .. } => crate::options::at_least("train", train, 1).map(drop),
            Self::Random { train, valid, test, .. } => {
                for (key, part) in [("train", train), ("valid", valid), ("test", test)] {
                    if !(0.0..=1.0).contains(&part) {
                        return Err(Error::user(format!("expected a part in [0, 1], found {part}")).at_key(key));
                    }
                }
                let sum = train + valid + test;
                if (sum - 1.0).abs() > 1e-6 {
                    let message = format!("train, valid and test must sum to 1, not {sum}");
                    return Err(Error::user(message).at_key("train"));
                }
                match train > 0.0 {
                    true => Ok(()),
                    false => Err(Error::user("nothing is left to train on").at_key("train")),
                }
            }
        }
    }
}

/// Divides the patients of `cohort`.
///
/// # Errors
/// When the options ask for more patients than there are; manifest keys are relative to the split's table.
pub fn split(options: &SplitOptions, cohort: &Cohort, vocabulary: &Vocabulary) -> Result<Split> {
    options.check()?;
    let (single, multi): (Vec<usize>, Vec<usize>) = (0..cohort.patients.len()).partition(|&p| cohort.visits(p) == 1);
    if multi.is_empty() {
        let message =
            format!("none of the {} patients has two admissions: there is no next visit to predict", single.len());
        return Err(Error::user(message).at_key("type"));
    }
    let (train, valid, test) = match *options {
        SplitOptions::Dualk { train, test, seed } => published(cohort, vocabulary, &multi, train, test, seed)?,
        SplitOptions::Random { valid, test, seed, .. } => random(&multi, valid, test, seed)?,
    };
    let pretrain = single.iter().chain(&train).copied().collect();
    Ok(Split { single, pretrain, train, valid, test })
}

type Parts = (Vec<usize>, Vec<usize>, Vec<usize>);

fn published(
    cohort: &Cohort,
    vocabulary: &Vocabulary,
    multi: &[usize],
    train_num: usize,
    test_num: usize,
    seed: u32,
) -> Result<Parts> {
    let common = common_patients(cohort, vocabulary, multi);
    let Some(valid_num) = train_num.checked_add(test_num).and_then(|n| multi.len().checked_sub(n)) else {
        let message = format!(
            "train = {train_num} and test = {test_num} ask for more than the {} patients with two or more admissions",
            multi.len()
        );
        return Err(Error::user(message).at_key("train"));
    };
    let Some(drawn) = train_num.checked_sub(common.len()) else {
        let message = format!(
            "train = {train_num} is too small: {} training patients are needed for every code to occur among them",
            common.len()
        );
        return Err(Error::user(message).at_key("train").help(format!("use train = {} or more", common.len())));
    };
    let everyone: PySet = multi.iter().map(|&p| cohort.patients[p]).collect();
    let mut remaining: Vec<i64> = everyone.difference(&common).iter().collect();
    RandomState::new(seed).shuffle(&mut remaining);
    let train = common.union(&remaining[..drawn].iter().copied().collect());
    let index: std::collections::HashMap<i64, usize> = multi.iter().map(|&p| (cohort.patients[p], p)).collect();
    let indices = |ids: &[i64]| ids.iter().map(|id| index[id]).collect();
    let (valid, test) = remaining[drawn..].split_at(valid_num);
    Ok((train.iter().map(|id| index[&id]).collect(), indices(valid), indices(test)))
}

/// For each code the first patient who has it, then the first patient with the most admissions.
///
/// Identifiers were given in the order of first use over the same patients, so that the patient who brings the next
/// new identifier is the first to have that code: one pass finds them all.
fn common_patients(cohort: &Cohort, vocabulary: &Vocabulary, multi: &[usize]) -> PySet {
    let mut common = PySet::new();
    let mut seen = vec![false; vocabulary.codes.len()];
    for &p in multi {
        let codes = cohort.admissions.range(p).flat_map(|row| vocabulary.admission_codes.row(row));
        let mut first = false;
        codes.for_each(|&c| first |= !std::mem::replace(&mut seen[c as usize], true));
        if first {
            common.add(cohort.patients[p]);
        }
    }
    let longest = multi.iter().copied().reduce(|a, b| if cohort.visits(b) > cohort.visits(a) { b } else { a });
    longest.into_iter().for_each(|p| common.add(cohort.patients[p]));
    common
}

fn random(multi: &[usize], valid: f64, test: f64, seed: u32) -> Result<Parts> {
    let order = RandomState::new(seed).permutation(multi.len());
    let count = |part: f64| (part * multi.len() as f64).round() as usize;
    let (valid_num, test_num) = (count(valid), count(test));
    let Some(train_num) = multi.len().checked_sub(valid_num + test_num).filter(|&n| n > 0) else {
        let message = format!("valid = {valid} and test = {test} leave none of {} patients to train on", multi.len());
        return Err(Error::user(message).at_key("train"));
    };
    let part = |range: std::ops::Range<usize>| {
        let mut part: Vec<usize> = order[range].iter().map(|&i| multi[i]).collect();
        part.sort_unstable();
        part
    };
    Ok((part(0..train_num), part(train_num..train_num + valid_num), part(train_num + valid_num..multi.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Ragged, build_vocabulary};

    /// Patient `i` has `visits[i]` admissions, each with one code of its own and one that all share.
    fn cohort(visits: &[usize]) -> Cohort {
        let rows: usize = visits.iter().sum();
        let mut next = 0;
        let mut admissions = Ragged::new();
        for &n in visits {
            admissions.push(next..next + n as i64);
            next += n as i64;
        }
        Cohort {
            patients: (100..100 + visits.len() as i64).collect(),
            admissions,
            codes: (0..rows as u32).map(|r| [0, r % 3 + 1]).collect(),
            code_names: ["401.9", "428.0", "250.00", "V45.81"].map(String::from).to_vec(),
            labs: (0..rows).map(|_| []).collect(),
            ..Cohort::default()
        }
    }

    fn run(options: &SplitOptions, visits: &[usize]) -> Result<Split> {
        let cohort = cohort(visits);
        split(options, &cohort, &build_vocabulary(&cohort))
    }

    #[test]
    fn too_few_training_patients_are_refused_by_number() {
        let options = SplitOptions::Dualk { train: 1, test: 1, seed: 42 };
        let text = run(&options, &[2, 2, 2, 2, 5, 1]).unwrap_err().to_string();
        assert!(text.contains("train = 1") && text.contains("3 training patients"), "{text}");
        let options = SplitOptions::Dualk { train: 4, test: 2, seed: 42 };
        let text = run(&options, &[2, 2, 2, 2, 5, 1]).unwrap_err().to_string();
        assert!(text.contains("train = 4") && text.contains("test = 2") && text.contains("5 patients"), "{text}");
    }

    #[test]
    fn parts_are_disjoint_and_complete() {
        let visits: Vec<usize> = (0..200).map(|i| 1 + i % 4).collect();
        for options in [SplitOptions::default(), SplitOptions::Dualk { train: 100, test: 20, seed: 42 }] {
            let split = run(&options, &visits).unwrap();
            let mut all: Vec<usize> =
                [&split.single, &split.train, &split.valid, &split.test].into_iter().flatten().copied().collect();
            all.sort_unstable();
            assert_eq!(all, (0..200).collect::<Vec<_>>());
            assert_eq!(split.pretrain.len(), split.single.len() + split.train.len());
        }
    }

    #[test]
    fn options_refuse_unknown_keys_and_impossible_parts() {
        let parse = |text: &str| toml::from_str::<SplitOptions>(text);
        assert_eq!(
            parse("type = 'dualk'\ntrain = 8000\ntest = 1000").unwrap(),
            SplitOptions::Dualk { train: 8000, test: 1000, seed: 42 }
        );
        assert_eq!(parse("type = 'random'").unwrap(), SplitOptions::default());
        assert!(parse("type = 'random'\ntrian = 0.8").unwrap_err().to_string().contains("trian"));
        let options = SplitOptions::Random { train: 0.8, valid: 0.3, test: 0.1, seed: 1 };
        assert!(options.check().unwrap_err().to_string().contains("sum to 1"));
    }
}
