//! Visits, and the conditions of each.

use super::concepts::NO_CONCEPT;
use super::tables::Tables;
use super::{Omop, OmopCodes};
use crate::events::OF_NO_VISIT;
use dualk_sdk::data::coding::Coding;
use dualk_sdk::data::hierarchy::Icd;
use dualk_sdk::data::tables::Table;
use dualk_sdk::data::{AdmissionFacts, Dates, Ids, Stays, Step};
use dualk_sdk::prelude::*;
use std::collections::HashMap;

/// Persons with their visits.
pub struct Visits {
    pub stays: Stays,
    /// Visits of other concepts.
    pub left_out: u64,
}

/// Codes of each visit, and what was lost on the way to them.
pub type Conditions = (HashMap<i64, Vec<u32>>, [Step; 2]);

impl Omop {
    /// Persons in the order of their first row, with their visits in the order of time.
    pub fn visits(&self, tables: &Tables) -> Result<Visits> {
        let rows = tables.visits.read()?;
        let (visit_ids, ids) = Ids::of(&rows, "visit_occurrence_id")?;
        let (person_ids, persons) = Ids::of(&rows, "person_id")?;
        visit_ids.each_once(&rows, &ids, "visit")?;
        let dates = Dates::of_option(&self.options.date_format)?;
        let wanted = &self.options.visit_concepts;
        let concepts = match wanted.is_empty() {
            true => Vec::new(),
            false => rows.integers("visit_concept_id")?,
        };
        let [start_times, end_dates, end_times] = &tables.times;
        let times = |column: &Option<String>| rows.texts_if(column.as_deref());
        let (start_times, end_dates, end_times) = (times(start_times)?, times(end_dates)?, times(end_times)?);
        let mut found = Visits { stays: Stays::new(person_ids, visit_ids), left_out: 0 };
        for (i, text) in rows.texts("visit_start_date")?.enumerate() {
            if !wanted.is_empty() && !wanted.contains(&concepts[i]) {
                found.left_out += 1;
                continue;
            }
            let read = |text: &str| dates.read(text);
            let Some(date) = text.and_then(read) else {
                let error = rows.error(i, "the column `visit_start_date` must hold a date such as 2016-05-20");
                return Err(error.help("the option date_format says how other dates are written, such as %d.%m.%Y"));
            };
            let readings = &mut found.stays.readings;
            let start = readings.read("starts of visits", start_times[i], read).unwrap_or(date);
            let end = readings.read("ends of visits", end_times[i], read);
            let end = end.or_else(|| readings.read("ends of visits", end_dates[i], read));
            let facts = AdmissionFacts { start: Some(start), end, ..AdmissionFacts::default() };
            found.stays.add(persons[i], ids[i], start as f64, facts);
        }
        self.describe(tables, &dates, &mut found.stays)?;
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
