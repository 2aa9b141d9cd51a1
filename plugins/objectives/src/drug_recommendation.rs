//! `drug_recommendation`: the drugs of a visit from its diagnoses and the visits before it.

use crate::next_visit;
use crate::stays::{self, Needs, Stay};
use crate::task_options::task_options;
use dualk_sdk::data::Events;
use dualk_sdk::prelude::*;
use dualk_sdk::train::Ranking;

task_options! {
    /// Options of `drug_recommendation`.
    pub struct DrugRecommendation {
        /// Kind of the codes to recommend, as the parser calls them.
        pub kind: String = "drugs".into(),
        /// Further kinds of codes that a visit must have, such as `["procedures"]`, without which PyHealth leaves it out.
        pub needs: Vec<String> = Vec::new(),
        /// Visits with all of them that a patient must have to be asked about; PyHealth wants 2.
        #[schemars(range(min = 1))]
        pub visits: usize = 1,
    }
    of stays
}

impl Component for DrugRecommendation {
    const NAME: &'static str = "drug_recommendation";
    const ABOUT: &'static str = "Recommends the drugs of a visit from its diagnoses and the visits before it.";
    const CITATION: &'static str = "PyHealth, drug_recommendation_mimic4_fn";
}

impl BuildObjective for DrugRecommendation {
    fn build(self) -> Result<Box<dyn Objective>> {
        Ok(Box::new(self))
    }
}

/// Where recall is cut off.
const KS: [usize; 2] = [10, 20];

impl DrugRecommendation {
    fn events<'a>(&self, data: &'a Dataset) -> Result<&'a Events> {
        stays::events(data, &self.kind, "kind")
    }

    /// The columns of the drugs of each visit: those have one that somebody has who is learnt from.
    fn columns(&self, data: &Dataset) -> Result<Ragged<u32>> {
        let events = self.events(data)?;
        let mut columns = vec![None; events.names.len()];
        data.known_events(&self.kind).iter().zip(0..).for_each(|(&drug, column)| columns[drug as usize] = Some(column));
        Ok(events.rows.rows().map(|row| row.iter().filter_map(|&drug| columns[drug as usize])).collect())
    }
}

impl Objective for DrugRecommendation {
    fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>> {
        Needs::new(data, &self.needs)?;
        self.events(data)?;
        next_visit::head("drugs", self.head, data.known_events(&self.kind).len(), data)
    }

    fn examples(&self, data: &Dataset, split: Split) -> Result<Examples> {
        let (columns, needs) = (self.columns(data)?, Needs::new(data, &self.needs)?);
        let mut asked = Vec::new();
        for &patient in next_visit::patients(data, split) {
            let rows = data.cohort.admissions.range(patient);
            // A visit without drugs has nothing to recommend, and one whose drugs have no columns nothing that can be.
            let has_all = |row: &usize| needs.met(*row) && !columns.row(*row).is_empty();
            let of_patient: Vec<usize> = rows.clone().filter(has_all).collect();
            if of_patient.len() < self.visits {
                continue;
            }
            for row in of_patient {
                let mut target = columns.row(row).to_vec();
                target.sort_unstable();
                asked.push(Stay { seen: rows.start..row + 1, asked: row, target });
            }
        }
        Ok(stays::examples(data, &asked, self.labs))
    }

    fn meter(&self) -> Option<Box<dyn Meter>> {
        Some(Box::new(Drugs { ranking: Ranking::new(&KS), jaccard: 0.0, examples: 0 }))
    }

    fn primary(&self) -> &str {
        "Jaccard"
    }

    /// The drugs of each visit.
    fn asks(&self, data: &Dataset, _: usize) -> Asks {
        self.columns(data).map_or(Asks::Nothing, Asks::Visits)
    }

    fn asked_visit(&self) -> AskedVisit {
        AskedVisit::Last
    }

    fn labels(&self, data: &Dataset, _: usize) -> Option<Vec<String>> {
        let names = &self.events(data).ok()?.names;
        Some(data.known_events(&self.kind).iter().map(|&drug| names[drug as usize].clone()).collect())
    }

    fn labs(&self) -> Option<Labs> {
        Some(self.labs)
    }
}

/// The metrics of a ranking after the mean over examples of |marked ∩ true| / |marked ∪ true|, where codes with a
/// probability above ½ are marked.
struct Drugs {
    ranking: Ranking,
    /// Sum over examples.
    jaccard: f64,
    examples: usize,
}

impl Meter for Drugs {
    fn update(&mut self, predictions: &[Predictions<'_>]) {
        let Some(p) = predictions.first() else { return };
        let rows = p.logits.chunks_exact(p.columns.max(1)).zip(p.targets.rows());
        for (row, truth) in rows {
            let marked = row.iter().filter(|logit| **logit > 0.0).count();
            let both = truth.iter().filter(|&&column| row[column as usize] > 0.0).count();
            self.jaccard += both as f64 / (marked + truth.len() - both).max(1) as f64;
        }
        self.examples += p.targets.len();
        self.ranking.update(predictions);
    }

    fn compute(&self) -> Vec<(String, f64)> {
        let jaccard = ("Jaccard".to_owned(), self.jaccard / self.examples.max(1) as f64);
        std::iter::once(jaccard).chain(self.ranking.compute()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::data;
    use dualk_sdk::data::{SplitOptions, prepare};
    use std::ops::Range;

    #[test]
    fn drugs_of_the_visit_are_the_targets() {
        let data = data();
        let task = DrugRecommendation::default();
        assert_eq!(task.heads(&data).unwrap()[0].outputs, 5);
        assert_eq!(task.labels(&data, 0).as_ref(), Some(&data.cohort.events[0].names));
        let examples = task.examples(&data, Split::Train).unwrap();
        for (visits, target) in examples.visits.rows().zip(examples.targets[0].rows()) {
            let row = visits[visits.len() - 1];
            let mut drugs: Vec<&str> =
                target.iter().map(|&d| data.cohort.events[0].names[d as usize].as_str()).collect();
            drugs.sort_unstable();
            assert_eq!(drugs, [format!("drug {}", row % 5)]);
        }
        let all: usize = data.splits.train.iter().map(|&p| data.cohort.visits(p)).sum();
        assert!(examples.len() < all, "visits without drugs are left out");
        // A patient who has drugs in one visit alone has nothing to be recommended from.
        let with_two = DrugRecommendation { visits: 2, ..Default::default() }.examples(&data, Split::Train).unwrap();
        let drugs = |p: &usize| data.cohort.admissions.range(*p).filter(|row| row % 4 != 0).count();
        let expected: usize = data.splits.train.iter().map(drugs).filter(|&visits| visits >= 2).sum();
        assert!(expected == with_two.len() && expected < examples.len(), "{expected} {}", with_two.len());
        let other = DrugRecommendation { kind: "drug".into(), ..Default::default() };
        assert!(other.heads(&data).unwrap_err().to_string().contains("did you mean `drugs`"));
    }

    /// The same cohort, in which one test patient has `aspirin`, as nobody else does: in one visit alone, and in another beside the
    /// drug of it. With the rows of the two visits.
    fn with_aspirin(known: &Dataset) -> (Cohort, [usize; 2]) {
        let rows = |&p: &usize| known.cohort.admissions.range(p);
        let with_drugs = |mut visits: Range<usize>| visits.next().zip(visits.find(|row| row % 4 != 0));
        let (alone, beside) = known.splits.test.iter().map(rows).find_map(with_drugs).unwrap();
        let mut cohort = known.cohort.clone();
        let events = &mut cohort.events[0];
        events.names.insert(0, "aspirin".to_owned());
        let drugs = |(row, drugs): (usize, &[u32])| -> Vec<u32> {
            let aspirin = [0].into_iter().filter(|_| row == alone || row == beside);
            aspirin.chain(drugs.iter().filter(|_| row != alone).map(|drug| drug + 1)).collect()
        };
        events.rows = known.cohort.events[0].rows.rows().enumerate().map(drugs).collect();
        (cohort, [alone, beside])
    }

    #[test]
    fn drugs_that_only_others_have_are_no_columns_and_counted() {
        let known = data();
        let (cohort, [alone, beside]) = with_aspirin(&known);
        let data = prepare(cohort, &SplitOptions::default()).unwrap();
        assert_eq!(data.splits, known.splits);
        let task = DrugRecommendation::default();
        assert_eq!((task.heads(&data).unwrap()[0].outputs, task.labels(&data, 0)), (5, task.labels(&known, 0)));
        let asked = |data: &Dataset, row: usize| {
            let examples = task.examples(data, Split::Test).unwrap();
            let mut all = examples.visits.rows().zip(examples.targets[0].rows());
            all.find(|(visits, _)| visits.last() == Some(&(row as u32))).map(|(_, target)| target.to_vec())
        };
        assert_eq!(asked(&data, alone), None, "there is nothing that can be recommended");
        assert!(asked(&data, beside).is_some() && asked(&data, beside) == asked(&known, beside));
        let [Asks::Visits(found), Asks::Visits(before)] = [&data, &known].map(|data| task.asks(data, 0)) else {
            panic!("visits have drugs")
        };
        assert_eq!((found.row(alone), found.row(beside)), (&[][..], before.row(beside)));
        let note = |what: &str| data.cohort.notes.iter().find(|(note, _)| note == what).map(|(_, n)| *n);
        assert_eq!(note("drugs that only valid or test patients have, which no task asks for"), Some(1));
        assert_eq!(note("records of these drugs"), Some(2));
        // The published vocabulary is that of all patients.
        let published = SplitOptions::Dualk { train: 30, test: 10, seed: 0 };
        let data = prepare(data.cohort, &published).unwrap();
        assert_eq!(task.heads(&data).unwrap()[0].outputs, 6);
    }

    #[test]
    fn a_history_is_of_drugs() {
        let data = data();
        let Asks::Visits(rows) = DrugRecommendation::default().asks(&data, 0) else { panic!("visits have drugs") };
        assert_eq!(rows, data.cohort.events[0].rows);
        let other = DrugRecommendation { kind: "drug".into(), ..Default::default() };
        assert_eq!(other.asks(&data, 0), Asks::Nothing);
    }

    /// sklearn.metrics.jaccard_score(average="samples") of [[1,1,0],[0,0,1]] and [[1,0,1],[0,0,1]].
    #[test]
    fn jaccard_by_hand() {
        let targets: Ragged<u32> = [vec![0, 1], vec![2]].into_iter().collect();
        let logits = [1.0, -1.0, 2.0, -1.0, -1.0, 3.0];
        let predictions = Predictions { head: "drugs", logits: &logits, columns: 3, targets: &targets, numbers: &[] };
        let metrics = DrugRecommendation::default().metrics(&[predictions]);
        assert_eq!(metrics[0], ("Jaccard".to_owned(), (1.0 / 3.0 + 1.0) / 2.0));
    }
}
