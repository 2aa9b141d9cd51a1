//! The events of a file, and what counts of them.

use super::Meds;
use super::labs::Labs;
use crate::Abnormal;
use dualk_sdk::data::coding::Coding;
use dualk_sdk::data::hierarchy::Icd;
use dualk_sdk::data::tables::{Rows, Table};
use dualk_sdk::data::{Dates, PatientFacts, Readings, Sex};
use dualk_sdk::error::cell;
use dualk_sdk::prelude::*;
use std::collections::BTreeMap;

/// What counts of an event. What is at the same time is taken in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    Birth,
    Admission,
    /// The numbers of what a diagnosis stands for.
    Codes(Vec<u32>),
    /// A result, by the place of its code among those of laboratory results, with the part of its values.
    Result(usize, u32),
    /// A code of a further kind, by the place of the kind.
    Further(usize, String),
    Discharge,
    Death,
}

pub struct Event {
    /// Seconds since 1970.
    pub time: i64,
    pub what: What,
}

impl What {
    /// Its place among what is at the same time: admissions first, ends last.
    fn order(&self) -> u8 {
        match self {
            Self::Birth => 0,
            Self::Admission => 1,
            Self::Codes(_) | Self::Result(..) | Self::Further(..) => 2,
            Self::Discharge => 3,
            Self::Death => 4,
        }
    }
}

/// The events of a subject, and what has no time.
#[derive(Default)]
pub struct Subject {
    pub events: Vec<Event>,
    pub facts: PatientFacts,
}

impl Subject {
    fn sort(&mut self) {
        self.events.sort_by_key(|event| (event.time, event.what.order()));
    }

    /// Takes what events say of the subject: its race, of which the first counts, and its sex.
    fn describe(&mut self, race: Option<&str>, sex: Option<Sex>) {
        if let Some(race) = race {
            self.facts.ethnicity.get_or_insert_with(|| race.to_owned());
        }
        self.facts.sex = sex.or(self.facts.sex);
    }

    /// With what an earlier file has of the same subject.
    pub fn after(mut self, earlier: Self) -> Self {
        let later = std::mem::replace(&mut self.events, earlier.events);
        self.events.extend(later);
        self.sort();
        self.facts.sex = self.facts.sex.or(earlier.facts.sex);
        self.facts.ethnicity = earlier.facts.ethnicity.or(self.facts.ethnicity);
        self
    }
}

/// What was read of events, and left out of them.
#[derive(Default)]
pub struct Counts {
    pub events: u64,
    pub without_code: u64,
    /// Events without a time, of those that count where they have one.
    pub without_time: u64,
    /// Laboratory results, of the events with a time.
    pub labs: u64,
    pub without_number: u64,
    /// Results that are numbers and do not count.
    pub other_results: u64,
    /// What could be read of sexes.
    pub readings: Readings,
}

impl Counts {
    /// Counts a laboratory event by what counts of it.
    fn add_lab(&mut self, what: Option<&What>, has_value: bool) {
        self.labs += 1;
        match what {
            Some(What::Result(..)) => {}
            _ if has_value => self.other_results += 1,
            _ => self.without_number += 1,
        }
    }
}

/// Subjects of a file.
pub type Found = BTreeMap<i64, Subject>;

/// What stands behind one of several beginnings.
fn after<'t>(code: &'t str, beginnings: &[&str]) -> Option<&'t str> {
    beginnings.iter().find_map(|beginning| code.strip_prefix(beginning))
}

impl Meds {
    /// The events of each subject in the order of time.
    pub fn events(
        &self,
        table: &Table,
        rows: &Rows<'_>,
        labs: &Labs,
        coding: &mut Coding,
        subjects: &[i64],
        counts: &mut Counts,
    ) -> Result<Found> {
        let columns = rows.texts("time")?.zip(rows.texts("code")?).zip(rows.texts("numeric_value")?);
        let dates = Dates::of_option(&self.options.date_format)?;
        let races = rows.texts_if(table.place("race").map(|_| "race"))?;
        let mut found = Found::new();
        counts.events += rows.len() as u64;
        for (i, ((time, code), value)) in columns.enumerate() {
            let Some(code) = code else {
                counts.without_code += 1;
                continue;
            };
            let race = races[i].or_else(|| after(code, &["RACE//", "ETHNICITY//"]));
            let sex = counts.readings.sex(code.strip_prefix("GENDER//"));
            if race.is_some() || sex.is_some() {
                found.entry(subjects[i]).or_default().describe(race, sex);
            }
            // What has no time, such as a birthplace, belongs to no visit.
            let Some(time) = time else {
                counts.without_time += u64::from(self.counts(code));
                continue;
            };
            let has_value = value.is_some();
            let value = || value.map(|value| number(rows, i, value)).transpose();
            let what = self.what(code, value, labs, coding)?;
            if code.starts_with(&self.options.lab) {
                counts.add_lab(what.as_ref(), has_value);
            }
            let Some(what) = what else { continue };
            let Some(time) = dates.read(time) else {
                return Err(rows.error(i, dates.wrong("time", Some(time))).help(Dates::HELP));
            };
            found.entry(subjects[i]).or_default().events.push(Event { time, what });
        }
        found.values_mut().for_each(Subject::sort);
        Ok(found)
    }

    /// Whether an event with this code counts where it has a time.
    fn counts(&self, code: &str) -> bool {
        let options = &self.options;
        let known = [&options.icd9, &options.icd10, &options.admission, &options.discharge];
        let lab = (options.abnormal != Abnormal::None).then_some(&options.lab);
        let beginnings = known.into_iter().chain(lab).chain(options.events.values()).map(String::as_str);
        beginnings.chain(["MEDS_BIRTH", "MEDS_DEATH"]).any(|beginning| code.starts_with(beginning))
    }

    /// What counts of an event.
    fn what(
        &self,
        code: &str,
        value: impl Fn() -> Result<Option<f32>>,
        labs: &Labs,
        coding: &mut Coding,
    ) -> Result<Option<What>> {
        let options = &self.options;
        Ok(if let Some(code) = code.strip_prefix(&options.icd9) {
            Some(What::Codes(coding.codes(Icd::Icd9, code).to_vec()))
        } else if let Some(code) = code.strip_prefix(&options.icd10) {
            Some(What::Codes(coding.codes(Icd::Icd10, code).to_vec()))
        } else if code.starts_with(&options.admission) {
            Some(What::Admission)
        } else if code.starts_with(&options.discharge) {
            Some(What::Discharge)
        } else if code.starts_with("MEDS_BIRTH") {
            Some(What::Birth)
        } else if code.starts_with("MEDS_DEATH") {
            Some(What::Death)
        } else if let Some(item) = labs.places.get(code) {
            value()?.and_then(|value| labs.cuts.part(&labs.names[*item], value)).map(|part| What::Result(*item, part))
        } else {
            let kind = |(at, beginning): (usize, &String)| Some((at, code.strip_prefix(beginning.as_str())?));
            let further = options.events.values().enumerate().find_map(kind);
            further.map(|(kind, code)| What::Further(kind, code.to_owned()))
        })
    }
}

/// The number that row `i` has in the column `numeric_value`.
pub fn number(rows: &Rows<'_>, i: usize, text: &str) -> Result<f32> {
    let wrong = || format!("the column `numeric_value` must hold a number, found {}", cell(Some(text)));
    text.parse().map_err(|_| rows.error(i, wrong()))
}
