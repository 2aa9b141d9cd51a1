//! `readmission`: whether the next admission is near.

use crate::next_visit::{self, TaskHead};
use crate::stays::{self, Needs, Seen, Stay};
use dualk_sdk::component::at_least;
use dualk_sdk::data::AdmissionFacts;
use dualk_sdk::prelude::*;
use dualk_sdk::schemars::JsonSchema;
use dualk_sdk::serde::{Deserialize, Serialize};
use dualk_sdk::train::Binary;

options! {
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
        /// What the head sees: `full` (decoder embeddings, patient, labs) or `direct` (patient, labs).
        pub head: TaskHead = TaskHead::Full,
    }
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
        at_least("days", self.days, 1)?;
        Ok(Box::new(self))
    }
}

const DAY: i64 = 86_400;

impl Readmission {
    fn facts<'a>(&self, data: &'a Prepared) -> Result<&'a [AdmissionFacts]> {
        match self.from {
            From::End => stays::facts(data, "when stays end", |f| f.start.is_some() && f.end.is_some()),
            From::Start => stays::facts(data, "when stays begin", |f| f.start.is_some()),
        }
    }
}

impl Objective for Readmission {
    fn heads(&self, data: &Prepared) -> Result<Vec<HeadSpec>> {
        self.facts(data)?;
        Needs::new(data, &self.needs)?;
        Ok(next_visit::head("readmission", self.head, 1, data))
    }

    fn examples(&self, data: &Prepared, part: Part) -> Result<Examples> {
        let facts = self.facts(data)?;
        let needs = Needs::new(data, &self.needs)?;
        let mut asked = Vec::new();
        for &patient in next_visit::patients(data, part) {
            let rows = data.cohort.admissions.range(patient);
            for row in (rows.start..rows.end - 1).filter(|&row| needs.met(row)) {
                let from = match self.from {
                    From::End => facts[row].end,
                    From::Start => facts[row].start,
                };
                // Stays without these times are not asked about.
                let Some((from, next)) = from.zip(facts[row + 1].start) else { continue };
                let near = (next - from).div_euclid(DAY) < i64::from(self.days);
                let target = near.then_some(0).into_iter().collect();
                asked.push(Stay { seen: self.seen.rows(rows.start, row), target });
            }
        }
        Ok(stays::examples(data, &asked))
    }

    fn meter(&self) -> Option<Box<dyn Meter>> {
        Some(Box::<Binary>::default())
    }

    fn primary(&self) -> &str {
        "AUC"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::data;

    #[test]
    fn whole_days_below_the_window_count() {
        // Stays of the data begin at 100 days · order + 10 · order², and last as many days as their row, modulo 16.
        let data = data();
        for (days, from) in [(30, From::End), (110, From::End), (110, From::Start), (111, From::Start)] {
            let task = Readmission { days, from, ..Default::default() };
            let examples = task.examples(&data, Part::Train).unwrap();
            for (visits, target) in examples.visits.rows().zip(examples.targets[0].rows()) {
                let (row, order) = (visits[visits.len() - 1] as i64, visits.len() as i64 - 1);
                let gap = 100 + 10 * (2 * order + 1) - if from == From::End { row % 16 } else { 0 };
                assert_eq!(!target.is_empty(), gap < i64::from(days), "{gap} of {days}");
            }
        }
    }
}
