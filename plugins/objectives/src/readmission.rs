//! `readmission`: whether the next admission is near.

use crate::next_visit;
use crate::stays::{self, Needs, Seen, Stay};
use crate::task_options::task_options;
use dualk_sdk::data::{AdmissionFacts, SECONDS_PER_DAY};
use dualk_sdk::prelude::*;
use dualk_sdk::schemars::JsonSchema;
use dualk_sdk::serde::{Deserialize, Serialize};
use dualk_sdk::train::Binary;

task_options! {
    /// Options of `readmission`.
    pub struct Readmission {
        /// Days below which the next admission counts.
        #[schemars(range(min = 1))]
        pub days: u32 = 30,
        /// What the days are counted from: `end` of the stay, or its `start`, as PyHealth does.
        pub from: From = From::End,
        /// Which visits are seen: the `history`, which is the stay that is asked from and those before it, or that `visit` alone, as
        /// PyHealth does.
        pub seen: Seen = Seen::History,
        /// Kinds of codes that the stay must have, such as `["procedures", "drugs"]`, without which PyHealth leaves it out.
        pub needs: Vec<String> = Vec::new(),
    }
    of after
}

/// What the days to the next admission are counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum From {
    /// The end of the stay.
    End,
    /// The beginning of the stay.
    Start,
}

impl Component for Readmission {
    const NAME: &'static str = "readmission";
    const ABOUT: &'static str = "Whether the next admission is within some days, asked after every visit but the last.";
    const CITATION: &'static str =
        "PyHealth, readmission_prediction_mimic4_fn, whose defaults are 15 days from the start";
}

impl BuildObjective for Readmission {
    fn build(self) -> Result<Box<dyn Objective>> {
        Ok(Box::new(self))
    }
}

impl Readmission {
    fn facts<'a>(&self, data: &'a Dataset) -> Result<&'a [AdmissionFacts]> {
        match self.from {
            From::End => stays::facts(data, "when stays end", |f| f.start.is_some() && f.end.is_some()),
            From::Start => stays::facts(data, "when stays begin", |f| f.start.is_some()),
        }
    }

    /// Whether the next admission after that of a row is near, where both times are known.
    fn near(&self, facts: &[AdmissionFacts], row: usize) -> Option<bool> {
        let from = match self.from {
            From::End => facts[row].end,
            From::Start => facts[row].start,
        };
        let (from, next) = from.zip(facts.get(row + 1)?.start)?;
        Some((next - from).div_euclid(SECONDS_PER_DAY) < i64::from(self.days))
    }
}

impl Objective for Readmission {
    fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>> {
        self.facts(data)?;
        Needs::new(data, &self.needs)?;
        next_visit::head("readmission", self.head, 1, data)
    }

    fn examples(&self, data: &Dataset, split: Split) -> Result<Examples> {
        let facts = self.facts(data)?;
        let needs = Needs::new(data, &self.needs)?;
        let mut asked = Vec::new();
        for &patient in next_visit::patients(data, split) {
            let rows = data.cohort.admissions.range(patient);
            for row in (rows.start..rows.end - 1).filter(|&row| needs.met(row)) {
                // Stays without these times are not asked about.
                let Some(near) = self.near(facts, row) else { continue };
                let target = near.then_some(0).into_iter().collect();
                asked.push(Stay { seen: self.seen.rows(rows.start, row), asked: row + 1, target });
            }
        }
        Ok(stays::examples(data, &asked, self.labs.labs()))
    }

    fn meter(&self) -> Option<Box<dyn Meter>> {
        Some(Box::<Binary>::default())
    }

    fn primary(&self) -> &str {
        "AUC"
    }

    /// The stays after which the patient was readmitted; nothing where no stay before the one in question is seen.
    fn asks(&self, data: &Dataset, _: usize) -> Asks {
        let (Seen::History, Ok(facts)) = (self.seen, self.facts(data)) else { return Asks::Nothing };
        let admissions = &data.cohort.admissions;
        let of_patient = |p: usize| {
            let rows = admissions.range(p);
            let last = rows.end;
            rows.map(move |row| (row + 1 < last && self.near(facts, row) == Some(true)).then_some(0))
        };
        Asks::Visits((0..admissions.len()).flat_map(of_patient).collect())
    }

    fn labs(&self) -> Option<Labs> {
        Some(self.seen.labs(self.labs.labs(), false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::data;

    #[test]
    fn a_history_is_of_readmissions() {
        // Stays of a patient begin 110, 130 and 150 days after one another.
        let data = data();
        let task = Readmission { days: 131, from: From::Start, ..Default::default() };
        let Asks::Visits(rows) = task.asks(&data, 0) else { panic!("stays have readmissions") };
        assert_eq!(rows.len(), data.cohort.admission_facts.len());
        for p in 0..data.cohort.admissions.len() {
            let range = data.cohort.admissions.range(p);
            for (order, row) in range.clone().enumerate() {
                let near = order < 2 && row + 1 < range.end;
                assert_eq!(!rows.row(row).is_empty(), near, "stay {order} of {}", range.len());
            }
        }
        assert_eq!(Readmission { seen: Seen::Visit, ..task }.asks(&data, 0), Asks::Nothing);
    }

    #[test]
    fn whole_days_below_the_window_count() {
        // Stays of the data begin at 100 days · order + 10 · order², and last as many days as their row, modulo 16.
        let data = data();
        for (days, from) in [(30, From::End), (110, From::End), (110, From::Start), (111, From::Start)] {
            let task = Readmission { days, from, ..Default::default() };
            let examples = task.examples(&data, Split::Train).unwrap();
            for (visits, target) in examples.visits.rows().zip(examples.targets[0].rows()) {
                let (row, order) = (visits[visits.len() - 1] as i64, visits.len() as i64 - 1);
                let gap = 100 + 10 * (2 * order + 1) - if from == From::End { row % 16 } else { 0 };
                assert_eq!(!target.is_empty(), gap < i64::from(days), "{gap} of {days}");
            }
        }
    }
}
