//! `mortality`: whether the patient dies in the next stay.

use crate::next_visit;
use crate::stays::{self, Needs, Seen, Stay};
use crate::task_options::task_options;
use dualk_sdk::prelude::*;
use dualk_sdk::train::Binary;

task_options! {
    /// Options of `mortality`.
    pub struct Mortality {
        /// Which visits are seen before the stay that is asked about: the `history`, or the last `visit` alone, as PyHealth does.
        pub seen: Seen = Seen::History,
        /// Kinds of codes that the last visit that is seen must have, such as `["procedures", "drugs"]`, without which PyHealth leaves it out.
        pub needs: Vec<String> = Vec::new(),
    }
    of stays
}

impl Component for Mortality {
    const NAME: &'static str = "mortality";
    const ABOUT: &'static str = "Whether the patient dies in the next stay, asked after every visit but the last.";
    const CITATION: &'static str = "PyHealth, mortality_prediction_mimic4_fn";
}

impl BuildObjective for Mortality {
    fn build(self) -> Result<Box<dyn Objective>> {
        Ok(Box::new(self))
    }
}

impl Objective for Mortality {
    fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>> {
        stays::facts(data, "who died in hospital", |facts| facts.died.is_some())?;
        Needs::new(data, &self.needs)?;
        next_visit::head("mortality", self.head, 1, data)
    }

    fn examples(&self, data: &Dataset, split: Split) -> Result<Examples> {
        let facts = stays::facts(data, "who died in hospital", |facts| facts.died.is_some())?;
        let needs = Needs::new(data, &self.needs)?;
        let mut asked = Vec::new();
        for &patient in next_visit::patients(data, split) {
            let rows = data.cohort.admissions.range(patient);
            for last in (rows.start..rows.end - 1).filter(|&row| needs.met(row)) {
                // As there, a stay of which it is not known counts as survived.
                let died = facts[last + 1].died.unwrap_or(false);
                let target = died.then_some(0).into_iter().collect();
                asked.push(Stay { seen: self.seen.rows(rows.start, last), asked: last + 1, target });
            }
        }
        Ok(stays::examples(data, &asked, self.labs))
    }

    fn meter(&self) -> Option<Box<dyn Meter>> {
        Some(Box::<Binary>::default())
    }

    fn primary(&self) -> &str {
        "AUC"
    }

    fn labs(&self) -> Option<Labs> {
        Some(self.seen.labs(self.labs, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::data;

    #[test]
    fn every_next_stay_is_asked_about() {
        let data = data();
        let examples = Mortality::default().examples(&data, Split::Train).unwrap();
        let expected: usize = data.splits.train.iter().map(|&p| data.cohort.visits(p) - 1).sum();
        assert_eq!(examples.len(), expected);
        // The second patient's third admission is a death.
        let deaths = examples.targets[0].rows().filter(|row| !row.is_empty()).count();
        let asked = |p: &&usize| data.cohort.admissions.range(**p).skip(1).any(|row| row % 7 == 3);
        assert!(deaths > 0 && data.splits.train.iter().filter(asked).count() > 0);
        for (visits, target) in examples.visits.rows().zip(examples.targets[0].rows()) {
            let next = visits[visits.len() - 1] + 1;
            assert_eq!(!target.is_empty(), next % 7 == 3, "as the facts of the admission after those that are seen");
        }
    }

    #[test]
    fn stays_without_drugs_may_be_left_out_and_the_history_too() {
        let data = data();
        let all = Mortality::default().examples(&data, Split::Train).unwrap();
        let task = Mortality { seen: Seen::Visit, needs: vec!["drugs".into()], ..Default::default() };
        let some = task.examples(&data, Split::Train).unwrap();
        // A stay has a drug unless 4 divides its row.
        let last = |visits: &[u32]| visits[visits.len() - 1];
        let expected: Vec<u32> = all.visits.rows().map(last).filter(|row| row % 4 != 0).collect();
        assert!(expected.len() < all.len());
        assert_eq!(some.visits.rows().collect::<Vec<_>>(), expected.chunks(1).collect::<Vec<_>>());
        let task = Mortality { needs: vec!["drug".into()], ..Default::default() };
        let error = task.heads(&data).unwrap_err().to_string();
        assert!(error.starts_with("`needs`") && error.contains("did you mean `drugs`"), "{error}");
    }

    #[test]
    fn without_deaths_there_is_nothing_to_learn() {
        let mut data = data();
        data.cohort.admission_facts.clear();
        let error = Mortality::default().heads(&data).unwrap_err().to_string();
        assert!(error.contains("who died in hospital"), "{error}");
    }
}
