//! `time_to_readmission`: when the next admission comes.

use crate::next_visit;
use crate::stays;
use crate::task_options::task_options;
use dualk_sdk::prelude::*;
use dualk_sdk::train::Numbers;
use std::ops::Range;

task_options! {
    /// Options of `time_to_readmission`.
    pub struct TimeToReadmission {
        /// Days after which nobody is followed any more.
        #[schemars(range(min = 1))]
        pub horizon: u32 = 365,
    }
    of after
}

impl Component for TimeToReadmission {
    const NAME: &'static str = "time_to_readmission";
    const ABOUT: &'static str =
        "Days from the end of a stay to the next, asked after every visit but the last. Wants the loss cox.";
}

impl BuildObjective for TimeToReadmission {
    fn build(self) -> Result<Box<dyn Objective>> {
        Ok(Box::new(self))
    }
}

/// The shortest time, an hour: an admission on the day of the discharge came then.
const SHORTEST: f64 = 1.0 / 24.0;

impl TimeToReadmission {
    /// The visits that are seen, and the days to the next one; those beyond the horizon are its negative.
    fn asked(&self, data: &Dataset, split: Split) -> Result<Vec<(Range<usize>, f32)>> {
        let facts = stays::facts(data, "when stays end", |f| f.start.is_some() && f.end.is_some())?;
        let time = |row: usize| {
            let (end, next) = facts[row].end.zip(facts[row + 1].start)?;
            let (days, horizon) = (stays::days_between(end, next).max(SHORTEST), f64::from(self.horizon));
            Some(if days <= horizon { days } else { -horizon } as f32)
        };
        let of_patient = |&patient: &usize| {
            let rows = data.cohort.admissions.range(patient);
            (rows.start..rows.end - 1).filter_map(move |row| Some((rows.start..row + 1, time(row)?)))
        };
        Ok(next_visit::patients(data, split).iter().flat_map(of_patient).collect())
    }
}

impl Objective for TimeToReadmission {
    fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>> {
        stays::facts(data, "when stays end", |f| f.start.is_some() && f.end.is_some())?;
        next_visit::head("hazard", self.head, 1, data)
    }

    fn examples(&self, data: &Dataset, split: Split) -> Result<Examples> {
        Ok(stays::numbers(data, self.asked(data, split)?, |seen| seen.end, self.labs.labs()))
    }

    fn link(&self) -> Option<Link> {
        Some(Link::LogHazard)
    }

    /// Who came back soon the last time will again; in the middle those of whom it is not known.
    fn rules(&self, data: &Dataset, split: Split) -> Result<Vec<(String, Vec<Vec<f32>>)>> {
        let stays = self.asked(data, split)?;
        let score = |i: usize| match i.checked_sub(1).map(|before| &stays[before]) {
            Some((seen, days)) if seen.start == stays[i].0.start => -days.abs(),
            _ => -(self.horizon as f32) / 2.0,
        };
        Ok(vec![("own last time".to_owned(), vec![(0..stays.len()).map(score).collect()])])
    }

    fn meter(&self) -> Option<Box<dyn Meter>> {
        Some(Box::new(Numbers::new(Link::LogHazard)))
    }

    fn primary(&self) -> &str {
        "C-index"
    }

    fn labs(&self) -> Option<Labs> {
        Some(self.labs.labs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::data;

    /// The o-th stay of the data begins on day 100 o + 10 o² and lasts as many days as its row is modulo 16.
    #[test]
    fn times_are_from_the_end_of_a_stay_to_the_next_and_end_at_the_horizon() {
        let data = data();
        let objective = TimeToReadmission { horizon: 115, ..Default::default() };
        let examples = objective.examples(&data, Split::Train).unwrap();
        assert_eq!(examples.len(), data.splits.train.iter().map(|&p| data.cohort.visits(p) - 1).sum::<usize>());
        let (mut events, mut censored) = (0, 0);
        for (visits, &time) in examples.visits.rows().zip(examples.numbers_of(0)) {
            let (order, row) = (visits.len() as i64 - 1, i64::from(visits[visits.len() - 1]));
            let start = |order: i64| 100 * order + 10 * order * order;
            let days = (start(order + 1) - start(order) - row % 16) as f32;
            match days <= 115.0 {
                true => events += usize::from(time == days),
                false => censored += usize::from(time == -115.0),
            }
        }
        assert!(events > 0 && censored > 0 && events + censored == examples.len(), "{events} {censored}");
    }
}
