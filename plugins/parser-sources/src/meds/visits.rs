//! The visits of one subject.

use super::Visits;
use super::events::{Event, What};
use dualk_sdk::data::{AdmissionFacts, SECONDS_PER_DAY, Step, years_between};

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
    pub ends: Ends,
}

impl Visit {
    /// Ends it, unless it is an admission that had ended; whether it did. A day may end several times.
    fn end(&mut self, time: i64, death: Option<i64>, by: Visits) -> bool {
        let ends = by == Visits::Day || self.facts.end.is_none();
        if ends {
            self.facts.end = Some(time);
            // Some sources have the day of a death alone.
            self.facts.died = Some(death.is_some_and(|death| death <= time));
        }
        ends
    }
}

impl Grouped {
    /// Ends the open visit. A second discharge says that the first was of the visit before, where that one had not ended: stays
    /// that overlap.
    fn discharge(&mut self, visit: &mut Visit, time: i64, death: Option<i64>, by: Visits) {
        let before = self.visits.last_mut().filter(|before| by == Visits::Admission && before.facts.end.is_none());
        if let Some((before, first)) = before.zip(visit.facts.end) {
            before.end(first, death, by);
            visit.facts.end = None;
        }
        self.ends.again += u64::from(!visit.end(time, death, by));
    }

    fn leave_out_visits_without_codes(&mut self) {
        let results = |visits: &[Visit]| visits.iter().map(|visit| visit.items.len() as u64).sum::<u64>();
        let all = results(&self.visits);
        self.visits.retain(|visit| !visit.codes.is_empty());
        self.results_without += all - results(&self.visits);
    }
}

/// How many discharges there are, and those that end no visit: before the first admission, or of a visit that had ended, as
/// where one is before its own admission.
#[derive(Default)]
pub struct Ends {
    pub all: u64,
    pub before: u64,
    pub again: u64,
}

impl Ends {
    pub fn add(&mut self, other: Self) {
        let Self { all, before, again } = other;
        (self.all, self.before, self.again) = (self.all + all, self.before + before, self.again + again);
    }

    /// What was lost of them, if anything.
    pub fn step(&self) -> Option<Step> {
        let step = Step::new("ends of visits", self.all).lost(BEFORE_THE_FIRST, self.before);
        (self.before + self.again > 0).then(|| step.lost("of a visit that had ended", self.again))
    }
}

/// Why something belongs to no visit.
pub const BEFORE_THE_FIRST: &str = "before the first admission";

/// Puts admissions behind what is at the same time where that ends the stay before: diagnoses are often dated by the end of theirs.
fn put_ends_first(events: &mut [Event], by: Visits) {
    if by == Visits::Day {
        return;
    }
    let mut is_open = false;
    for same in events.chunk_by_mut(|one, other| one.time == other.time) {
        let has = |what: What| same.iter().any(|event| event.what == what);
        let (begins, ends) = (has(What::Admission), has(What::Discharge));
        if is_open && begins && ends {
            same.sort_by_key(|event| event.what == What::Admission);
        }
        // A stay that ends where another begins leaves that one open, and one that ends where it begins itself none.
        is_open = if begins == ends { is_open } else { begins };
    }
}

/// Groups events, which are in the order of time, into visits.
pub fn visits(mut events: Vec<Event>, by: Visits) -> Grouped {
    put_ends_first(&mut events, by);
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
        grouped.ends.all += u64::from(event.what == What::Discharge);
        match (&mut open, event.what) {
            (Some(visit), What::Codes(codes)) => {
                grouped.within += 1;
                visit.codes.extend(codes);
            }
            (Some(visit), What::Result(item, part)) => visit.items.push((item, part)),
            (Some(visit), What::Further(kind, code)) => visit.further.push((kind, code)),
            (Some(visit), What::Discharge) => grouped.discharge(visit, event.time, death, by),
            (None, What::Discharge) => grouped.ends.before += 1,
            (None, What::Codes(_)) => grouped.without += 1,
            (None, What::Result(..)) => grouped.results_without += 1,
            _ => {}
        }
    }
    grouped.visits.extend(open);
    if by == Visits::Day {
        grouped.leave_out_visits_without_codes();
    }
    grouped
}
