//! `heart_failure`: whether the next visit has a code of the family 428.

use crate::next_visit::{self, NextVisit};
use crate::task_options::task_options;
use crate::tasks;
use dualk_sdk::prelude::*;
use dualk_sdk::train::Binary;

task_options! {
    /// Options of `heart_failure`.
    pub struct HeartFailure {}
    of visits
}

impl Component for HeartFailure {
    const NAME: &'static str = "heart_failure";
    const ABOUT: &'static str = "Whether a code of the family 428 of ICD-9 is in the next visit.";
    const CITATION: &'static str = "DuaLK, arXiv 2410.19955";
}

impl BuildObjective for HeartFailure {
    fn build(self) -> Result<Box<dyn Objective>> {
        Ok(Box::new(self))
    }
}

impl HeartFailure {
    fn task(&self) -> NextVisit {
        NextVisit { labs: self.labs, all_visits: self.all_visits, drop_empty: false }
    }
}

/// Whether the code of an index is one of heart failure.
fn is_heart_failure(data: &Dataset, code: u32) -> bool {
    tasks::is_heart_failure(&data.vocabulary.codes[code as usize])
}

impl Objective for HeartFailure {
    fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>> {
        if !(0..data.vocabulary.nodes() as u32).any(|code| is_heart_failure(data, code)) {
            return Err(Error::user("no code of this cohort is one of heart failure, the family 428 of ICD-9")
                .help("the option code_system = \"icd9\" of the parser gives codes of that edition, with their dot, where it knows in which they are written"));
        }
        next_visit::head("heart_failure", self.head, 1, data)
    }

    fn examples(&self, data: &Dataset, split: Split) -> Result<Examples> {
        let fails = |row: usize| data.vocabulary.admission_codes.row(row).iter().any(|&c| is_heart_failure(data, c));
        Ok(self.task().examples(data, split, |row| if fails(row) { vec![0] } else { Vec::new() }))
    }

    fn meter(&self) -> Option<Box<dyn Meter>> {
        Some(Box::<Binary>::default())
    }

    fn primary(&self) -> &str {
        "AUC"
    }

    fn asks(&self, data: &Dataset, _: usize) -> Asks {
        let codes = 0..data.vocabulary.nodes() as u32;
        Asks::Codes(codes.map(|code| is_heart_failure(data, code).then_some(0)).collect())
    }

    /// That of the head: the column is of the whole family, of which a cohort may have one code alone.
    fn labels(&self, _: &Dataset, _: usize) -> Option<Vec<String>> {
        None
    }

    fn labs(&self) -> Option<Labs> {
        Some(self.labs)
    }

    fn caption(&self) -> String {
        self.task().caption()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::data;

    /// In ICD-10 nobody had it, and a concept of OMOP that begins with these digits was it.
    #[test]
    fn cohorts_without_codes_of_the_family_are_refused() {
        let mut data = data();
        assert_eq!(HeartFailure::default().heads(&data).unwrap().len(), 1);
        for code in &mut data.vocabulary.codes {
            if code == "428.0" {
                *code = "4281234".to_owned();
            }
        }
        let error = HeartFailure::default().heads(&data).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("family 428 of ICD-9"), "{error}");
        assert_eq!(
            ["428", "428.21", "4280", "I50.9", ""].map(tasks::is_heart_failure),
            [true, true, false, false, false]
        );
    }
}
