//! `rare`: the codes of the next visit among those that few patients have.

use crate::next_visit::{self, NextVisit};
use crate::task_options::task_options;
use crate::tasks::{RARE_THRESHOLD, rare_train_codes};
use dualk_sdk::prelude::*;
use dualk_sdk::serde::{Deserialize, Serialize};
use dualk_sdk::train::Ranking;

/// Which codes are rare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, dualk_sdk::schemars::JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum RareBy {
    /// Those that are a label at most `most` times in all, zero included.
    Total,
    /// Those that are a label `least` to `most` times in training, `sample` of them.
    Train,
}

task_options! {
    /// Options of `rare`.
    pub struct Rare {
        /// `train` counts labels of training patients, `total` those of all, the ones to report on included. Default:
        /// `train`, and `total` with `compat`.
        #[schemars(extend("x-compat" = "total"))]
        pub by: RareBy = RareBy::Train,
        /// With `train`: the least number of training labels.
        pub least: u64 = 5,
        /// The largest number of labels; default 3 with `total` and 20 with `train`.
        pub most: Option<u64> = None,
        /// With `train`: how many codes to draw.
        #[schemars(range(min = 1))]
        pub sample: usize = 200,
        /// With `train`: seed of the draw.
        pub seed: u32 = 99,
    }
    of visits
}

impl Component for Rare {
    const NAME: &'static str = "rare";
    const ABOUT: &'static str = "Ranks rare codes for the next visit; patients who have none are left out.";
    const CITATION: &'static str = "DuaLK, arXiv 2410.19955";
}

impl BuildObjective for Rare {
    fn build(self) -> Result<Box<dyn Objective>> {
        Ok(Box::new(self))
    }
}

/// Where the published code cuts recall off for codes that are rare in training.
const TRAIN_KS: [usize; 3] = [5, 8, 15];

impl Rare {
    fn task(&self) -> NextVisit {
        NextVisit { labs: self.labs, all_visits: self.all_visits, drop_empty: true }
    }

    fn codes(&self, data: &Dataset) -> Vec<u32> {
        match self.by {
            RareBy::Total => data.rare_labels(self.most.unwrap_or(RARE_THRESHOLD)),
            RareBy::Train => rare_train_codes(data, self.least, self.most.unwrap_or(20), self.sample, self.seed),
        }
    }
}

impl Rare {
    fn ranking(&self) -> Ranking {
        match self.by {
            RareBy::Total => next_visit::ranking(),
            RareBy::Train => Ranking::new(&TRAIN_KS),
        }
    }
}

impl Objective for Rare {
    fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>> {
        match self.codes(data).len() {
            0 => Err(Error::user("no code of this cohort is rare").at_key("most").help("raise `most`")),
            outputs => next_visit::head("codes", self.head, outputs, data),
        }
    }

    fn examples(&self, data: &Dataset, split: Split) -> Result<Examples> {
        let places = next_visit::places(self.codes(data), data);
        Ok(self.task().examples(data, split, |row| next_visit::restricted(&data.visit_codes(row), &places)))
    }

    fn meter(&self) -> Option<Box<dyn Meter>> {
        Some(Box::new(self.ranking()))
    }

    fn primary(&self) -> &str {
        match self.by {
            RareBy::Total => "R@10",
            RareBy::Train => "R@8",
        }
    }

    fn asks(&self, data: &Dataset, _: usize) -> Asks {
        next_visit::asks_for(data, self.codes(data))
    }

    fn labs(&self) -> Option<Labs> {
        Some(self.labs)
    }

    fn caption(&self) -> String {
        self.task().caption()
    }
}
