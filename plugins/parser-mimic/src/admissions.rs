//! patients and admissions of MIMIC-IV → the admissions of each patient, in time order.

use crate::visits::{Columns, Identified, Listed, Visits};
use dualk_sdk::data::tables::Table;
use dualk_sdk::data::{Dates, Ids, Readings, Sex, Step, year_of};
use dualk_sdk::error::{Mistakes, cell, value};
use dualk_sdk::prelude::*;
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::Path;

/// Later years are kept: earlier admissions were coded before the reference period of the publication.
const LAST_YEAR_LEFT_OUT: i64 = 2012;

/// What can be a year, and an age.
const YEARS: RangeInclusive<i64> = 0..=9999;
const AGES: RangeInclusive<i64> = 0..=200;

/// The tables that are needed.
pub struct Tables {
    patients: Table,
    /// Columns of patients that need not be there: gender and age in the anchor year.
    sex: Option<String>,
    age: Option<String>,
    admissions: (Table, Columns),
}

/// What `patients` says of a subject.
struct Subject {
    /// Years by which the dates of the subject were moved.
    offset: i64,
    anchor_year: i64,
    sex: Option<Sex>,
    /// Age in the anchor year.
    age: Option<i64>,
}

impl Tables {
    /// Finds the tables and checks their columns.
    pub fn open(root: &Path, dates: Dates) -> Result<Self> {
        let names = ["subject_id", "hadm_id", "admittime"];
        let mut mistakes = Mistakes::default();
        let columns = ["subject_id", "anchor_year", "anchor_year_group"];
        let patients = mistakes.note(Table::open(root, "patients", &columns));
        let admissions = mistakes.note(Table::open(root, "admissions", &names));
        let (mut patients, mut admissions) = mistakes.finish(patients.zip(admissions))?;
        let (sex, age) = (patients.also("gender")?, patients.also("anchor_age")?);
        let columns = Columns::of(&mut admissions, names, dates)?;
        Ok(Self { patients, sex, age, admissions: (admissions, columns) })
    }

    /// The tables of patients and of admissions.
    pub fn tables(&self) -> [&Table; 2] {
        [&self.patients, &self.admissions.0]
    }

    /// Reads both; with the visits come two steps: rows of patients, and of admissions.
    pub fn read(&self) -> Result<(Visits, [Step; 2])> {
        let (table, columns) = &self.admissions;
        let rows = table.read()?;
        let mut identified = Identified::of(&rows, columns)?;
        let (subjects, listed) = self.subjects(&identified.ids[0], &mut identified.readings)?;
        let names = identified.ids[0].clone();
        let keep = |i: usize, subject, time| match subjects.get(&subject) {
            Some(known) => Ok(year_of(time) - known.offset > LAST_YEAR_LEFT_OUT),
            None => {
                let message = format!("the patient {} is not in the table `patients`", value(names.name(subject)));
                Err(rows.error(i, message).at_file(self.patients.path()))
            }
        };
        let sex = |subject| subjects.get(&subject).and_then(|known| known.sex);
        // The age in a year is that in the anchor year and the years between.
        let age = |subject, start| {
            let known = subjects.get(&subject)?;
            Some((known.age? + year_of(start) - known.anchor_year) as f32)
        };
        let visits = identified.visits(&rows, columns, keep, sex, age)?;
        let patients = visits.patients(&listed, Some(format!("without an admission after {LAST_YEAR_LEFT_OUT}")));
        let admissions = Step::new("rows of admissions", rows.len() as u64);
        let admissions = admissions.by_rule(format!("before {}", LAST_YEAR_LEFT_OUT + 1), visits.left_out);
        Ok((visits, [patients, admissions]))
    }

    /// What is known of each, and the subject of every row.
    fn subjects(&self, ids: &Ids, readings: &mut Readings) -> Result<Listed<Subject>> {
        let rows = self.patients.read()?;
        let numbers = ids.column(&rows, "subject_id")?;
        ids.each_known_once(&rows, &numbers, "patient")?;
        let years = rows.integers("anchor_year")?;
        let (sexes, ages) = (rows.texts_if(self.sex.as_deref())?, rows.texts_if(self.age.as_deref())?);
        let mut subjects = HashMap::new();
        for (i, group) in rows.texts("anchor_year_group")?.enumerate() {
            let Some(start) = group.and_then(|g| g.get(..4)).and_then(|g| g.parse::<i64>().ok()) else {
                let message = "the column `anchor_year_group` must start with a year, such as 2011 - 2013";
                return Err(rows.error(i, format!("{message}, found {}", cell(group))));
            };
            if !YEARS.contains(&years[i]) {
                return Err(rows.error(i, "the column `anchor_year` must hold a year, such as 2150"));
            }
            // Without an admission, or without an identifier, it is nobody's.
            let Some(number) = numbers[i] else { continue };
            let subject = Subject {
                offset: years[i] - start,
                anchor_year: years[i],
                sex: readings.sex(sexes[i]),
                age: readings.read("ages", ages[i], |age| {
                    let years = age.strip_suffix(".0").unwrap_or(age).parse::<i64>().ok();
                    years.filter(|years| AGES.contains(years))
                }),
            };
            subjects.insert(number, subject);
        }
        Ok((subjects, numbers))
    }
}
