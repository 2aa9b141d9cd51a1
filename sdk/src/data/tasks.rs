//! What is asked of a patient: labels and laboratory rows, as columns from 0.

use super::{Dataset, Ragged};
use std::sync::Arc;

impl Dataset {
    /// The codes of the last visit of each patient, ascending, each once.
    pub fn last_visit_codes(&self, patients: &[usize]) -> Ragged<u32> {
        patients.iter().map(|&p| self.visit_codes(self.last_visit(p))).collect()
    }

    /// The diagnoses of an admission, ascending, each once.
    pub fn visit_codes(&self, admission: usize) -> Vec<u32> {
        let (last, codes) = (self.last_diagnosis(), self.vocabulary.admission_codes.row(admission).iter());
        distinct(codes.filter(|&&c| c as usize <= last).map(|&c| c - 1))
    }

    /// The number of the last diagnosis: codes of further kinds, which begin with their kind and a colon, come after it.
    fn last_diagnosis(&self) -> usize {
        let is_of = |code: &str, kind: &str| code.strip_prefix(kind).is_some_and(|name| name.starts_with(':'));
        let is_further = |code: &str| self.cohort.nodes.iter().any(|kind| is_of(code, kind));
        self.vocabulary.codes.partition_point(|code| !is_further(code)).saturating_sub(1)
    }

    /// The last admission of patient `p`, as a row of the cohort.
    pub fn last_visit(&self, p: usize) -> usize {
        self.cohort.admissions.range(p).end - 1
    }

    /// How many of `patients` have each code to predict in their last visit.
    pub fn label_counts(&self, patients: &[usize]) -> Vec<u64> {
        let mut counts = vec![0; self.vocabulary.target_codes];
        self.last_visit_codes(patients).values().iter().for_each(|&c| counts[c as usize] += 1);
        counts
    }

    /// Codes to predict that at most `most` of all multi-visit patients have as a label; those that none has are among them.
    pub fn rare_labels(&self, most: u64) -> Vec<u32> {
        let everyone = [&self.splits.train[..], &self.splits.valid[..], &self.splits.test[..]].concat();
        let counts = self.label_counts(&everyone);
        (0..counts.len() as u32).filter(|&c| counts[c as usize] <= most).collect()
    }

    /// The abnormal laboratory items of an admission, as columns of all items that have a category.
    pub fn visit_labs(&self, admission: usize) -> Vec<u32> {
        columns(&self.vocabulary.labs, self.cohort.labs.row(admission).iter().copied())
    }

    /// The same of every admission, by the cohort's rows: made once, and then shared. `None` where no head of the experiment
    /// tells visits apart.
    pub fn all_visit_labs(&self) -> Option<Arc<Ragged<u32>>> {
        let made = self.labs_by_visit.as_ref()?;
        let rows = 0..self.cohort.admissions.values().len();
        Some(made.get_or_init(|| Arc::new(rows.map(|row| self.visit_labs(row)).collect())).clone())
    }

    /// For each patient the abnormal items of the last visit.
    pub fn last_visit_labs(&self, patients: &[usize]) -> Ragged<u32> {
        patients.iter().map(|&p| self.visit_labs(self.last_visit(p))).collect()
    }

    /// For each patient the abnormal items of a category over all visits, as columns of that category.
    pub fn category_labs(&self, patients: &[usize], category: usize) -> Ragged<u32> {
        let items = &self.vocabulary.category_labs[category];
        let labs = |p: usize| self.cohort.admissions.range(p).flat_map(|row| self.cohort.labs.row(row)).copied();
        patients.iter().map(|&p| columns(items, labs(p))).collect()
    }
}

/// Targets over `chosen` columns alone, numbered by their place there; rows keep the columns' new order ascending.
pub fn restrict(targets: &Ragged<u32>, chosen: &[u32]) -> Ragged<u32> {
    let width = chosen.iter().chain(targets.values()).max().map_or(0, |&c| c as usize + 1);
    let mut place = vec![None; width];
    chosen.iter().enumerate().for_each(|(i, &c)| place[c as usize] = Some(i as u32));
    targets.rows().map(|row| distinct(row.iter().filter_map(|&c| place[c as usize]))).collect()
}

/// Places of `labs` among the ascending `items`; labs that are no items are left out.
fn columns(items: &[u32], labs: impl Iterator<Item = u32>) -> Vec<u32> {
    distinct(labs.filter_map(|lab| items.binary_search(&lab).ok()).map(|i| i as u32))
}

fn distinct(values: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut values: Vec<u32> = values.collect();
    values.sort_unstable();
    values.dedup();
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Cohort, SplitOptions, prepare};
    use std::collections::HashMap;

    /// Ten patients of two visits, all with one diagnosis, and a drug that nobody else has.
    #[test]
    fn further_codes_are_no_labels_and_those_that_nobody_learns_from_are_left_out() {
        let mut cohort = Cohort {
            patients: (1..=10).collect(),
            admissions: (0..10).map(|p| [2 * p, 2 * p + 1]).collect(),
            codes: (0..20).map(|_| [0]).collect(),
            code_names: vec!["401.9".to_owned()],
            labs: (0..20).map(|_| []).collect(),
            nodes: vec!["drugs".to_owned()],
            ..Cohort::default()
        };
        let drugs: HashMap<i64, Vec<u32>> = (0..20).map(|row| (row, vec![(row / 2) as u32])).collect();
        let names: Vec<String> = (0..10).map(|drug| format!("drug {drug}")).collect();
        cohort.add_events("drugs", &drugs, &names);
        let data = prepare(cohort, &SplitOptions::default()).unwrap();
        assert!((0..20).all(|row| data.visit_codes(row) == [0]));
        assert_eq!((data.splits.train.len(), data.vocabulary.codes.len()), (8, 1 + 1 + 8));
        for &p in data.splits.valid.iter().chain(&data.splits.test) {
            assert_eq!(data.vocabulary.admission_codes.row(data.last_visit(p)), [1]);
        }
        let left_out = ("codes that only valid or test patients have, left out".to_owned(), 2);
        assert!(data.cohort.notes.contains(&left_out), "{:?}", data.cohort.notes);
    }

    #[test]
    fn restricted_targets_are_renumbered() {
        let targets = [vec![0, 2, 5], vec![1], vec![]].into_iter().collect();
        let expected: Ragged<u32> = [vec![0, 1], vec![], vec![]].into_iter().collect();
        assert_eq!(restrict(&targets, &[5, 2, 3]), expected);
    }
}
