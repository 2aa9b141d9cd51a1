//! Sets of rows of a table.

use super::{Csr, Ragged};
use std::sync::{Arc, OnceLock};

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
    ///
    /// # Panics
    /// When there are not as many days as members.
    pub fn ago(self, ago: Vec<f32>) -> Self {
        assert_eq!(ago.len(), self.members.values().len(), "days for each member");
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
