//! `diagnosis`: every code of the next visit.

use crate::next_visit::{self, NextVisit};
use crate::task_options::task_options;
use dualk_sdk::prelude::*;

task_options! {
    /// Options of `diagnosis`.
    pub struct Diagnosis {}
    of visits
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

impl Diagnosis {
    fn task(&self) -> NextVisit {
        NextVisit { labs: self.labs, all_visits: self.all_visits, drop_empty: false }
    }
}

impl Objective for Diagnosis {
    fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>> {
        next_visit::head("codes", self.head, data.vocabulary.target_codes, data)
    }

    fn examples(&self, data: &Dataset, split: Split) -> Result<Examples> {
        Ok(self.task().examples(data, split, |row| data.visit_codes(row)))
    }

    fn meter(&self) -> Option<Box<dyn Meter>> {
        Some(Box::new(next_visit::ranking()))
    }

    fn primary(&self) -> &str {
        "R@10"
    }

    fn asks(&self, data: &Dataset, _: usize) -> Asks {
        next_visit::asks_for(data, 0..data.vocabulary.target_codes as u32)
    }

    fn labs(&self) -> Option<Labs> {
        Some(self.labs)
    }

    fn caption(&self) -> String {
        self.task().caption()
    }
}
