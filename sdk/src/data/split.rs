//! Patients by split.

use super::legacy_random::{PySet, RandomState};
use super::{Cohort, Splits, Vocabulary};
use crate::error::counted;
use crate::options::{Proportion, within_ranges};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// How patients are divided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "serde", tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum SplitOptions {
    /// The published split, bit for bit: training patients first cover every code, then are drawn at random.
    Dualk {
        /// Number of multi-visit patients to train on.
        #[schemars(range(min = 1))]
        train: usize,
        /// Number of multi-visit patients to report on; those left over are for choosing the epoch.
        test: usize,
        /// Seed of NumPy's legacy generator.
        #[serde(default = "default_seed")]
        seed: u32,
    },
    /// Multi-visit patients at random, all of a person in one split; the fractions sum to 1.
    Random {
        /// Fraction of them to train on.
        #[serde(default = "default_train")]
        #[schemars(extend("exclusiveMinimum" = 0.0), range(max = 1.0))]
        train: f64,
        /// Fraction of them to choose the epoch on.
        #[serde(default = "default_held_out")]
        #[schemars(with = "Proportion")]
        valid: f64,
        /// Fraction of them to report on.
        #[serde(default = "default_held_out")]
        #[schemars(with = "Proportion")]
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
    /// Whether it divides at random: what is learnt then comes from those who are learnt from alone. The published split
    /// looks at everybody's codes.
    pub fn is_random(&self) -> bool {
        matches!(self, Self::Random { .. })
    }

    /// Checks what can be known without the cohort.
    pub fn check(&self) -> Result<()> {
        within_ranges(self)?;
        let Self::Random { train, valid, test, .. } = self else { return Ok(()) };
        let sum = train + valid + test;
        match (sum - 1.0).abs() > 1e-6 {
            true => Err(Error::user(format!("train, valid and test must sum to 1, not {sum}")).at_key("train")),
            false => Ok(()),
        }
    }
}

/// Divides the patients of `cohort`. A random split puts all patients who are one person into the same split, and leaves those with
/// one visit out of pretraining who are the same person as a patient of valid or test.
///
/// # Errors
/// When the options ask for more patients than there are; manifest keys are relative to the split's table.
pub fn split(options: &SplitOptions, cohort: &Cohort, vocabulary: &Vocabulary) -> Result<Splits> {
    options.check()?;
    let (single, multi): (Vec<usize>, Vec<usize>) = (0..cohort.patients.len()).partition(|&p| cohort.visits(p) == 1);
    if multi.is_empty() {
        let message = format!(
            "of {} none has two admissions: there is no next visit to predict",
            counted(single.len(), "patient")
        );
        return Err(Error::user(message).at_key("type"));
    }
    let (train, valid, test) = match *options {
        SplitOptions::Dualk { train, test, seed } => published(cohort, vocabulary, &multi, train, test, seed)?,
        SplitOptions::Random { valid, test, seed, .. } => random(cohort, &multi, valid, test, seed)?,
    };
    let mut pretrain: Vec<usize> = single.iter().chain(&train).copied().collect();
    if options.is_random() {
        let held: HashSet<usize> = valid.iter().chain(&test).map(|&p| cohort.person(p)).collect();
        pretrain.retain(|&p| !held.contains(&cohort.person(p)));
    }
    Ok(Splits { single, pretrain, train, valid, test })
}

/// The patients of train, valid and test.
type TrainValidTest = (Vec<usize>, Vec<usize>, Vec<usize>);

fn published(
    cohort: &Cohort,
    vocabulary: &Vocabulary,
    multi: &[usize],
    train_num: usize,
    test_num: usize,
    seed: u32,
) -> Result<TrainValidTest> {
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
    let index: HashMap<i64, usize> = multi.iter().map(|&p| (cohort.patients[p], p)).collect();
    let indices = |ids: &[i64]| ids.iter().map(|id| index[id]).collect();
    let (valid, test) = remaining[drawn..].split_at(valid_num);
    Ok((train.iter().map(|id| index[&id]).collect(), indices(valid), indices(test)))
}

/// For each code the first patient who has it, then the first patient with the most admissions.
///
/// Indices were given in the order of first use over the same patients, so that the patient who brings the next new index is
/// the first to have that code: one pass finds them all.
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

fn random(
    cohort: &Cohort,
    multi: &[usize],
    valid_fraction: f64,
    test_fraction: f64,
    seed: u32,
) -> Result<TrainValidTest> {
    let mut persons = by_person(cohort, multi);
    let order = RandomState::new(seed).permutation(persons.len());
    let mut left: Vec<Vec<usize>> = order.iter().map(|&i| std::mem::take(&mut persons[i])).collect();
    let count = |fraction: f64| (fraction * multi.len() as f64).round() as usize;
    let test = take(&mut left, count(test_fraction));
    let valid = take(&mut left, count(valid_fraction));
    if left.is_empty() {
        let number = multi.len();
        let message =
            format!("valid = {valid_fraction} and test = {test_fraction} leave none of {number} patients to train on");
        return Err(Error::user(message).at_key("train"));
    }
    let sorted = |mut split: Vec<usize>| {
        split.sort_unstable();
        split
    };
    Ok((sorted(left.concat()), sorted(valid), sorted(test)))
}

/// Patients by person, in the order of the first of each.
fn by_person(cohort: &Cohort, patients: &[usize]) -> Vec<Vec<usize>> {
    let mut places = HashMap::new();
    let mut persons: Vec<Vec<usize>> = Vec::new();
    for &p in patients {
        let place = *places.entry(cohort.person(p)).or_insert(persons.len());
        if place == persons.len() {
            persons.push(Vec::new());
        }
        persons[place].push(p);
    }
    persons
}

/// Takes so many patients, or nearly so many, for none is parted from others of the same person: from the end of `left` the
/// persons that fit, then the smallest of the others where that is no further from the number. Somebody is left.
fn take(left: &mut Vec<Vec<usize>>, number: usize) -> Vec<usize> {
    let (mut taken, mut too_many) = (Vec::new(), Vec::new());
    while let Some(person) = left.pop() {
        match taken.len() + person.len() <= number {
            true => taken.extend(person),
            false => too_many.push(person),
        }
    }
    left.extend(too_many.into_iter().rev());
    let smallest = (0..left.len()).rev().min_by_key(|&i| left[i].len());
    let near = |&i: &usize| left.len() > 1 && left[i].len() <= 2 * (number - taken.len());
    if let Some(i) = smallest.filter(near) {
        taken.extend(left.remove(i));
    }
    taken
}

/// Seed of the draw that divides patients with one visit.
const SINGLE_SEED: u32 = 42;

impl Splits {
    /// Patients with one visit in splits of their own, train, valid and test, for tasks that ask about them too: divided at
    /// random as the others are. Those who are the same person as one of the others are in the same split.
    pub fn single_splits(&self, cohort: &Cohort) -> [Vec<usize>; 3] {
        let others = [&self.train, &self.valid, &self.test];
        let known: HashMap<usize, usize> =
            (0..3).flat_map(|split| others[split].iter().map(move |&p| (cohort.person(p), split))).collect();
        let mut splits: [Vec<usize>; 3] = Default::default();
        let mut free = Vec::new();
        for &p in &self.single {
            match known.get(&cohort.person(p)) {
                Some(&split) => splits[split].push(p),
                None => free.push(p),
            }
        }
        let all = others.iter().map(|split| split.len()).sum::<usize>().max(1);
        let cut = |several: usize| several * free.len() / all;
        let ends = [cut(self.train.len()), cut(self.train.len() + self.valid.len())];
        let persons = by_person(cohort, &free);
        let mut before = 0;
        for i in RandomState::new(SINGLE_SEED).permutation(persons.len()) {
            splits[ends.partition_point(|&end| end <= before)].extend(&persons[i]);
            before += persons[i].len();
        }
        splits
    }
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

    fn run(options: &SplitOptions, visits: &[usize]) -> Result<Splits> {
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
    fn splits_are_disjoint_and_complete() {
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
    fn options_refuse_unknown_keys_and_impossible_fractions() {
        let parse = |text: &str| toml::from_str::<SplitOptions>(text);
        assert_eq!(
            parse("type = 'dualk'\ntrain = 8000\ntest = 1000").unwrap(),
            SplitOptions::Dualk { train: 8000, test: 1000, seed: 42 }
        );
        assert_eq!(parse("type = 'random'").unwrap(), SplitOptions::default());
        assert!(parse("type = 'random'\ntrian = 0.8").unwrap_err().to_string().contains("trian"));
        let options = SplitOptions::Random { train: 0.8, valid: 0.3, test: 0.1, seed: 1 };
        assert!(options.check().unwrap_err().to_string().contains("sum to 1"));
        // Of programs that embed the SDK, too.
        for (options, says) in [
            (SplitOptions::Dualk { train: 0, test: 1, seed: 1 }, "`train`: expected a number of at least 1, found 0"),
            (
                SplitOptions::Random { train: 0.0, valid: 0.9, test: 0.1, seed: 1 },
                "`train`: expected more than 0 and at most 1, found 0",
            ),
            (
                SplitOptions::Random { train: 0.5, valid: 0.5, test: f64::NAN, seed: 1 },
                "`test`: expected 0 to 1, found NaN",
            ),
        ] {
            assert_eq!(run(&options, &[2, 2, 2]).unwrap_err().to_string(), says);
        }
    }

    /// Sixty patients of one to three visits; the first forty are twenty persons, two patients each, of different numbers of
    /// visits.
    fn cohort_of_persons() -> Cohort {
        let visits: Vec<usize> = (0..60).map(|i| 1 + (i + i / 40) % 3).collect();
        let mut cohort = cohort(&visits);
        cohort.set_persons(|id| (id < 140).then_some((id - 100) % 20));
        cohort.validate().unwrap();
        cohort
    }

    #[test]
    fn no_person_is_on_two_sides_of_a_random_split() {
        let cohort = cohort_of_persons();
        let persons = |patients: &[usize]| patients.iter().map(|&p| cohort.person(p)).collect::<HashSet<usize>>();
        let mut held = 0;
        for seed in 0..20 {
            let options = SplitOptions::Random { train: 0.6, valid: 0.2, test: 0.2, seed };
            let split = split(&options, &cohort, &Vocabulary::default()).unwrap();
            let sides = [&split.pretrain, &split.valid, &split.test].map(|patients| persons(patients));
            for (i, j) in [(0, 1), (0, 2), (1, 2)] {
                assert!(sides[i].is_disjoint(&sides[j]), "seed {seed}: {i} {j}");
            }
            // Nobody is lost but single-visit patients who stand by others.
            assert_eq!(split.train.len() + split.valid.len() + split.test.len(), 60 - split.single.len());
            assert!(split.train.iter().all(|p| split.pretrain.contains(p)));
            held += split.single.iter().filter(|p| !split.pretrain.contains(p)).count();
            // A fifth, to a patient.
            for held_out in [&split.valid, &split.test] {
                assert!(held_out.len().abs_diff((60 - split.single.len()).div_ceil(5)) <= 1, "{}", held_out.len());
            }
        }
        assert!(held > 0);
    }

    #[test]
    fn the_published_split_knows_no_persons() {
        let cohort = cohort_of_persons();
        let alone = Cohort { persons: Vec::new(), ..cohort.clone() };
        let options = SplitOptions::Dualk { train: 20, test: 8, seed: 42 };
        let [together, alone] =
            [&cohort, &alone].map(|cohort| split(&options, cohort, &build_vocabulary(cohort)).unwrap());
        assert_eq!(together, alone);
    }

    #[test]
    fn splits_are_as_near_to_what_is_asked_as_persons_allow() {
        let sizes = |persons: &[usize], number: usize| {
            let mut left: Vec<Vec<usize>> = persons.iter().map(|&n| vec![0; n]).collect();
            let taken = take(&mut left, number).len();
            (taken, left.iter().map(Vec::len).collect::<Vec<_>>())
        };
        assert_eq!(sizes(&[1, 1, 1, 1], 2), (2, vec![1, 1]));
        assert_eq!(sizes(&[1, 3, 1, 2], 2), (2, vec![1, 3, 1]));
        assert_eq!(sizes(&[1, 1, 3, 2], 1), (1, vec![1, 3, 2]), "who does not fit is passed over");
        assert_eq!(sizes(&[4, 2, 2], 1), (2, vec![4, 2]), "two are as near to one as none");
        assert_eq!(sizes(&[4, 3, 3], 1), (0, vec![4, 3, 3]));
        assert_eq!(sizes(&[2], 1), (0, vec![2]), "somebody is left to train on");
        assert_eq!(sizes(&[2, 1], 0), (0, vec![2, 1]));
    }

    #[test]
    fn single_visit_patients_are_divided_with_their_persons() {
        let cohort = cohort_of_persons();
        let split = split(&SplitOptions::default(), &cohort, &Vocabulary::default()).unwrap();
        let singles = split.single_splits(&cohort);
        let mut all = singles.concat();
        all.sort_unstable();
        assert_eq!(all, split.single);
        let mut split_of = HashMap::new();
        for (which, others) in [&split.train, &split.valid, &split.test].into_iter().enumerate() {
            for &p in others.iter().chain(&singles[which]) {
                assert_eq!(*split_of.entry(cohort.person(p)).or_insert(which), which);
            }
        }
    }
}
