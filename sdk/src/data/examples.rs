//! Training examples and the batches cut from them.

use super::{Demographics, Ragged, Sets, Visits};
use std::sync::Arc;

/// Visits that are told apart by whoever looks at a history: the last that is seen, the one before, and all earlier ones.
pub const AGES: usize = 3;

/// The examples of one objective and one split. Entry `i` of each field belongs to example `i`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Examples {
    /// What each visit holds; [`Examples::visits`] points into its rows.
    pub codes: Arc<Visits>,
    /// Visits of each example, in time order, as rows of [`Examples::codes`]. May be empty (the lab layer sees none).
    pub visits: Ragged<u32>,
    /// Whose examples they are, as indices into [`Cohort::patients`](super::Cohort::patients), where no visit says so, as in the
    /// lab layer; else nothing.
    pub patients: Vec<u32>,
    /// Abnormal laboratory items of each example as columns of the lab input, from 0.
    pub labs: Ragged<u32>,
    /// Those of each visit of [`Examples::codes`], where these may be seen: for heads that tell visits apart. Objectives get
    /// them by [`Dataset::all_visit_labs`](super::Dataset::all_visit_labs).
    pub visit_labs: Option<Arc<Ragged<u32>>>,
    /// Age and sex of each example at the last visit that is seen, where they enter the model; else nothing. Objectives leave
    /// it empty, and experiments fill it in.
    pub demographics: Vec<Demographics>,
    /// For each head, the positive columns of each example, ascending, from 0; no columns where targets are numbers.
    pub targets: Vec<Ragged<u32>>,
    /// For each head whose targets are [numbers](crate::component::Link), one number a column of each example, row after
    /// row. Empty where all targets are labels.
    pub numbers: Vec<Vec<f32>>,
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

    /// The numbers that a head is to give, row after row; none where its targets are labels.
    pub fn numbers_of(&self, head: usize) -> &[f32] {
        self.numbers.get(head).map_or(&[], Vec::as_slice)
    }

    /// The rows `indices` of numbers.
    fn rows_of(&self, numbers: &[f32], indices: &[usize]) -> Vec<f32> {
        let columns = numbers.len() / self.len().max(1);
        indices.iter().flat_map(|i| &numbers[i * columns..(i + 1) * columns]).copied().collect()
    }

    /// The batch of the examples `indices`, in that order.
    pub fn batch(&self, indices: &[usize]) -> Batch {
        self.batch_of(indices, true)
    }

    /// The same, with the items of each visit only where a head tells visits apart, `by_visit`.
    pub(crate) fn batch_of(&self, indices: &[usize], by_visit: bool) -> Batch {
        let labs = self.visit_labs.as_ref().filter(|_| by_visit);
        let mut visits = Ragged::new();
        let mut codes = Ragged::new();
        let mut visit_labs = Ragged::new();
        let mut ago = Vec::new();
        for &i in indices {
            let first = codes.len() as u32;
            let seen = self.visits.row(i);
            for &v in seen {
                codes.push(self.codes.row(v as usize).iter().copied());
                if let Some(labs) = labs {
                    visit_labs.push(labs.row(v as usize).iter().copied());
                }
                let last = seen.last().copied().unwrap_or(v);
                ago.push(self.codes.days_between(v as usize, last as usize).unwrap_or(0.0));
            }
            visits.push(first..codes.len() as u32);
        }
        let (codes, visits) = (Sets::new(codes), Sets::new(visits).ago(ago));
        Batch { codes, visits, visit_labs, ..self.without_visits(indices) }
    }

    /// The batch of the examples `indices` without their visits, for models that know the patients already.
    pub fn without_visits(&self, indices: &[usize]) -> Batch {
        let pick = |r: &Ragged<u32>| indices.iter().map(|&i| r.row(i).iter().copied()).collect();
        Batch {
            codes: Sets::new(Ragged::new()),
            visits: Sets::new(Ragged::new()),
            labs: pick(&self.labs),
            visit_labs: Ragged::new(),
            demographics: indices.iter().filter_map(|&i| self.demographics.get(i).copied()).collect(),
            targets: self.targets.iter().map(pick).collect(),
            numbers: self.numbers.iter().map(|numbers| self.rows_of(numbers, indices)).collect(),
        }
    }
}

/// Some examples, ragged: nothing is padded.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Visits as sets of codes by index, that is of rows of the node table.
    pub codes: Sets,
    /// Patients as sets of visits, that is sets of [`Batch::codes`].
    pub visits: Sets,
    /// Abnormal laboratory items of each patient, columns from 0.
    pub labs: Ragged<u32>,
    /// Those of each visit of [`Batch::codes`]; no rows where visits are not to be told apart by items, or no head does.
    pub visit_labs: Ragged<u32>,
    /// Age and sex of each patient, where they enter; else nothing.
    pub demographics: Vec<Demographics>,
    /// For each head, the positive columns of each patient.
    pub targets: Vec<Ragged<u32>>,
    /// For each head whose targets are numbers, those of each patient, row after row.
    pub numbers: Vec<Vec<f32>>,
}

impl Batch {
    /// Calls `each` with patient, age (below [`AGES`]) and code for every code of every visit, each once a visit.
    pub fn codes_by_age(&self, each: impl FnMut(usize, usize, u32)) {
        self.by_age(self.codes.members(), each);
    }

    /// The same with laboratory items, where these are known by visit.
    pub fn labs_by_age(&self, each: impl FnMut(usize, usize, u32)) {
        if !self.visit_labs.is_empty() {
            self.by_age(&self.visit_labs, each);
        }
    }

    fn by_age(&self, of_visit: &Ragged<u32>, mut each: impl FnMut(usize, usize, u32)) {
        let mut seen: Vec<u32> = Vec::new();
        for (patient, visits) in self.visits.members().rows().enumerate() {
            for (before, &visit) in visits.iter().rev().enumerate() {
                seen.clear();
                seen.extend(of_visit.row(visit as usize));
                seen.sort_unstable();
                seen.dedup();
                seen.iter().for_each(|&value| each(patient, before.min(AGES - 1), value));
            }
        }
    }

    /// The numbers that a head is to give, row after row; none where its targets are labels.
    pub fn numbers_of(&self, head: usize) -> &[f32] {
        self.numbers.get(head).map_or(&[], Vec::as_slice)
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.labs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_and_sex_follow_their_examples() {
        let aged = |age: f32| Demographics { age: Some(age), sex: None };
        let rows = |n: usize| (0..n).map(|_| []).collect::<Ragged<u32>>();
        let examples = Examples { visits: rows(3), labs: rows(3), ..Examples::default() };
        assert!(examples.batch(&[2, 0]).demographics.is_empty());
        let examples = Examples { demographics: vec![aged(1.0), aged(2.0), aged(3.0)], ..examples };
        assert_eq!(examples.batch(&[2, 0]).demographics, [aged(3.0), aged(1.0)]);
        assert_eq!(examples.without_visits(&[1]).demographics, [aged(2.0)]);
    }

    #[test]
    fn items_of_each_visit_are_gathered_for_heads_that_tell_visits_apart() {
        let examples = Examples {
            codes: Arc::new([vec![1], vec![2, 3], vec![4]].into_iter().collect()),
            visits: [vec![0, 1], vec![2]].into_iter().collect(),
            labs: [vec![5], vec![6]].into_iter().collect(),
            visit_labs: Some(Arc::new([vec![5], vec![], vec![6]].into_iter().collect())),
            targets: vec![[vec![0], vec![]].into_iter().collect()],
            ..Examples::default()
        };
        let (apart, together) = (examples.batch(&[1, 0]), examples.batch_of(&[1, 0], false));
        assert_eq!(apart.visit_labs.rows().collect::<Vec<_>>(), [&[6][..], &[5], &[]]);
        assert_eq!(together, Batch { visit_labs: Ragged::new(), ..apart });
    }
}
