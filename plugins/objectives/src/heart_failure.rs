//! `heart_failure`: whether the next visit has a code of the family 428.

use crate::next_visit::{self, TaskHead};
use dualk_sdk::prelude::*;
use dualk_sdk::train::metrics::{average_precision, binary_f1_at_half, roc_auc};

options! {
    /// Options of `heart_failure`.
    pub struct HeartFailure {
        /// What the head sees: `full` (decoder embeddings, patient, labs) or `direct` (patient, labs).
        pub head: TaskHead = TaskHead::Full,
    }
}

impl Component for HeartFailure {
    const NAME: &'static str = "heart_failure";
    const ABOUT: &'static str = "Whether a code that begins with 428 is in the next visit.";
    const CITATION: &'static str = "DuaLK, arXiv 2410.19955";
}

impl BuildObjective for HeartFailure {
    fn build(self) -> Result<Box<dyn Objective>> {
        Ok(Box::new(self))
    }
}

impl Objective for HeartFailure {
    fn heads(&self, _: &Prepared) -> Result<Vec<HeadSpec>> {
        Ok(next_visit::head("heart_failure", self.head, 1))
    }

    fn examples(&self, data: &Prepared, part: Part) -> Result<Examples> {
        let patients = next_visit::patients(data, part);
        Ok(next_visit::examples(data, patients, &data.heart_failure(patients), false))
    }

    fn metrics(&self, predictions: &[Predictions<'_>]) -> Vec<(String, f64)> {
        let Some(p) = predictions.first() else { return Vec::new() };
        let truth: Vec<bool> = p.targets.rows().map(|row| !row.is_empty()).collect();
        let scores: Vec<f32> = p.logits.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect();
        vec![
            ("AUC".to_owned(), roc_auc(&scores, &truth)),
            ("AP".to_owned(), average_precision(&scores, &truth)),
            ("F1".to_owned(), binary_f1_at_half(&scores, &truth)),
        ]
    }

    fn primary(&self) -> &str {
        "AUC"
    }
}
