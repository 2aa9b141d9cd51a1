//! One patient as rows of the tables.

use crate::draw::Draw;
use crate::generate::{FIRST_ITEM, Visit};
use crate::world::World;
use std::fmt::Write;
use std::ops::Range;

/// Chance that an admission is coded in ICD-10.
const ICD10: f64 = 0.5;
/// Chance that a result belongs to no admission.
const OUTSIDE: f64 = 0.25;
/// Chance that a further result of an admission repeats one of its abnormal items.
const REPEATED: f64 = 0.35;
/// Chance that a result has a comment, and that the comment has a comma.
const COMMENT: f64 = 0.15;
const ANCHOR_YEAR: usize = 2150;
const DAYS: u64 = 5;
const UNITS: [&str; 4] = ["mg/dL", "mEq/L", "K/uL", "%"];

/// Rows of the tables that grow with the number of patients.
#[derive(Default)]
pub struct Texts {
    pub patients: String,
    pub admissions: String,
    pub diagnoses: String,
    pub events: String,
}

/// The made-up ICD-10 code of a code of the world.
pub fn icd10(code: u32) -> String {
    format!("{}{:03}", char::from(b'A' + (code % 26) as u8), code / 26)
}

/// Writes the rows of a patient.
pub struct PatientRows<'a> {
    world: &'a World,
    subject: i64,
    texts: &'a mut Texts,
    draw: &'a mut Draw,
}

impl<'a> PatientRows<'a> {
    /// Starts with the patient's own row.
    pub fn new(world: &'a World, subject: i64, early: bool, texts: &'a mut Texts, draw: &'a mut Draw) -> Self {
        let (gender, age) = (if draw.chance(0.5) { 'F' } else { 'M' }, 18 + draw.below(70));
        let group = if early { "2008 - 2010" } else { "2014 - 2016" };
        row(&mut texts.patients, format_args!("{subject},{gender},{age},{ANCHOR_YEAR},{group},"));
        Self { world, subject, texts, draw }
    }

    /// An admission, its codes, and results numbered `events`: each abnormal item as long as there is room, then others.
    pub fn visit(&mut self, order: usize, admission: i64, visit: &Visit, events: Range<u64>) {
        let (subject, year) = (self.subject, ANCHOR_YEAR + order);
        let (day, hour) = (1 + self.draw.below(20) as u64, self.draw.below(24));
        let last = day + DAYS;
        row(
            &mut self.texts.admissions,
            format_args!(
                "{subject},{admission},{year}-03-{day:02} {hour:02}:17:00,{year}-03-{last:02} 15:30:00,,EW EMER.,\
                 P{:05},EMERGENCY ROOM,HOME,Medicare,English,MARRIED,OTHER,,,0",
                subject % 100_000
            ),
        );
        let new = self.draw.chance(ICD10);
        for (seq, &code) in (1..).zip(&visit.codes) {
            let (name, version) = match new {
                true => (icd10(code), 10),
                false => (self.world.codes[code as usize].replace('.', ""), 9),
            };
            row(&mut self.texts.diagnoses, format_args!("{subject},{admission},{seq},{name},{version}"));
        }
        let labs: Vec<u32> = visit.labs.iter().copied().collect();
        let number = events.end - events.start;
        // Abnormal items are spread over the stay: `told` of them are due before result `i`.
        let due = |i: u64| (labs.len() as u64 * i).checked_div(number).unwrap_or(0).min(labs.len() as u64) as usize;
        for (i, event) in events.enumerate().map(|(i, event)| (i as u64, event)) {
            let minute = i * DAYS * 24 * 60 / number;
            let time = Moment { year, day: day + minute / 1440, minute: minute % 1440 };
            match labs.get(due(i)..due(i + 1)).and_then(<[u32]>::first) {
                Some(&item) => self.event(event, Some(admission), item, true, time),
                None => self.other_event(event, admission, &labs, time),
            }
        }
    }

    fn other_event(&mut self, event: u64, admission: i64, labs: &[u32], time: Moment) {
        let any = self.draw.below(self.world.labs.len()) as u32;
        if self.draw.chance(OUTSIDE) {
            let abnormal = self.draw.chance(REPEATED);
            self.event(event, None, any, abnormal, time);
        } else if !labs.is_empty() && self.draw.chance(REPEATED) {
            let item = labs[self.draw.below(labs.len())];
            self.event(event, Some(admission), item, true, time);
        } else {
            self.event(event, Some(admission), any, false, time);
        }
    }

    fn event(&mut self, event: u64, admission: Option<i64>, item: u32, abnormal: bool, time: Moment) {
        let subject = self.subject;
        let admission = admission.map_or(String::new(), |a| a.to_string());
        let (low, high) = (10 + item % 50, 60 + item % 90);
        let value = match abnormal {
            true => high + 1 + self.draw.below(40) as u32,
            false => low + self.draw.below((high - low) as usize) as u32,
        };
        let flag = if abnormal { "abnormal" } else { "" };
        let priority = if item.is_multiple_of(3) { "STAT" } else { "ROUTINE" };
        let comment = match self.draw.chance(COMMENT) {
            true if value.is_multiple_of(2) => "\"___, TELEPHONED AND READ BACK.\"",
            true => "___",
            false => "",
        };
        let Moment { year, day, minute } = time;
        let (hour, minute) = (minute / 60, minute % 60);
        let text = &mut self.texts.events;
        row(
            text,
            format_args!(
                "{event},{subject},{admission},{},{},,{year}-03-{day:02} {hour:02}:{minute:02}:00,\
                 {year}-03-{day:02} {hour:02}:{minute:02}:30,{value},{value},{},{low},{high},{flag},{priority},{comment}",
                event / 8,
                FIRST_ITEM + i64::from(item),
                UNITS[item as usize % UNITS.len()],
            ),
        );
    }
}

#[derive(Clone, Copy)]
struct Moment {
    year: usize,
    day: u64,
    minute: u64,
}

fn row(table: &mut String, fields: std::fmt::Arguments<'_>) {
    // Writing into a string cannot fail.
    let _ = writeln!(table, "{fields}");
}
