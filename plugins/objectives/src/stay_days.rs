//! `stay_days`: how many days a stay lasts, as a number.

use crate::next_visit;
use crate::stays;
use crate::task_options::task_options;
use dualk_sdk::prelude::*;
use dualk_sdk::schemars::JsonSchema;
use dualk_sdk::serde::{Deserialize, Serialize};
use dualk_sdk::train::Numbers;
use std::ops::Range;

task_options! {
    /// Options of `stay_days`.
    pub struct StayDays {
        /// What is learnt: the `mean` of the days, with the losses `mse` or `huber`, or the `log_mean`, with `poisson`.
        pub learns: Learns = Learns::Mean,
    }
    of stays
}

/// What a head learns of the days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum Learns {
    /// Their mean.
    Mean,
    /// The logarithm of their mean.
    LogMean,
}

impl Component for StayDays {
    const NAME: &'static str = "stay_days";
    const ABOUT: &'static str =
        "Days of a stay as a number; its own codes are seen. Wants the loss mse, huber or poisson.";
}

impl BuildObjective for StayDays {
    fn build(self) -> Result<Box<dyn Objective>> {
        Ok(Box::new(self))
    }
}

/// The stays of a split: the visits that are seen, the last of which is asked about, and its days. A stay that ends before it
/// begins has 0.
fn asked(data: &Dataset, split: Split) -> Result<Vec<(Range<usize>, f32)>> {
    let facts = stays::facts(data, "when stays end", |f| f.start.is_some() && f.end.is_some())?;
    let days = |row: usize| {
        let (start, end) = facts[row].start.zip(facts[row].end)?;
        Some(stays::days_between(start, end).max(0.0) as f32)
    };
    let of_patient = |&patient: &usize| {
        let rows = data.cohort.admissions.range(patient);
        rows.clone().filter_map(move |row| Some((rows.start..row + 1, days(row)?)))
    };
    Ok(next_visit::patients(data, split).iter().flat_map(of_patient).collect())
}

impl Objective for StayDays {
    fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>> {
        stays::facts(data, "when stays end", |f| f.start.is_some() && f.end.is_some())?;
        next_visit::head("days", self.head, 1, data)
    }

    fn examples(&self, data: &Dataset, split: Split) -> Result<Examples> {
        Ok(stays::numbers(data, asked(data, split)?, |seen| seen.end - 1, self.labs))
    }

    fn link(&self) -> Option<Link> {
        Some(match self.learns {
            Learns::Mean => Link::Mean,
            Learns::LogMean => Link::LogMean,
        })
    }

    /// The mean of the patient's stays before, and of all to learn from where there was none.
    fn rules(&self, data: &Dataset, split: Split) -> Result<Vec<(String, Vec<Vec<f32>>)>> {
        let train = asked(data, Split::Train)?;
        let mean = |days: &mut dyn Iterator<Item = f32>| {
            let (sum, number) = days.fold((0.0, 0), |(sum, number), days| (sum + days, number + 1));
            (number > 0).then(|| sum / number as f32)
        };
        let all = mean(&mut train.iter().map(|stay| stay.1)).unwrap_or_default();
        let stays = asked(data, split)?;
        let before = |(i, (seen, _)): (usize, &(Range<usize>, f32))| {
            let own = stays[..i].iter().rev().take_while(|(other, _)| other.start == seen.start);
            let days = mean(&mut own.map(|stay| stay.1)).unwrap_or(all);
            match self.learns {
                Learns::Mean => days,
                Learns::LogMean => days.max(1e-3).ln(),
            }
        };
        Ok(vec![("own stays before".to_owned(), vec![stays.iter().enumerate().map(before).collect()])])
    }

    fn meter(&self) -> Option<Box<dyn Meter>> {
        Some(Box::new(Numbers::new(self.link()?)))
    }

    fn primary(&self) -> &str {
        "MAE"
    }

    fn asked_visit(&self) -> AskedVisit {
        AskedVisit::Last
    }

    fn labs(&self) -> Option<Labs> {
        Some(self.labs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::data;

    #[test]
    fn every_stay_is_asked_for_its_days() {
        let data = data();
        let examples = StayDays::default().examples(&data, Split::Train).unwrap();
        assert_eq!(examples.len(), data.splits.train.iter().map(|&p| data.cohort.visits(p)).sum::<usize>());
        for (visits, &days) in examples.visits.rows().zip(examples.numbers_of(0)) {
            assert_eq!(days, (visits[visits.len() - 1] % 16) as f32);
        }
    }

    #[test]
    fn the_rule_is_the_mean_of_stays_before() {
        let data = data();
        let objective = StayDays::default();
        let (examples, rules) =
            (objective.examples(&data, Split::Test).unwrap(), objective.rules(&data, Split::Test).unwrap());
        let of = |row: u32| (row % 16) as f32;
        let mut some = 0;
        for (visits, ours) in examples.visits.rows().zip(&rules[0].1[0]) {
            if let Some((_, before)) = visits.split_last().filter(|(_, before)| !before.is_empty()) {
                let expected = before.iter().map(|&row| of(row)).sum::<f32>() / before.len() as f32;
                assert!((ours - expected).abs() < 1e-4, "{ours} {expected}");
                some += 1;
            }
        }
        assert!(some > 0);
    }
}
