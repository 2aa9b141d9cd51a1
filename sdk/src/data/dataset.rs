//! Everything that stages learn from: cohort, vocabulary, splits and disease graph.

use super::knowledge::Knowledge;
use super::{Cohort, Ragged, Visits};
use crate::graph::Graph;
use std::sync::{Arc, OnceLock};

/// Codes and laboratory items by index. Index 0 is padding.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Vocabulary {
    /// Text of each code by its index; entry 0 is empty. First the codes of multi-visit patients, then the others.
    pub codes: Vec<String>,
    /// How many codes multi-visit patients use: `code_map` holds indices 1 to `target_codes`.
    pub target_codes: usize,
    /// Per admission of the cohort, the indices of its codes, repeats kept, and when it began.
    pub admission_codes: Visits,
    /// Per category of the cohort, the cohort's lab items that belong to it and occur: position + 1 is the index.
    pub category_labs: Vec<Vec<u32>>,
    /// All cohort lab items that have a category and occur: position + 1 is the index.
    pub labs: Vec<u32>,
    /// Per kind of [`Cohort::events`], its codes that occur, as indices into their names, ascending: tasks ask for these alone.
    pub events: Vec<Vec<u32>>,
}

/// Patients by split, as indices into [`Cohort::patients`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Splits {
    /// Patients with one admission.
    pub single: Vec<usize>,
    /// Patients to pretrain on and to count the disease graph in: those of `train` and those with one admission, of whom a random
    /// split leaves out who is the same person as a patient of valid or test, or is in valid or test as one of
    /// [`Splits::single_splits`].
    pub pretrain: Vec<usize>,
    /// Multi-visit patients to train on.
    pub train: Vec<usize>,
    /// Multi-visit patients to choose the epoch on.
    pub valid: Vec<usize>,
    /// Multi-visit patients to report on, once.
    pub test: Vec<usize>,
}

/// Everything that stages learn from.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Patients, admissions, codes and labs.
    pub cohort: Cohort,
    /// Codes and labs by index.
    pub vocabulary: Vocabulary,
    /// Patients by split.
    pub splits: Splits,
    /// Co-occurrence graph over codes; node 0 is padding.
    pub graph: Graph,
    /// What a knowledge graph says of codes and laboratory items, where the manifest names one.
    pub knowledge: Option<Arc<Knowledge>>,
    /// What [`Dataset::all_visit_labs`] makes when it is first asked; `None` where no head of the experiment tells visits
    /// apart.
    pub labs_by_visit: Option<OnceLock<Arc<Ragged<u32>>>>,
}

impl Vocabulary {
    /// Number of graph nodes: every code and the padding node.
    pub fn nodes(&self) -> usize {
        self.codes.len()
    }
}

impl Dataset {
    /// The codes of a further kind that tasks may ask for, as indices into the names of [`Cohort::events`], ascending: those that
    /// somebody has who is learnt from, with the published split everybody's. None where the cohort lacks the kind.
    pub fn known_events(&self, kind: &str) -> &[u32] {
        let place = self.cohort.events.iter().position(|events| events.kind == kind);
        place.and_then(|place| self.vocabulary.events.get(place)).map(Vec::as_slice).unwrap_or_default()
    }

    /// The identifiers of the laboratory items, by column of what a model sees.
    pub fn item_ids(&self) -> Vec<i64> {
        self.vocabulary.labs.iter().map(|&item| self.cohort.lab_items[item as usize].id).collect()
    }
}
