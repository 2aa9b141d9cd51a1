//! `length_of_stay`: how many days a stay lasts, in ten classes.

use crate::next_visit;
use crate::stays::{self, Needs, Seen, Stay};
use crate::task_options::task_options;
use dualk_sdk::data::{AdmissionFacts, SECONDS_PER_DAY};
use dualk_sdk::prelude::*;

task_options! {
    /// Options of `length_of_stay`.
    pub struct LengthOfStay {
        /// Which visits are seen: the `history`, which is the stay that is asked from and those before it, or that `visit` alone, as
        /// PyHealth does.
        pub seen: Seen = Seen::History,
        /// Kinds of codes that the stay must have, such as `["procedures", "drugs"]`, without which PyHealth leaves it out.
        pub needs: Vec<String> = Vec::new(),
        /// Whether patients with one stay are asked about too, as PyHealth does; they are divided as the others are. With a random
        /// split those of valid and test are in no pretraining and not in the graph.
        pub single: bool = false,
    }
    of stays
}

impl Component for LengthOfStay {
    const NAME: &'static str = "length_of_stay";
    const ABOUT: &'static str = "Days of a stay in ten classes: below 1, 1 to 7, up to 14, more; its own codes are seen. Wants the loss cross_entropy.";
    const CITATION: &'static str = "PyHealth, length_of_stay_prediction_mimic4_fn";
}

impl BuildObjective for LengthOfStay {
    fn build(self) -> Result<Box<dyn Objective>> {
        Ok(Box::new(self))
    }
}

const CLASSES: usize = 10;

/// The class of a stay, where its times are known.
fn class_of(facts: &AdmissionFacts) -> Option<u32> {
    let (start, end) = facts.start.zip(facts.end)?;
    Some(class((end - start).div_euclid(SECONDS_PER_DAY)))
}

/// The class of a number of whole days.
fn class(days: i64) -> u32 {
    match days {
        ..1 => 0,
        1..=7 => days as u32,
        8..=14 => 8,
        _ => 9,
    }
}

impl Objective for LengthOfStay {
    fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>> {
        stays::facts(data, "when stays end", |f| f.start.is_some() && f.end.is_some())?;
        Needs::new(data, &self.needs)?;
        next_visit::head("days", self.head, CLASSES, data)
    }

    fn examples(&self, data: &Dataset, split: Split) -> Result<Examples> {
        let facts = stays::facts(data, "when stays end", |f| f.start.is_some() && f.end.is_some())?;
        let needs = Needs::new(data, &self.needs)?;
        let mut asked = Vec::new();
        for patient in stays::patients(data, split, self.single) {
            let rows = data.cohort.admissions.range(patient);
            for row in rows.clone().filter(|&row| needs.met(row)) {
                let Some(class) = class_of(&facts[row]) else { continue };
                asked.push(Stay { seen: self.seen.rows(rows.start, row), asked: row, target: vec![class] });
            }
        }
        Ok(stays::examples(data, &asked, self.labs))
    }

    fn asks_about_single(&self) -> bool {
        self.single
    }

    fn meter(&self) -> Option<Box<dyn Meter>> {
        Some(Box::<Confusion>::default())
    }

    fn primary(&self) -> &str {
        "accuracy"
    }

    fn exclusive(&self) -> bool {
        true
    }

    /// The class of each stay; nothing where no stay before the one in question is seen.
    fn asks(&self, data: &Dataset, _: usize) -> Asks {
        match self.seen {
            Seen::History => Asks::Visits(data.cohort.admission_facts.iter().map(class_of).collect()),
            Seen::Visit => Asks::Nothing,
        }
    }

    fn asked_visit(&self) -> AskedVisit {
        AskedVisit::Last
    }

    fn labels(&self, _: &Dataset, _: usize) -> Option<Vec<String>> {
        let days = (0..8).map(|days| days.to_string()).chain(["8-14", "15+"].map(str::to_owned));
        Some(days.map(|days| format!("days:{days}")).collect())
    }

    fn labs(&self) -> Option<Labs> {
        Some(self.seen.labs(self.labs, true))
    }
}

/// Examples by their class, and by the class that is most likely.
#[derive(Default)]
struct Confusion {
    counts: [[usize; CLASSES]; CLASSES],
}

impl Meter for Confusion {
    fn update(&mut self, predictions: &[Predictions<'_>]) {
        let Some(p) = predictions.first() else { return };
        for (row, truth) in p.logits.chunks_exact(p.columns.max(1)).zip(p.targets.rows()) {
            let likely = row.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(class, _)| class);
            if let Some(&truth) = truth.first() {
                self.counts[truth as usize][likely.min(CLASSES - 1)] += 1;
            }
        }
    }

    /// Accuracy of the most likely class, F1 of it averaged over the classes that occur, and by how many classes it is
    /// off.
    fn compute(&self) -> Vec<(String, f64)> {
        let counts = &self.counts;
        let all = counts.iter().flatten().sum::<usize>().max(1) as f64;
        let right: usize = (0..CLASSES).map(|c| counts[c][c]).sum();
        let off: usize = (0..CLASSES)
            .flat_map(|t| (0..CLASSES).map(move |p| (t, p)))
            .map(|(t, p)| counts[t][p] * t.abs_diff(p))
            .sum();
        let f1 = (0..CLASSES).filter_map(|c| {
            let (truth, marked) = (counts[c].iter().sum::<usize>(), counts.iter().map(|row| row[c]).sum::<usize>());
            (truth + marked > 0).then(|| 2.0 * counts[c][c] as f64 / (truth + marked) as f64)
        });
        let f1: Vec<f64> = f1.collect();
        vec![
            ("accuracy".to_owned(), right as f64 / all),
            ("F1-macro".to_owned(), f1.iter().sum::<f64>() / f1.len().max(1) as f64),
            ("classes off".to_owned(), off as f64 / all),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::data;

    /// categorize_los of PyHealth 1.1.6 for these days.
    #[test]
    fn classes_are_those_of_pyhealth() {
        let days = [-1, 0, 1, 2, 7, 8, 14, 15, 100];
        assert_eq!(days.map(class), [0, 0, 1, 2, 7, 8, 8, 9, 9]);
    }

    #[test]
    fn every_stay_has_one_class() {
        let task = LengthOfStay::default();
        assert!(task.exclusive());
        assert!(task.examples(&data(), Split::Test).unwrap().targets[0].rows().all(|row| row.len() == 1));
    }

    #[test]
    fn a_column_is_called_by_the_days_of_its_class() {
        let labels = LengthOfStay::default().labels(&data(), 0).unwrap();
        assert_eq!(labels.len(), CLASSES);
        assert_eq!(
            [0, 7, 8, 15].map(|days| labels[class(days) as usize].as_str()),
            ["days:0", "days:7", "days:8-14", "days:15+"]
        );
    }

    #[test]
    fn every_stay_is_asked_about_with_its_own_codes() {
        let data = data();
        let examples = LengthOfStay::default().examples(&data, Split::Train).unwrap();
        assert_eq!(examples.len(), data.splits.train.iter().map(|&p| data.cohort.visits(p)).sum::<usize>());
        for (visits, target) in examples.visits.rows().zip(examples.targets[0].rows()) {
            assert_eq!(target, [class(i64::from(visits[visits.len() - 1]) % 16)]);
        }
    }

    #[test]
    fn a_history_is_of_the_classes_of_stays() {
        let data = data();
        let Asks::Visits(rows) = LengthOfStay::default().asks(&data, 0) else { panic!("stays have classes") };
        // The stay in row r lasts r modulo 16 days.
        for (row, classes) in rows.rows().enumerate() {
            assert_eq!(classes, [class(row as i64 % 16)]);
        }
        assert_eq!(rows.len(), data.cohort.admission_facts.len());
        assert_eq!(LengthOfStay { seen: Seen::Visit, ..Default::default() }.asks(&data, 0), Asks::Nothing);
    }

    #[test]
    fn every_patient_is_in_one_part() {
        let data = data();
        let task = LengthOfStay { single: true, ..Default::default() };
        let parts = [Split::Train, Split::Valid, Split::Test];
        let mut asked: Vec<u32> = Vec::new();
        for split in parts {
            let examples = task.examples(&data, split).unwrap();
            asked.extend(examples.visits.rows().map(|visits| visits[visits.len() - 1]));
        }
        asked.sort_unstable();
        assert_eq!(asked, (0..data.cohort.admissions.values().len() as u32).collect::<Vec<_>>());
        // The fraction in the split is that of the patients with several stays, but for less than one patient.
        let of = |split| stays::patients(&data, split, true).len() - next_visit::patients(&data, split).len();
        let several: usize = parts.iter().map(|&split| next_visit::patients(&data, split).len()).sum();
        for split in parts {
            let share =
                data.splits.single.len() as f64 * next_visit::patients(&data, split).len() as f64 / several as f64;
            assert!((of(split) as f64 - share).abs() < 1.0, "{split:?}: {} {share}", of(split));
        }
    }

    /// Nothing is learnt from patients with one stay who are asked about in valid and test.
    #[test]
    fn who_is_reported_on_is_not_learnt_from() {
        use crate::lab_layer::LabLayer;
        use dualk_sdk::data::{SplitOptions, prepare_for};
        let task = LengthOfStay { single: true, ..Default::default() };
        assert!(task.asks_about_single() && !LengthOfStay::default().asks_about_single());
        let data = prepare_for(data().cohort, &SplitOptions::default(), true).unwrap();
        let learnt = &data.splits.pretrain;
        let [train, valid, test] = data.splits.single_splits(&data.cohort);
        assert!(!valid.is_empty() && !test.is_empty() && train.iter().all(|p| learnt.contains(p)));
        assert!(valid.iter().chain(&test).all(|p| !learnt.contains(p)));
        for split in [Split::Train, Split::Valid] {
            let examples = LabLayer::default().examples(&data, split).unwrap();
            assert!(!examples.is_empty() && examples.patients.len() == examples.len());
            assert!(examples.patients.iter().all(|&p| learnt.contains(&(p as usize))));
        }
    }

    /// sklearn.metrics: accuracy_score, f1_score(average="macro"), mean_absolute_error of
    /// [0, 1, 1, 9] and [0, 1, 2, 8].
    #[test]
    fn metrics_by_hand() {
        let mut logits = vec![0f32; 40];
        [0, 1, 2, 8].iter().enumerate().for_each(|(row, class)| logits[row * 10 + class] = 1.0);
        let targets: Ragged<u32> = [vec![0], vec![1], vec![1], vec![9]].into_iter().collect();
        let predictions = Predictions { head: "days", logits: &logits, columns: 10, targets: &targets, numbers: &[] };
        let metrics = LengthOfStay::default().metrics(&[predictions]);
        let values: Vec<f64> = metrics.iter().map(|m| m.1).collect();
        assert_eq!(values, [0.5, (1.0 + 2.0 / 3.0) / 5.0, 0.5]);
    }
}
