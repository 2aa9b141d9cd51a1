//! What a run says of so few patients that it is nearly what it says of one: scrubbed runs do not say it.

use super::outcome::{Outcome, Stratum};
use std::collections::BTreeMap;

/// The fewest examples or labels that a part of them is measured of in a scrubbed run. Of labels there are at least as many as
/// of their patients.
const FEWEST: usize = 10;

/// Leaves out the measures of subgroups of patients and strata of labels with fewer than [`FEWEST`], those that tell what these
/// are as what the whole lacks, and the bins of calibration with fewer entries.
pub(super) fn leave_out_few(outcome: &mut Outcome) {
    for row in outcome.stages.iter_mut().flat_map(|stage| &mut stage.rows) {
        leave_out_parts(&mut row.strata);
        row.reliability.retain(|bin| bin.entries >= FEWEST as u64);
    }
}

fn leave_out_parts(strata: &mut Vec<Stratum>) {
    // How many the parts of each division have together, by division and measure.
    let mut divisions: BTreeMap<(String, String), usize> = BTreeMap::new();
    for part in strata.iter() {
        *divisions.entry((part.by.clone(), part.measure.clone())).or_default() += part.number;
    }
    strata.retain(|part| part.number >= FEWEST);
    for (by, measure) in divisions.keys() {
        // The length of the history is known of all patients, sex and age perhaps not of some.
        let is_alike = |(other, of): &&(String, String)| of == measure && head(other) == head(by);
        let all = divisions.keys().filter(is_alike).map(|key| divisions[key]).max().unwrap_or(0);
        leave_out_rest(strata, by, measure, all);
    }
}

/// The head that a division is of, where there are several.
fn head(by: &str) -> Option<&str> {
    by.rsplit_once(": ").map(|(head, _)| head)
}

/// Leaves out the smallest parts of a division, until no part has what `all` have more than the others, or enough have it.
fn leave_out_rest(strata: &mut Vec<Stratum>, by: &str, measure: &str, all: usize) {
    loop {
        let is_part = |part: &Stratum| part.by == by && part.measure == measure;
        let shown: usize = strata.iter().filter(|part| is_part(part)).map(|part| part.number).sum();
        let parts = strata.iter().enumerate().filter(|(_, part)| is_part(part));
        let smallest = parts.min_by_key(|(_, part)| part.number).map(|(place, _)| place);
        match smallest {
            Some(place) if (1..FEWEST).contains(&all.saturating_sub(shown)) => drop(strata.remove(place)),
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::outcome::{Row, StageOutcome};
    use crate::train::Reliability;

    fn strata(parts: &[(&str, &str, &str, usize)]) -> Vec<Stratum> {
        let one = |&(by, part, measure, number): &(&str, &str, &str, usize)| Stratum {
            by: by.into(),
            part: part.into(),
            measure: measure.into(),
            value: 1.0,
            number,
            interval: None,
        };
        parts.iter().map(one).collect()
    }

    /// What is left of these parts.
    fn left(parts: &[(&str, &str, &str, usize)]) -> Vec<(String, String)> {
        let mut strata = strata(parts);
        leave_out_parts(&mut strata);
        strata.into_iter().map(|part| (part.by, part.part)).collect()
    }

    fn named(parts: &[(&str, &str)]) -> Vec<(String, String)> {
        parts.iter().map(|&(by, part)| (by.to_owned(), part.to_owned())).collect()
    }

    #[test]
    fn measures_of_few_patients_are_left_out_of_every_row() {
        let row = |name: &str| Row {
            name: name.into(),
            strata: strata(&[("age", "65–79", "R@10", 30), ("age", "80+", "R@10", 1)]),
            reliability: [9, 10].map(|entries| Reliability { probability: 0.5, frequency: 1.0, entries }).into(),
            ..Row::default()
        };
        let mut outcome = Outcome {
            name: "x".into(),
            device: "cpu".into(),
            parameters: 1,
            seconds: 1.0,
            vectors: Vec::new(),
            trained: Vec::new(),
            stages: vec![StageOutcome::of_rows(vec![row("history"), row("x, epoch 1")])],
        };
        leave_out_few(&mut outcome);
        for row in &outcome.stages[0].rows {
            // Of 31 patients the others' measure would tell that of the one.
            assert!(row.strata.is_empty(), "{}", row.name);
            assert_eq!(row.reliability.iter().map(|bin| bin.entries).collect::<Vec<_>>(), [10]);
        }
    }

    /// The measure of all and those of all parts but one tell that of the one.
    #[test]
    fn what_is_left_out_is_not_told_by_the_others() {
        let ages = [("age", "<45", "R@10", 25), ("age", "45–64", "R@10", 24), ("age", "80+", "R@10", 1)];
        assert_eq!(left(&ages), named(&[("age", "<45")]));
        let two = [("age", "<45", "R@10", 25), ("age", "65–79", "R@10", 4), ("age", "80+", "R@10", 6)];
        assert_eq!(left(&two), named(&[("age", "<45")]), "ten are enough");
        // The sex of one patient is not known.
        let sexes = [("history", "1 visit", "R@10", 50), ("sex", "female", "R@10", 30), ("sex", "male", "R@10", 19)];
        assert_eq!(left(&sexes), named(&[("history", "1 visit"), ("sex", "female")]));
        let known = [("history", "1 visit", "R@10", 49), ("sex", "female", "R@10", 30), ("sex", "male", "R@10", 19)];
        assert_eq!(left(&known).len(), 3);
    }

    #[test]
    fn measures_heads_and_labels_are_looked_at_one_by_one() {
        let parts = [
            ("a: sex", "female", "AUROC", 30),
            ("a: sex", "male", "AUROC", 9),
            ("a: sex", "female", "Brier", 30),
            ("b: sex", "female", "AUROC", 35),
            ("code frequency", "0–20 %", "labels among the first 10", 9),
            ("code frequency", "20–40 %", "labels among the first 10", 70),
            ("code frequency", "40–60 %", "labels among the first 10", 80),
        ];
        let expected = [("a: sex", "female"), ("b: sex", "female"), ("code frequency", "40–60 %")];
        assert_eq!(left(&parts), named(&expected));
    }
}
