//! Training examples and the batches cut from them.

use super::{Ragged, Visits};
use crate::ops::Csr;
use std::sync::{Arc, OnceLock};

/// The examples of one objective and one part of the split. Entry `i` of each field belongs to example `i`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Examples {
    /// What each visit holds; [`Examples::visits`] points into its rows.
    pub codes: Arc<Visits>,
    /// Visits of each example, in time order, as rows of [`Examples::codes`]. May be empty (the lab layer sees none).
    pub visits: Ragged<u32>,
    /// Abnormal laboratory items of each example as columns of the lab input, from 0.
    pub labs: Ragged<u32>,
    /// For each head, the positive columns of each example, ascending, from 0.
    pub targets: Vec<Ragged<u32>>,
}

impl Examples {
    /// Number of examples.
    pub fn len(&self) -> usize {
        self.labs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batch of the examples `indices`, in that order.
    pub fn batch(&self, indices: &[usize]) -> Batch {
        let mut visits = Ragged::new();
        let mut codes = Ragged::new();
        let mut ago = Vec::new();
        for &i in indices {
            let first = codes.len() as u32;
            let seen = self.visits.row(i);
            for &v in seen {
                codes.push(self.codes.row(v as usize).iter().copied());
                let last = seen.last().copied().unwrap_or(v);
                ago.push(self.codes.days_between(v as usize, last as usize).unwrap_or(0.0));
            }
            visits.push(first..codes.len() as u32);
        }
        Batch { codes: Sets::new(codes), visits: Sets::new(visits).ago(ago), ..self.without_visits(indices) }
    }

    /// The batch of the examples `indices` without their visits, for models that know the patients already.
    pub fn without_visits(&self, indices: &[usize]) -> Batch {
        let pick = |r: &Ragged<u32>| indices.iter().map(|&i| r.row(i).iter().copied()).collect();
        Batch {
            codes: Sets::new(Ragged::new()),
            visits: Sets::new(Ragged::new()),
            labs: pick(&self.labs),
            targets: self.targets.iter().map(pick).collect(),
        }
    }
}

/// Sets over the rows of a table: set `s` holds the rows `members.row(s)`, in order, repeats counted.
#[derive(Debug, Clone)]
pub struct Sets {
    members: Ragged<u32>,
    ago: Vec<f32>,
    index: OnceLock<Arc<Csr>>,
}

impl PartialEq for Sets {
    fn eq(&self, other: &Self) -> bool {
        (&self.members, &self.ago) == (&other.members, &other.ago)
    }
}

impl Sets {
    /// Sets from their members.
    pub fn new(members: Ragged<u32>) -> Self {
        Self { members, ago: Vec::new(), index: OnceLock::new() }
    }

    /// The same sets with the days from each member to the last one of its set, as [`Sets::days_ago`] gives them.
    pub(super) fn ago(self, ago: Vec<f32>) -> Self {
        Self { ago, ..self }
    }

    /// Where members are visits of patients: for each member the days between it and the last one of its set, 0 where that
    /// is not known. Empty for other sets.
    pub fn days_ago(&self) -> &[f32] {
        &self.ago
    }

    /// The sets as kernels want them. Made on the first call.
    pub fn index(&self) -> Arc<Csr> {
        self.index.get_or_init(|| Csr::of(&self.members)).clone()
    }

    /// Number of sets.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no sets.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members of all sets.
    pub fn members(&self) -> &Ragged<u32> {
        &self.members
    }

    /// Length of the longest set.
    pub fn longest(&self) -> usize {
        self.members.rows().map(<[u32]>::len).max().unwrap_or(0)
    }
}

/// Some examples, ragged: nothing is padded.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Visits as sets of code identifiers, that is rows of the node table.
    pub codes: Sets,
    /// Patients as sets of visits, that is sets of [`Batch::codes`].
    pub visits: Sets,
    /// Abnormal laboratory items of each patient, columns from 0.
    pub labs: Ragged<u32>,
    /// For each head, the positive columns of each patient.
    pub targets: Vec<Ragged<u32>>,
}

impl Batch {
    /// Number of examples.
    pub fn len(&self) -> usize {
        self.labs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
