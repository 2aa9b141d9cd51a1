//! `lab_layer`: the codes of an admission from its abnormal laboratory items.

use crate::abnormal_labs::no_items;
use crate::tasks::{LAB_SHUFFLE_SEED, LAB_TRAIN_FRACTION, single_visit_splits};
use dualk_sdk::prelude::*;
use dualk_sdk::train::Ranking;
use std::sync::Arc;

options! {
    /// Options of `lab_layer`.
    pub struct LabLayer {
        /// Fraction of the single-visit patients to learn from; the others are for choosing the epoch.
        #[schemars(with = "Fraction")]
        pub train: f64 = LAB_TRAIN_FRACTION,
        /// Seed of NumPy's legacy generator, which shuffles the patients.
        pub seed: u32 = LAB_SHUFFLE_SEED,
    }
}

impl Component for LabLayer {
    const NAME: &'static str = "lab_layer";
    const ABOUT: &'static str = "From the abnormal laboratory items of single-visit patients: their codes.";
    const CITATION: &'static str = "DuaLK, arXiv 2410.19955";
}

impl BuildObjective for LabLayer {
    fn build(self) -> Result<Box<dyn Objective>> {
        Ok(Box::new(self))
    }
}

impl Objective for LabLayer {
    fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>> {
        if data.vocabulary.labs.is_empty() {
            return Err(no_items("leave this stage out: it learns what they tell of diagnoses"));
        }
        let outputs = data.vocabulary.nodes() - 1;
        Ok(vec![HeadSpec::new("codes", outputs).sees([PartKey::LAB]).network("linear")])
    }

    fn examples(&self, data: &Dataset, split: Split) -> Result<Examples> {
        let (train, rest) = single_visit_splits(data, self.seed, self.train);
        let patients = match split {
            Split::Train => train,
            Split::Valid => rest,
            Split::Test => Vec::new(),
        };
        Ok(Examples {
            codes: Arc::default(),
            visits: patients.iter().map(|_| std::iter::empty()).collect(),
            patients: patients.iter().map(|&p| p as u32).collect(),
            labs: data.last_visit_labs(&patients),
            targets: vec![data.last_visit_codes(&patients)],
            ..Examples::default()
        })
    }

    fn meter(&self) -> Option<Box<dyn Meter>> {
        Some(Box::new(Recall(Ranking::new(&[20, 40]))))
    }

    fn primary(&self) -> &str {
        "R@20"
    }

    /// Its items are seen.
    fn asked_visit(&self) -> AskedVisit {
        AskedVisit::Last
    }

    /// All codes, those that only patients with one visit have among them.
    fn labels(&self, data: &Dataset, _: usize) -> Option<Vec<String>> {
        Some(data.vocabulary.codes[1..].to_vec())
    }
}

/// Recall alone.
struct Recall(Ranking);

impl Meter for Recall {
    fn update(&mut self, predictions: &[Predictions<'_>]) {
        self.0.update(predictions);
    }

    fn compute(&self) -> Vec<(String, f64)> {
        self.0.recalls()
    }
}
