//! `masked_codes`: codes of a visit that are hidden, from those that are not.

use crate::next_visit;
use dualk_sdk::prelude::*;
use dualk_sdk::train::derive_seed;
use std::sync::Arc;

/// Chooses what is hidden; the same in all runs, so that seeds are of training alone.
const SEED: u64 = 0;

options! {
    /// Options of `masked_codes`.
    pub struct MaskedCodes {
        /// Chance of a code to be hidden.
        #[schemars(with = "Fraction")]
        pub hidden: f64 = 0.5,
        /// Whether heads of later stages may see what the decoder sees last, in place of what earlier stages kept.
        pub keep: bool = false,
    }
}

impl Component for MaskedCodes {
    const NAME: &'static str = "masked_codes";
    const ABOUT: &'static str =
        "From a patient up to a visit, some of whose codes are hidden: the hidden ones of that visit.";
    const CITATION: &'static str = "Li et al., BEHRT, Scientific Reports 2020; Devlin et al., NAACL 2019";
}

impl BuildObjective for MaskedCodes {
    fn build(self) -> Result<Box<dyn Objective>> {
        Ok(Box::new(self))
    }
}

impl MaskedCodes {
    /// Whether a code is hidden in a visit, which is a row of the cohort's admissions. The same code is hidden or seen
    /// wherever it stands in the visit. Only what can be asked for is hidden.
    fn hides(&self, data: &Dataset, row: usize, code: u32) -> bool {
        let drawn = derive_seed(SEED, &[row as u64, u64::from(code)]) as f64 / u64::MAX as f64;
        drawn < self.hidden && column(data, code).is_some()
    }

    /// All visits without what is hidden in them.
    fn seen(&self, data: &Dataset) -> Ragged<u32> {
        let visits = data.vocabulary.admission_codes.rows().enumerate();
        let seen = visits.map(|(row, codes)| codes.iter().copied().filter(move |&c| !self.hides(data, row, c)));
        seen.collect()
    }

    /// The columns of what is hidden in a visit, ascending.
    fn hidden(&self, data: &Dataset, row: usize) -> Vec<u32> {
        let codes = data.vocabulary.admission_codes.row(row).iter();
        let hidden = codes.filter(|&&code| self.hides(data, row, code));
        let mut columns: Vec<u32> = hidden.filter_map(|&code| column(data, code)).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }
}

/// The column that asks for a code; none for what is no code to predict.
fn column(data: &Dataset, code: u32) -> Option<u32> {
    code.checked_sub(1).filter(|&column| (column as usize) < data.vocabulary.target_codes)
}

impl Objective for MaskedCodes {
    fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>> {
        let head =
            HeadSpec::new("codes", data.vocabulary.target_codes).sees([PartKey::PATIENT_ENCODER]).network("decoder");
        Ok(vec![if self.keep { head.kept() } else { head }])
    }

    fn examples(&self, data: &Dataset, split: Split) -> Result<Examples> {
        let patients = match split {
            Split::Train => &data.splits.pretrain,
            Split::Valid => &data.splits.valid,
            Split::Test => &data.splits.test,
        };
        let seen = self.seen(data);
        let (mut visits, mut labs, mut targets) = (Ragged::new(), Ragged::new(), Ragged::new());
        for &p in patients {
            let rows = data.cohort.admissions.range(p);
            for row in rows.clone() {
                let hidden = self.hidden(data, row);
                // There is something to ask for, and something to go by.
                if !hidden.is_empty() && (rows.start..=row).any(|r| !seen.row(r).is_empty()) {
                    visits.push(rows.start as u32..row as u32 + 1);
                    labs.push([]);
                    targets.push(hidden);
                }
            }
        }
        let codes = Arc::new(data.vocabulary.admission_codes.clone().with_codes(seen));
        Ok(Examples { codes, visits, labs, targets: vec![targets], ..Examples::default() })
    }

    fn meter(&self) -> Option<Box<dyn Meter>> {
        Some(Box::new(next_visit::ranking()))
    }

    fn primary(&self) -> &str {
        "R@10"
    }

    fn asked_visit(&self) -> AskedVisit {
        AskedVisit::Last
    }

    fn labs(&self) -> Option<Labs> {
        Some(Labs::None)
    }

    fn asks(&self, data: &Dataset, _: usize) -> Asks {
        Asks::Hidden((0..data.vocabulary.nodes() as u32).map(|code| column(data, code)).collect())
    }

    fn caption(&self) -> String {
        "codes that are hidden, of every visit".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dualk_sdk::data::{SplitOptions, prepare};

    /// Forty patients of one to three visits with two to five codes each.
    fn data() -> Dataset {
        let (mut cohort, mut row) = (Cohort::default(), 0i64);
        cohort.code_names = (0..9).map(|c| format!("40{c}.0")).collect();
        for patient in 0..40 {
            cohort.patients.push(patient);
            cohort.admissions.push((0..1 + patient % 3).map(|v| row + v));
            for _ in 0..1 + patient % 3 {
                cohort.codes.push((0..2 + row % 4).map(|i| ((row + 2 * i) % 9) as u32));
                cohort.labs.push([]);
                row += 1;
            }
        }
        cohort.validate().unwrap();
        prepare(cohort, &SplitOptions::default()).unwrap()
    }

    #[test]
    fn it_is_a_sound_objective() {
        dualk_sdk::testing::check_objective(MaskedCodes::default());
    }

    #[test]
    fn what_is_asked_for_is_not_seen_and_nothing_is_lost() {
        let data = data();
        let objective = MaskedCodes::default();
        let examples = objective.examples(&data, Split::Train).unwrap();
        assert!(examples.len() > data.splits.pretrain.len() / 2);
        for (visits, hidden) in examples.visits.rows().zip(examples.targets[0].rows()) {
            let row = *visits.last().unwrap() as usize;
            let seen: Vec<u32> = examples.codes.row(row).iter().map(|code| code - 1).collect();
            assert!(!hidden.is_empty() && hidden.iter().all(|column| !seen.contains(column)), "{seen:?} {hidden:?}");
            let mut all = [&seen[..], hidden].concat();
            all.sort_unstable();
            assert_eq!(all, data.visit_codes(row));
        }
    }

    #[test]
    fn the_part_that_is_hidden_is_the_one_asked_for() {
        let data = data();
        let all = data.vocabulary.admission_codes.rows().map(<[u32]>::len).sum::<usize>() as f64;
        for hidden in [0.2, 0.5, 0.8] {
            let seen = MaskedCodes { hidden, keep: false }.seen(&data).values().len() as f64;
            assert!((seen / all - (1.0 - hidden)).abs() < 0.12, "{hidden}: {seen} of {all}");
        }
        assert_eq!(MaskedCodes { hidden: 0.0, keep: false }.examples(&data, Split::Train).unwrap().len(), 0);
    }

    /// What is seen of a visit is no answer there; of the visits before, the history ranks it.
    #[test]
    fn a_history_is_of_codes_that_may_be_hidden_now() {
        let data = data();
        let Asks::Hidden(columns) = MaskedCodes::default().asks(&data, 0) else { panic!("it asks for hidden codes") };
        assert_eq!(columns.len(), data.vocabulary.nodes());
        assert_eq!((columns[0], columns[1]), (None, Some(0)));
    }

    #[test]
    fn only_what_learns_is_trained_on() {
        let data = data();
        let examples = MaskedCodes::default().examples(&data, Split::Train).unwrap();
        let rows: Vec<usize> = data.splits.pretrain.iter().flat_map(|&p| data.cohort.admissions.range(p)).collect();
        assert!(examples.visits.values().iter().all(|&row| rows.contains(&(row as usize))));
    }
}
