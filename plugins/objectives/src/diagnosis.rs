//! `diagnosis`: every code of the next visit.

use crate::next_visit::{self, TaskHead};
use dualk_sdk::prelude::*;

options! {
    /// Options of `diagnosis`.
    pub struct Diagnosis {
        /// What the head sees: `full` (decoder embeddings, patient, labs) or `direct` (patient, labs).
        pub head: TaskHead = TaskHead::Full,
    }
}

impl Component for Diagnosis {
    const NAME: &'static str = "diagnosis";
    const ABOUT: &'static str = "Ranks every code for the next visit.";
    const CITATION: &'static str = "DuaLK, arXiv 2410.19955";
}

impl BuildObjective for Diagnosis {
    fn build(self) -> Result<Box<dyn Objective>> {
        Ok(Box::new(self))
    }
}

impl Objective for Diagnosis {
    fn heads(&self, data: &Prepared) -> Result<Vec<HeadSpec>> {
        Ok(next_visit::head("codes", self.head, data.vocabulary.target_codes))
    }

    fn examples(&self, data: &Prepared, part: Part) -> Result<Examples> {
        let patients = next_visit::patients(data, part);
        Ok(next_visit::examples(data, patients, &data.last_visit_codes(patients), false))
    }

    fn metrics(&self, predictions: &[Predictions<'_>]) -> Vec<(String, f64)> {
        next_visit::ranking_metrics(predictions)
    }

    fn primary(&self) -> &str {
        "R@10"
    }

    fn baseline(&self, heads: &[HeadSpec], train: &Examples, test: &Examples) -> Option<(String, Vec<(String, f64)>)> {
        next_visit::frequency(self, heads, train, test)
    }
}
