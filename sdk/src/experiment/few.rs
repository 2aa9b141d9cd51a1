//! What a run says of so few patients that it is nearly what it says of one: scrubbed runs do not say it.

use super::outcome::{LABELS, Outcome, Stratum};
use std::collections::BTreeMap;

/// The fewest patients that a part is measured of in a scrubbed run, and the fewest entries of a bin of calibration.
const FEWEST: usize = 10;

/// Leaves out the measures of subgroups of patients and of strata of the labels of fewer than [`FEWEST`] patients, those that tell
/// what these are as what the whole lacks, and the bins of calibration with fewer entries.
pub(super) fn leave_out_few(outcome: &mut Outcome) {
    for stage in &mut outcome.stages {
        // Somebody with several examples may be in several subgroups.
        let is_once = stage.patients == Some(stage.examples);
        for row in &mut stage.rows {
            leave_out_parts(&mut row.strata, is_once);
            row.reliability.retain(|bin| bin.entries >= FEWEST as u64);
        }
    }
}

fn leave_out_parts(strata: &mut Vec<Stratum>, is_once: bool) {
    let every = std::mem::take(strata);
    // How many examples or labels the parts of each division have together, by division and measure.
    let mut divisions: BTreeMap<(String, String), usize> = BTreeMap::new();
    for part in &every {
        *divisions.entry((part.by.clone(), part.measure.clone())).or_default() += part.number;
    }
    for (by, measure) in divisions.keys() {
        // The length of the history is known of all patients, sex and age perhaps not of some.
        let is_alike = |(other, of): &&(String, String)| of == measure && head(other) == head(by);
        let all = divisions.keys().filter(is_alike).map(|key| divisions[key]).max().unwrap_or(0);
        let parts: Vec<&Stratum> = every.iter().filter(|part| (&part.by, &part.measure) == (by, measure)).collect();
        strata.extend(told(parts, all, is_once && !measure.starts_with(LABELS)).into_iter().cloned());
    }
}

/// The head that a division is of, where there are several.
fn head(by: &str) -> Option<&str> {
    by.rsplit_once(": ").map(|(head, _)| head)
}

/// The parts of a division that are told, where `all` is what it divides: those of enough patients, but for the smallest of them,
/// until enough patients have what the others leave; `is_once`: nobody is in two parts.
fn told(parts: Vec<&Stratum>, all: usize, is_once: bool) -> Vec<&Stratum> {
    let nowhere = all.saturating_sub(parts.iter().map(|part| part.number).sum());
    let (mut shown, mut left): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.patients >= FEWEST);
    loop {
        let patients = left.iter().map(|part| part.patients);
        let rest = if is_once { patients.sum::<usize>() + nowhere } else { patients.max().unwrap_or(0) };
        let smallest = (0..shown.len()).min_by_key(|&place| shown[place].number);
        match smallest {
            Some(place) if rest < FEWEST && (nowhere > 0 || !left.is_empty()) => left.push(shown.remove(place)),
            _ => return shown,
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
            patients: number,
            interval: None,
        };
        parts.iter().map(one).collect()
    }

    /// What is left of these parts.
    fn left(parts: &[(&str, &str, &str, usize)]) -> Vec<(String, String)> {
        let mut strata = strata(parts);
        leave_out_parts(&mut strata, true);
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

    /// Of one patient there may be ten labels, and ten examples.
    #[test]
    fn patients_count_and_not_their_labels_or_examples() {
        let of = |by: &str, part: &str, measure: &str, number: usize, patients: usize| Stratum {
            patients,
            ..strata(&[(by, part, measure, number)]).remove(0)
        };
        let left = |mut parts: Vec<Stratum>| {
            leave_out_parts(&mut parts, false);
            parts.into_iter().map(|part| part.part).collect::<Vec<_>>()
        };
        let labels =
            |part: &str, number, patients| of("had before", part, "labels among the first 10", number, patients);
        assert!(left(vec![labels("new", 12, 1), labels("repeated", 90, 30)]).is_empty());
        assert_eq!(left(vec![labels("new", 12, 10), labels("repeated", 90, 30)]), ["new", "repeated"]);
        let ages = |part: &str, number, patients| of("age", part, "R@10", number, patients);
        assert!(left(vec![ages("<45", 40, 20), ages("80+", 12, 3)]).is_empty());
        // The same six patients may be in two parts.
        let two = [ages("<45", 40, 20), ages("45–64", 50, 25), ages("65–79", 12, 6), ages("80+", 12, 6)];
        assert_eq!(left(two.to_vec()), ["45–64"]);
        // Versions before did not count patients.
        assert!(left(vec![labels("new", 120, 0)]).is_empty());
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
