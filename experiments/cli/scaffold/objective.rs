//@ says what a stage learns
//@ task = { type = "@NAME@" }
//! An objective: what a stage learns, that is its examples and targets, its heads and its metrics.

use dualk_sdk::prelude::*;
use dualk_sdk::train::metrics::recall_at_k;
use std::collections::BTreeSet;
use std::sync::Arc;

// What a manifest can set, each with its default: `task = { type = "@NAME@", letters = 1 }`.
options! {
    /// Options of `@NAME@`.
    pub struct Options {
        /// How many letters of a code name its family.
        #[schemars(range(min = 1))]
        pub letters: usize = 3,
    }
}

impl Component for Options {
    const NAME: &'static str = "@NAME@";
    const ABOUT: &'static str = "Ranks the families of codes for the next visit.";
}

impl BuildObjective for Options {
    fn build(self) -> Result<Box<dyn Objective>> {
        Ok(Box::new(self))
    }
}

impl Options {
    fn family(&self, code: &str) -> String {
        code.chars().take(self.letters).collect()
    }

    /// The families of all codes to predict, in alphabetical order.
    fn families(&self, data: &Dataset) -> Vec<String> {
        let codes = &data.vocabulary.codes[1..=data.vocabulary.target_codes]; // code 0 is padding
        codes.iter().map(|code| self.family(code)).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

impl Objective for Options {
    fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>> {
        // It sees the patient vector and the lab vector; which network it is, the slot `head` says.
        Ok(vec![HeadSpec::new("families", self.families(data).len())])
    }

    fn examples(&self, data: &Dataset, split: Split) -> Result<Examples> {
        let patients = match split {
            Split::Train => &data.splits.train,
            Split::Valid => &data.splits.valid,
            Split::Test => &data.splits.test,
        };
        let families = self.families(data);
        let earlier = |&p: &usize| data.cohort.admissions.range(p).map(|v| v as u32).take(data.cohort.visits(p) - 1);
        let target = |&p: &usize| -> BTreeSet<u32> {
            let codes = data.visit_codes(data.last_visit(p)); // columns: code 1 is column 0
            let names = codes.iter().map(|&c| self.family(&data.vocabulary.codes[c as usize + 1]));
            names.filter_map(|name| families.binary_search(&name).ok()).map(|i| i as u32).collect()
        };
        Ok(Examples {
            codes: Arc::new(data.vocabulary.admission_codes.clone()),
            visits: patients.iter().map(earlier).collect(),
            labs: data.last_visit_labs(patients),
            targets: vec![patients.iter().map(target).collect()], // one entry a head
            ..Examples::default()
        })
    }

    fn metrics(&self, predictions: &[Predictions<'_>]) -> Vec<(String, f64)> {
        let recall = |p: &Predictions<'_>, k| (format!("R@{k}"), recall_at_k(p.logits, p.columns, p.targets, k));
        predictions.iter().flat_map(|p| [recall(p, 5), recall(p, 10)]).collect()
    }

    fn primary(&self) -> &str {
        "R@5"
    }

    // Which column a code of the history is: baselines that copy the history are made from it.
    fn asks(&self, data: &Dataset, _: usize) -> Asks {
        let families = self.families(data);
        let column = |code: &String| families.binary_search(&self.family(code)).ok().map(|i| i as u32);
        let padding = std::iter::once(None);
        Asks::Codes(padding.chain(data.vocabulary.codes[1..].iter().map(column)).collect())
    }
}

export_plugin! { objective: Options }

#[cfg(test)]
mod tests {
    use super::*;
    use dualk_sdk::data::{SplitOptions, prepare};

    #[test]
    fn targets_are_the_families_of_the_last_visit() {
        let cohort = Cohort {
            patients: (1..=10).collect(),
            admissions: (0..10).map(|p| [2 * p, 2 * p + 1]).collect(),
            codes: (0..10).flat_map(|_| [vec![0], vec![1, 2, 3]]).collect(),
            code_names: ["401.9", "428.0", "428.1", "250.0"].map(String::from).to_vec(),
            labs: (0..20).map(|_| None).collect(),
            ..Cohort::default()
        };
        let data = prepare(cohort, &SplitOptions::default()).unwrap();
        let options = Options::default();
        assert_eq!(options.families(&data), ["250", "401", "428"]);
        assert_eq!(options.heads(&data).unwrap()[0].outputs, 3);
        let examples = options.examples(&data, Split::Train).unwrap();
        assert_eq!((examples.targets[0].row(0), examples.visits.row(0).len()), (&[0, 2][..], 1));
    }

    // Heads, targets and metrics that belong together, wrong options: `cargo test` says what is wrong with any of it.
    #[test]
    fn it_is_sound() {
        dualk_sdk::testing::check_objective(Options::default());
    }
}
