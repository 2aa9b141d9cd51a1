//! What the fine-tuning tasks share: visits up to one are seen, the codes of the next one are asked for.

use crate::abnormal_labs::lab_heads;
use dualk_sdk::prelude::*;
use dualk_sdk::serde::{Deserialize, Serialize};
use dualk_sdk::train::Ranking;
use std::sync::Arc;

/// What the head of a task sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, dualk_sdk::schemars::JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum TaskHead {
    /// A classifier over what the pretraining decoders see last, patient and labs.
    Full,
    /// A decoder over patient and labs, without pretraining decoders.
    Direct,
}

/// Which examples a task makes of a patient.
#[derive(Debug, Clone, Copy)]
pub struct NextVisit {
    /// Whose items enter.
    pub labs: Labs,
    /// Whether every visit after the first is asked for in training, instead of the last.
    pub all_visits: bool,
    /// Whether examples without a positive are left out.
    pub drop_empty: bool,
}

/// Where recall is cut off.
const KS: [usize; 4] = [10, 20, 30, 40];

/// The head of a task.
///
/// # Errors
/// When it is over decoders of laboratory items, and the cohort has none.
pub fn head(name: &str, head: TaskHead, outputs: usize, data: &Dataset) -> Result<Vec<HeadSpec>> {
    let spec = HeadSpec::new(name, outputs);
    let spec = match head {
        TaskHead::Full => {
            let instead = "`head = \"direct\"` is one over the patient alone";
            let decoders = lab_heads(data, instead).map_err(|e| e.at_key("head"))?;
            spec.over_kept(decoders).network("classifier")
        }
        TaskHead::Direct => spec.network("decoder"),
    };
    Ok(vec![spec])
}

/// Multi-visit patients of a split.
pub fn patients(data: &Dataset, split: Split) -> &[usize] {
    match split {
        Split::Train => &data.splits.train,
        Split::Valid => &data.splits.valid,
        Split::Test => &data.splits.test,
    }
}

impl NextVisit {
    /// What a reader of the table must know of it, beside whose items enter.
    pub fn caption(&self) -> String {
        if self.all_visits { "learns from every visit".to_owned() } else { String::new() }
    }

    /// Examples of a split: visits up to the one that is asked for, the items that enter, and `label` of that visit, which
    /// is given as a row of the cohort's admissions. Valid and test ask for the last visit of each patient alone.
    pub fn examples(&self, data: &Dataset, split: Split, label: impl Fn(usize) -> Vec<u32>) -> Examples {
        let (mut visits, mut labs, mut targets) = (Ragged::new(), Ragged::new(), Ragged::new());
        for &p in patients(data, split) {
            let rows = data.cohort.admissions.range(p);
            let first = if self.all_visits && split == Split::Train { rows.start + 1 } else { rows.end - 1 };
            for target in first..rows.end {
                let positives = label(target);
                if self.drop_empty && positives.is_empty() {
                    continue;
                }
                visits.push(rows.start as u32..target as u32);
                labs.push(items(self.labs, data, rows.start, target));
                targets.push(positives);
            }
        }
        Examples {
            codes: Arc::new(data.vocabulary.admission_codes.clone()),
            visits,
            labs,
            visit_labs: if self.labs == Labs::History { data.all_visit_labs() } else { None },
            targets: vec![targets],
            ..Examples::default()
        }
    }
}

/// The items of an example whose visits before the one that is asked for, `target`, are `first..target`: as columns,
/// ascending, each once.
pub fn items(labs: Labs, data: &Dataset, first: usize, target: usize) -> Vec<u32> {
    match labs {
        Labs::Target => data.visit_labs(target),
        Labs::Last => (first..target).next_back().map(|row| data.visit_labs(row)).unwrap_or_default(),
        Labs::None => Vec::new(),
        Labs::History => {
            let mut items: Vec<u32> = (first..target).flat_map(|row| data.visit_labs(row)).collect();
            items.sort_unstable();
            items.dedup();
            items
        }
    }
}

/// The columns that codes would be again, when the columns are `chosen` of the codes to predict.
pub fn asks_for(data: &Dataset, chosen: impl IntoIterator<Item = u32>) -> Asks {
    let mut columns = vec![None; data.vocabulary.nodes()];
    chosen.into_iter().zip(0..).for_each(|(code, column)| columns[code as usize + 1] = Some(column));
    Asks::Codes(columns)
}

/// For each code to predict its column, when the columns are `chosen`.
pub fn places(chosen: Vec<u32>, data: &Dataset) -> Vec<Option<u32>> {
    let mut places = vec![None; data.vocabulary.target_codes];
    chosen.into_iter().zip(0..).for_each(|(code, column)| places[code as usize] = Some(column));
    places
}

/// The columns of codes that have one, ascending.
pub fn restricted(codes: &[u32], places: &[Option<u32>]) -> Vec<u32> {
    let mut columns: Vec<u32> = codes.iter().filter_map(|&c| places.get(c as usize).copied().flatten()).collect();
    columns.sort_unstable();
    columns
}

/// Weighted F1 and recall at 10, 20, 30 and 40.
pub fn ranking() -> Ranking {
    Ranking::new(&KS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abnormal_labs::AbnormalLabs;
    use crate::diagnosis::Diagnosis;
    use crate::lab_layer::LabLayer;
    use dualk_sdk::data::{LabItem, SplitOptions, prepare};

    /// Ten patients of three visits; visit v of each has code v and item v abnormal.
    fn data() -> Dataset {
        let cohort = Cohort {
            patients: (1..=10).collect(),
            admissions: (0..10).map(|p| [3 * p, 3 * p + 1, 3 * p + 2]).collect(),
            codes: (0..30).map(|row| [row % 3]).collect(),
            code_names: ["401.9", "428.0", "250.0"].map(String::from).to_vec(),
            labs: (0..30).map(|row| [row % 3]).collect(),
            lab_items: (0..3).map(|id| LabItem { id, category: Some(0) }).collect(),
            lab_categories: vec!["chemistry".to_owned()],
            ..Cohort::default()
        };
        prepare(cohort, &SplitOptions::default()).unwrap()
    }

    #[test]
    fn a_cohort_without_items_is_told_what_to_do() {
        let mut data = data();
        data.cohort.lab_categories.clear();
        data.vocabulary.category_labs.clear();
        data.vocabulary.labs.clear();
        let stages: [(Box<dyn Objective>, &str); 3] = [
            (Box::new(Diagnosis::default()), "`head = \"direct\"`"),
            (Box::new(AbnormalLabs::default()), "leave this stage out"),
            (Box::new(LabLayer::default()), "leave this stage out"),
        ];
        for (objective, help) in stages {
            let error = objective.heads(&data).unwrap_err();
            assert!(
                error.exit_code() == 2
                    && error.to_string().contains("no laboratory items")
                    && error.to_string().contains(help),
                "{error}"
            );
        }
        assert!(Diagnosis { head: TaskHead::Direct, ..Diagnosis::default() }.heads(&data).is_ok());
    }

    #[test]
    fn items_are_those_that_the_option_says() {
        let data = data();
        for (labs, expected) in
            [(Labs::Target, &[2][..]), (Labs::Last, &[1]), (Labs::History, &[0, 1]), (Labs::None, &[])]
        {
            let task = NextVisit { labs, all_visits: false, drop_empty: false };
            let examples = task.examples(&data, Split::Test, |row| data.visit_codes(row));
            assert_eq!((examples.len(), examples.labs.row(0)), (1, expected), "{labs:?}");
            assert_eq!((examples.visits.row(0).len(), examples.targets[0].row(0)), (2, &[2][..]));
            // Items by visit would tell more than the other options allow.
            assert_eq!(examples.visit_labs.is_some(), labs == Labs::History);
        }
    }

    #[test]
    fn items_of_each_visit_are_made_once_and_where_a_head_tells_visits_apart() {
        let data = data();
        let task = NextVisit { labs: Labs::History, all_visits: false, drop_empty: false };
        let of = |data: &Dataset, split: Split| task.examples(data, split, |row| data.visit_codes(row)).visit_labs;
        let [train, valid, test] = [Split::Train, Split::Valid, Split::Test].map(|split| of(&data, split).unwrap());
        assert!(Arc::ptr_eq(&train, &valid) && Arc::ptr_eq(&train, &test));
        assert_eq!((train.len(), train.row(4)), (30, &data.visit_labs(4)[..]));
        let together = Dataset { labs_by_visit: None, ..data };
        assert!(of(&together, Split::Train).is_none());
    }

    #[test]
    fn every_visit_after_the_first_is_asked_for_in_training() {
        let data = data();
        let task = NextVisit { labs: Labs::Last, all_visits: true, drop_empty: false };
        let train = task.examples(&data, Split::Train, |row| data.visit_codes(row));
        assert_eq!(train.len(), 2 * data.splits.train.len());
        assert_eq!((train.visits.row(0).len(), train.targets[0].row(0), train.labs.row(0)), (1, &[1][..], &[0][..]));
        assert_eq!((train.visits.row(1).len(), train.targets[0].row(1), train.labs.row(1)), (2, &[2][..], &[1][..]));
        assert_eq!(task.examples(&data, Split::Valid, |row| data.visit_codes(row)).len(), data.splits.valid.len());
        let rare = NextVisit { drop_empty: true, ..task };
        let only = |row| data.visit_codes(row).into_iter().filter(|&c| c == 2).collect();
        assert_eq!(rare.examples(&data, Split::Train, only).len(), data.splits.train.len());
    }
}
