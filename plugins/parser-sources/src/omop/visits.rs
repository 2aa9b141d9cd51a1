//! Visits, and the conditions of each.

use super::concepts::NO_CONCEPT;
use super::persons::{Span, persons};
use super::tables::Tables;
use super::{Omop, OmopCodes};
use crate::OF_NO_VISIT;
use dualk_sdk::data::coding::Coding;
use dualk_sdk::data::hierarchy::Icd;
use dualk_sdk::data::tables::{Rows, Table};
use dualk_sdk::data::{Dates, Ids, Readings, SECONDS_PER_DAY, Stays, Step};
use dualk_sdk::prelude::*;
use std::collections::HashMap;

/// Persons with their visits.
pub struct Visits {
    pub stays: Stays,
    /// Visits of other concepts.
    pub left_out: u64,
    /// The step of the table of deaths where rows of a person differ.
    pub deaths: Option<Step>,
}

/// When visits are, in the words of their rows.
struct Times<'t> {
    start_dates: Vec<Option<&'t str>>,
    start_times: Vec<Option<&'t str>>,
    end_dates: Vec<Option<&'t str>>,
    end_times: Vec<Option<&'t str>>,
}

impl<'t> Times<'t> {
    fn of(rows: &'t Rows<'_>, [start_times, end_dates, end_times]: &[Option<String>; 3]) -> Result<Self> {
        Ok(Self {
            start_dates: rows.texts_if(Some("visit_start_date"))?,
            start_times: rows.texts_if(start_times.as_deref())?,
            end_dates: rows.texts_if(end_dates.as_deref())?,
            end_times: rows.texts_if(end_times.as_deref())?,
        })
    }

    /// The time of a row; nothing where its date cannot be read.
    fn span(&self, i: usize, dates: &Dates, readings: &mut Readings) -> Option<Span> {
        let (read, day) = (|text: &str| dates.read(text), |text: &str| dates.day(text));
        let date = self.start_dates[i].and_then(read)?;
        let start = readings.read("starts of visits", self.start_times[i], read).unwrap_or(date);
        let ended = |text: &str| dates.read(text).map(|end| not_before(start, end));
        let end = readings.read("ends of visits", self.end_times[i], ended);
        let end = end.or_else(|| readings.read("ends of visits", self.end_dates[i], ended));
        let last = self.end_dates[i].and_then(day).or_else(|| self.end_times[i].and_then(day));
        let days = self.start_dates[i].and_then(day).zip(last).filter(|(first, last)| first <= last);
        Some(Span { start, end, days: days.map(|(first, last)| first..=last) })
    }
}

/// The end of a visit that began at `start`. By the conventions of OMOP midnight stands for a time of the day that is not known:
/// on the day of the start, it is not before it.
fn not_before(start: i64, end: i64) -> i64 {
    let is_midnight = end.rem_euclid(SECONDS_PER_DAY) == 0;
    if is_midnight && (0..SECONDS_PER_DAY).contains(&(start - end)) { start } else { end }
}

/// Codes of each visit, and what was lost on the way to them.
pub type Conditions = (HashMap<i64, Vec<u32>>, [Step; 2]);

impl Omop {
    /// Persons in the order of their first row, with their visits in the order of time.
    pub fn visits(&self, tables: &Tables) -> Result<Visits> {
        let rows = tables.visits.read()?;
        let (visit_ids, ids) = Ids::of(&rows, "visit_occurrence_id")?;
        let (person_ids, of_person) = Ids::of(&rows, "person_id")?;
        visit_ids.each_once(&rows, &ids, "visit")?;
        let dates = Dates::of_option(&self.options.date_format)?;
        let wanted = &self.options.visit_concepts;
        let concepts = match wanted.is_empty() {
            true => Vec::new(),
            false => rows.integers("visit_concept_id")?,
        };
        let (times, mut readings) = (Times::of(&rows, &tables.times)?, Readings::default());
        let mut known = persons(tables, &dates, &person_ids, &mut readings)?;
        let deaths = known.step.take();
        let mut found = Visits { stays: Stays::new(person_ids, visit_ids), left_out: 0, deaths };
        found.stays.readings = readings;
        for (i, (&person, &visit)) in of_person.iter().zip(&ids).enumerate() {
            if !wanted.is_empty() && !wanted.contains(&concepts[i]) {
                found.left_out += 1;
                continue;
            }
            let Some(span) = times.span(i, &dates, &mut found.stays.readings) else {
                let column = rows.called("visit_start_date");
                return Err(rows.error(i, dates.wrong(column, times.start_dates[i])).help(Dates::HELP));
            };
            let start = span.start;
            found.stays.add(person, visit, start as f64, known.visit(person, span));
        }
        known.describe(&mut found.stays);
        Ok(found)
    }

    /// Per visit its codes, in the order of the file.
    pub fn conditions(&self, table: &Table, coding: &mut Coding, visits: &Visits) -> Result<Conditions> {
        let rows = table.read()?;
        let of = visits.stays.admission_ids.column(&rows, "visit_occurrence_id")?;
        let (mut codes, mut without, mut not_kept) = (HashMap::<i64, Vec<u32>>::new(), 0, 0);
        for (visit, text) in of.into_iter().zip(rows.texts(self.code_column())?) {
            let Some(visit) = visit else {
                without += 1;
                continue;
            };
            if !visits.stays.contains(visit) {
                not_kept += 1;
                continue;
            }
            let of_visit = codes.entry(visit).or_default();
            match (self.options.codes, text.unwrap_or("").trim()) {
                (OmopCodes::Icd9, text) => of_visit.extend_from_slice(coding.codes(Icd::Icd9, text)),
                (OmopCodes::Icd10, text) => of_visit.extend_from_slice(coding.codes(Icd::Icd10, text)),
                (OmopCodes::Concept, NO_CONCEPT) => of_visit.extend(coding.other("")),
                (OmopCodes::Concept, concept) => of_visit.extend(coding.other(concept)),
            }
        }
        let step = Step::new("rows of condition_occurrence", rows.len() as u64).lost(OF_NO_VISIT, without);
        let step = match self.options.visit_concepts.is_empty() {
            true => step.lost("of a visit that visit_occurrence lacks", not_kept),
            false => step.by_rule("of visits left out above", not_kept),
        };
        Ok((codes, [step, coding.step("conditions")]))
    }
}
