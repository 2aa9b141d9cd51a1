//! Whom examples are about.

use crate::component::AskedVisit;
use crate::data::{Dataset, Examples};

/// Whom an example is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct About {
    /// Its place in the cohort.
    pub index: usize,
    /// The last visit that is seen, as a row of the cohort's admissions.
    pub last: usize,
    /// Visits that are seen.
    pub visits: usize,
}

impl About {
    /// The visit that is asked about, as a row of the cohort's admissions, where there is one.
    pub fn asked(&self, visit: AskedVisit, data: &Dataset) -> Option<usize> {
        match visit {
            AskedVisit::Next => {
                Some(self.last + 1).filter(|row| data.cohort.admissions.range(self.index).contains(row))
            }
            AskedVisit::Last => Some(self.last),
            AskedVisit::None => None,
        }
    }
}

/// Whom each example is about; `None` for one without visits.
pub(super) fn about_of(examples: &Examples, data: &Dataset) -> Vec<Option<About>> {
    let offsets = data.cohort.admissions.offsets();
    let about = |i: usize| {
        let last = *examples.visits.row(i).last()? as usize;
        let p = offsets.partition_point(|&o| o <= last) - 1;
        Some(About { index: p, last, visits: examples.visits.row(i).len() })
    };
    (0..examples.len()).map(about).collect()
}

/// The patient of each example, by index; `None` when examples are no patients with visits.
pub(super) fn patients_of(examples: &Examples, data: &Dataset) -> Option<Vec<usize>> {
    let offsets = data.cohort.admissions.offsets();
    let patient = |i: usize| {
        let first = *examples.visits.row(i).first()? as usize;
        offsets.partition_point(|&o| o <= first).checked_sub(1)
    };
    (0..examples.len()).map(patient).collect()
}
