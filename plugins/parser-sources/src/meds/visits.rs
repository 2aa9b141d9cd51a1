//! The visits of one subject.

use super::Visits;
use super::events::{Event, What};
use dualk_sdk::data::{AdmissionFacts, SECONDS_PER_DAY, years_between};

/// A visit of one subject.
#[derive(Default)]
pub struct Visit {
    pub codes: Vec<u32>,
    pub items: Vec<(usize, u32)>,
    pub further: Vec<(usize, String)>,
    pub facts: AdmissionFacts,
}

/// What becomes of the events of one subject.
#[derive(Default)]
pub struct Grouped {
    pub visits: Vec<Visit>,
    /// Diagnoses that are in visits, and those that belong to none.
    pub within: u64,
    pub without: u64,
    /// Laboratory results that count and belong to no visit.
    pub results_without: u64,
}

/// Why something belongs to no visit.
pub const BEFORE_THE_FIRST: &str = "before the first admission";

/// Groups events into visits.
pub fn visits(events: Vec<Event>, by: Visits) -> Grouped {
    let mut grouped = Grouped::default();
    let (mut open, mut day) = (None::<Visit>, None);
    let find = |what: What| events.iter().find(|event| event.what == what).map(|event| event.time);
    let (birth, death) = (find(What::Birth), find(What::Death));
    for event in events {
        let today = Some(event.time.div_euclid(SECONDS_PER_DAY));
        let begins = match by {
            Visits::Admission => event.what == What::Admission,
            Visits::Day => today != day,
        };
        if begins {
            let age = birth.and_then(|birth| years_between(birth, event.time)).map(|years| years as f32);
            let facts = AdmissionFacts { start: Some(event.time), age, ..AdmissionFacts::default() };
            grouped.visits.extend(open.replace(Visit { facts, ..Visit::default() }));
        }
        day = today;
        match (&mut open, event.what) {
            (Some(visit), What::Codes(codes)) => {
                grouped.within += 1;
                visit.codes.extend(codes);
            }
            (Some(visit), What::Result(item, part)) => visit.items.push((item, part)),
            (Some(visit), What::Further(kind, code)) => visit.further.push((kind, code)),
            (Some(visit), What::Discharge) => {
                visit.facts.end = Some(event.time);
                // Some sources have the day of a death alone.
                visit.facts.died = Some(death.is_some_and(|death| death <= event.time));
            }
            (None, What::Codes(_)) => grouped.without += 1,
            (None, What::Result(..)) => grouped.results_without += 1,
            _ => {}
        }
    }
    grouped.visits.extend(open);
    if by == Visits::Day {
        let results = |visits: &[Visit]| visits.iter().map(|visit| visit.items.len() as u64).sum::<u64>();
        let all = results(&grouped.visits);
        grouped.visits.retain(|visit| !visit.codes.is_empty());
        grouped.results_without += all - results(&grouped.visits);
    }
    grouped
}
