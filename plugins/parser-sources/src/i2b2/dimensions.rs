//! What patient_dimension and visit_dimension say of patients and encounters.

use super::encounters::{Encounter, Encounters};
use super::tables::{Dimension, Tables};
use super::{I2b2, given};
use dualk_sdk::data::tables::Rows;
use dualk_sdk::data::{AdmissionFacts, Dates, Ids, PatientFacts, Readings, Stays, Step, years_between};
use dualk_sdk::prelude::*;
use std::collections::HashMap;
use std::ops::RangeInclusive;

/// Columns of patient_dimension that need not be there.
pub const PATIENT: [&str; 5] = ["sex_cd", "race_cd", "birth_date", "death_date", "vital_status_cd"];
const SEX: usize = 0;
const RACE: usize = 1;
const BIRTH: usize = 2;
const DEATH: usize = 3;
const STATUS: usize = 4;

/// Columns of visit_dimension that need not be there.
pub const VISIT: [&str; 3] = ["start_date", "end_date", "inout_cd"];
const START: usize = 0;
const END: usize = 1;
const INOUT: usize = 2;

/// By which rule encounters are left out.
const OTHER_INOUT: &str = "of which inout_cd says something else, or nothing";

/// What is known of a patient.
struct Patient {
    facts: PatientFacts,
    /// In seconds since 1970.
    birth: Option<i64>,
    /// In days since 1970.
    death: Option<i64>,
    /// Whether it is known if and on which day the patient died.
    is_death_known: bool,
}

/// When a visit is, and what it is.
struct Visit {
    /// In seconds since 1970.
    start: i64,
    end: Option<i64>,
    /// From its first day to its last, in days since 1970, as the source writes them.
    days: Option<RangeInclusive<i64>>,
    /// What says whether it is one of an inpatient.
    inout: Option<String>,
}

impl Dimension {
    /// The cells of the columns that need not be there, of which each is as [`given`] has it.
    fn cells<'r>(&self, rows: &'r Rows<'_>) -> Result<impl Fn(usize, usize) -> Option<&'r str>> {
        let columns = self.columns.iter().map(|column| rows.texts_if(column.as_deref()));
        let columns: Vec<Vec<Option<&str>>> = columns.collect::<Result<_>>()?;
        Ok(move |which: usize, row: usize| columns[which][row].and_then(given))
    }

    /// Patients by identifier, each of whom has one row.
    fn patients(&self, dates: &Dates, ids: &Ids, readings: &mut Readings) -> Result<HashMap<i64, Patient>> {
        let rows = self.table.read()?;
        let cell = self.cells(&rows)?;
        let numbers = ids.column(&rows, "patient_num")?;
        ids.each_known_once(&rows, &numbers, "patient")?;
        let mut patients = HashMap::new();
        for (i, number) in numbers.into_iter().enumerate() {
            let Some(number) = number else { continue };
            let (sex, ethnicity) = (readings.sex(cell(SEX, i)), cell(RACE, i).map(str::to_owned));
            let birth = readings.read("births", cell(BIRTH, i), |text| dates.read(text));
            let death = readings.read("deaths", cell(DEATH, i), |text| dates.day(text));
            let is_death_known = self.columns[DEATH].is_some() && cell(STATUS, i).is_none_or(says_the_day);
            let facts = PatientFacts { sex, ethnicity };
            patients.insert(number, Patient { facts, birth, death, is_death_known });
        }
        Ok(patients)
    }

    /// Visits by identifier, of the encounters that are known by the times of their first diagnoses.
    fn visits(&self, dates: &Dates, ids: &Ids, known: &HashMap<i64, i64>, readings: &mut Readings) -> Result<Visits> {
        let rows = self.table.read()?;
        let cell = self.cells(&rows)?;
        let numbers = ids.column(&rows, "encounter_num")?.into_iter();
        let numbers: Vec<Option<i64>> =
            numbers.map(|number| number.filter(|number| known.contains_key(number))).collect();
        ids.each_known_once(&rows, &numbers, "encounter")?;
        let mut visits = Visits::new();
        for (i, number) in numbers.into_iter().enumerate() {
            let Some((number, first)) = number.and_then(|number| Some((number, *known.get(&number)?))) else {
                continue;
            };
            let start = readings.read("starts of visits", cell(START, i), |text| dates.read(text)).unwrap_or(first);
            let end = readings.read("ends of visits", cell(END, i), |text| dates.end(text, Some(start)));
            let day = |which: usize| cell(which, i).and_then(|text| dates.day(text));
            let days = day(START).zip(day(END)).filter(|(first, last)| first <= last);
            let (days, inout) = (days.map(|(first, last)| first..=last), cell(INOUT, i).map(str::to_owned));
            visits.insert(number, Visit { start, end, days, inout });
        }
        Ok(visits)
    }
}

/// Visits by identifier.
type Visits = HashMap<i64, Visit>;

impl I2b2 {
    /// Patients in the order of their first diagnosis, with their encounters in the order of time, and what is known of both. Where
    /// not all encounters count, a step says how many do.
    pub fn stays(&self, tables: &Tables, encounters: &mut Encounters) -> Result<(Stays, Option<Step>)> {
        let dates = Dates::of_option(&self.options.date_format)?;
        let mut stays = encounters.nobody();
        let readings = &mut stays.readings;
        let patients = tables.patients.as_ref();
        let patients = patients.map(|table| table.patients(&dates, &stays.patient_ids, readings)).transpose()?;
        let (patients, readings) = (patients.unwrap_or_default(), &mut stays.readings);
        let known: HashMap<i64, i64> = encounters.all.iter().map(|each| (each.number, each.start)).collect();
        let visits = tables.visits.as_ref();
        let visits = visits.map(|table| table.visits(&dates, &stays.admission_ids, &known, readings)).transpose()?;
        let (visits, mut left_out) = (visits.unwrap_or_default(), 0);
        for encounter in &encounters.all {
            let Encounter { number, patient, .. } = encounter;
            let visit = visits.get(number);
            if !self.counts(visit) {
                left_out += 1;
                continue;
            }
            let facts = facts(encounter, visit, patients.get(patient));
            stays.add(*patient, *number, facts.start.unwrap_or(encounter.start) as f64, facts);
        }
        patients.into_iter().for_each(|(patient, known)| *stays.patient(patient) = known.facts);
        let step = Step::new("encounters with a diagnosis", encounters.all.len() as u64).by_rule(OTHER_INOUT, left_out);
        Ok((stays, (!self.options.inout.is_empty()).then_some(step)))
    }

    /// Whether an encounter counts, as the options say.
    fn counts(&self, visit: Option<&Visit>) -> bool {
        let wanted = &self.options.inout;
        let inout = visit.and_then(|visit| visit.inout.as_deref());
        wanted.is_empty() || inout.is_some_and(|inout| wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(inout)))
    }
}

/// What is known of an encounter. A death is in it when it is on one of its days.
fn facts(encounter: &Encounter, visit: Option<&Visit>, patient: Option<&Patient>) -> AdmissionFacts {
    let start = visit.map_or(encounter.start, |visit| visit.start);
    let age = patient.and_then(|patient| years_between(patient.birth?, start)).map(|years| years as f32);
    let days = visit.and_then(|visit| visit.days.clone());
    let known = patient.filter(|patient| patient.is_death_known);
    let died = days.zip(known).map(|(days, patient)| patient.death.is_some_and(|death| days.contains(&death)));
    AdmissionFacts { start: Some(start), end: visit.and_then(|visit| visit.end), age, died }
}

/// Whether a vital status says that a date of death is one to the day. By the conventions of i2b2 it begins with M or X where the
/// month or the year alone is known, with Z where no date is, and with U where nothing is known.
fn says_the_day(status: &str) -> bool {
    !status.starts_with(['M', 'X', 'Z', 'U', 'm', 'x', 'z', 'u'])
}
