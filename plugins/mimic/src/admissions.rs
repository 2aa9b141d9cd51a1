//! patients and admissions → the admissions of each patient, in time order.

use crate::time::Time;
use dualk_sdk::data::tables::Table;
use dualk_sdk::error::value;
use dualk_sdk::prelude::*;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

/// Later years are kept: earlier admissions were coded before the reference period of the publication.
const LAST_YEAR_LEFT_OUT: i64 = 2012;

/// Patients with their kept admissions.
pub struct Admissions {
    /// Subject and its admissions in time order; subjects in the order of their first kept admission.
    pub patients: Vec<(i64, Vec<i64>)>,
    /// Admissions left out because of their year.
    pub early: u64,
}

/// The tables that are needed.
pub struct Tables {
    patients: Table,
    admissions: Table,
}

impl Tables {
    /// Finds the tables and checks their columns.
    pub fn open(root: &Path) -> Result<Self> {
        Ok(Self {
            patients: Table::open(root, "patients", &["subject_id", "anchor_year", "anchor_year_group"])?,
            admissions: Table::open(root, "admissions", &["subject_id", "hadm_id", "admittime"])?,
        })
    }

    /// Both.
    pub fn tables(&self) -> [&Table; 2] {
        [&self.patients, &self.admissions]
    }

    /// Reads both.
    pub fn read(&self) -> Result<Admissions> {
        let offsets = self.year_offsets()?;
        let rows = self.admissions.read()?;
        let subjects = rows.integers("subject_id")?;
        let admissions = rows.integers("hadm_id")?;
        let mut first_row = HashMap::new();
        let mut place = HashMap::new();
        let mut patients: Vec<(i64, Vec<(Time, i64)>)> = Vec::new();
        let mut early = 0;
        for (i, text) in rows.texts("admittime")?.enumerate() {
            let (subject, admission) = (subjects[i], admissions[i]);
            if let Some(first) = first_row.insert(admission, i) {
                let before = rows.line(first).map_or(String::new(), |line| format!(", first on line {line}"));
                return Err(rows.error(i, format!("the admission {} occurs twice{before}", value(admission))));
            }
            let Some(offset) = offsets.get(&subject) else {
                let error = rows.error(i, format!("the patient {} is not in the table `patients`", value(subject)));
                return Err(error.at_file(self.patients.path()));
            };
            let Some(time) = text.and_then(Time::parse) else {
                return Err(rows.error(i, "the column `admittime` must hold a time such as 2166-05-20 19:16:52"));
            };
            if time.year - offset <= LAST_YEAR_LEFT_OUT {
                early += 1;
                continue;
            }
            let at = *place.entry(subject).or_insert_with(|| {
                patients.push((subject, Vec::new()));
                patients.len() - 1
            });
            patients[at].1.push((time, admission));
        }
        let ordered = |(subject, mut admissions): (i64, Vec<(Time, i64)>)| {
            admissions.sort_by_key(|a| a.0);
            (subject, admissions.into_iter().map(|a| a.1).collect())
        };
        Ok(Admissions { patients: patients.into_iter().map(ordered).collect(), early })
    }

    /// Per subject how many years its dates were moved.
    fn year_offsets(&self) -> Result<HashMap<i64, i64>> {
        let rows = self.patients.read()?;
        let subjects = rows.integers("subject_id")?;
        let years = rows.integers("anchor_year")?;
        let mut offsets = HashMap::new();
        for (i, group) in rows.texts("anchor_year_group")?.enumerate() {
            let Some(start) = group.and_then(|g| g.get(..4)).and_then(|g| g.parse::<i64>().ok()) else {
                return Err(rows.error(i, "the column `anchor_year_group` must start with a year, such as 2011 - 2013"));
            };
            match offsets.entry(subjects[i]) {
                Entry::Vacant(entry) => entry.insert(years[i] - start),
                Entry::Occupied(_) => {
                    return Err(rows.error(i, format!("the patient {} occurs twice", value(subjects[i]))));
                }
            };
        }
        Ok(offsets)
    }
}
