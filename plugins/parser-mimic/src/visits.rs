//! What both versions of MIMIC have in common of patients and admissions.

use dualk_sdk::data::tables::{Rows, Table};
use dualk_sdk::data::{AdmissionFacts, Dates, Ids, Readings, Sex, Stays, Step};
use dualk_sdk::prelude::*;
use std::collections::{HashMap, HashSet};

/// What a table says of each patient, and the patient of every row.
pub type Listed<T> = (HashMap<i64, T>, Vec<Option<i64>>);

/// Patients with their kept admissions.
pub struct Visits {
    /// The kept admissions, by patient.
    pub stays: Stays,
    /// Every admission of the table, kept or not.
    pub admissions: HashSet<i64>,
    /// Every subject of the table, with kept admissions or not.
    pub subjects: HashSet<i64>,
    /// Admissions that were left out.
    pub left_out: u64,
}

impl Visits {
    /// The step of the table of patients, by the subjects of its rows: who has no admission is nobody's patient. `of_others`
    /// is the reason where all admissions of a subject may be left out.
    pub fn patients(&self, rows: &[Option<i64>], of_others: Option<String>) -> Step {
        let count =
            |known: &dyn Fn(i64) -> bool| rows.iter().flatten().filter(|&&subject| known(subject)).count() as u64;
        let all = rows.len() as u64;
        let admitted = count(&|subject| self.subjects.contains(&subject));
        let step = Step::new("rows of patients", all).by_rule("without an admission", all - admitted);
        match of_others {
            Some(why) => step.by_rule(why, admitted - count(&|subject| self.stays.has_patient(subject))),
            None => step,
        }
    }
}

/// The columns of `admissions`, as the file has them.
pub struct Columns {
    pub subject: String,
    pub admission: String,
    pub start: String,
    /// Columns that a table may lack.
    end: Option<String>,
    died: Option<String>,
    ethnicity: Option<String>,
    /// How times are written.
    dates: Dates,
}

impl Columns {
    /// Finds the columns in a table that has the first three.
    ///
    /// # Errors
    /// When one of the others is there several times.
    pub fn of(table: &mut Table, [subject, admission, start]: [&str; 3], dates: Dates) -> Result<Self> {
        let race = table.also("race")?;
        Ok(Self {
            dates,
            subject: subject.to_owned(),
            admission: admission.to_owned(),
            start: start.to_owned(),
            end: table.also("dischtime")?,
            died: table.also("hospital_expire_flag")?,
            ethnicity: if race.is_some() { race } else { table.also("ethnicity")? },
        })
    }
}

/// The identifiers of all rows of `admissions`.
pub struct Identified {
    /// Identifiers of subjects and of admissions.
    pub ids: [Ids; 2],
    /// Counts what cannot be read of subjects, too.
    pub readings: Readings,
    subjects: Vec<i64>,
    admissions: Vec<i64>,
}

impl Identified {
    /// Numbers them; an admission that occurs twice is refused.
    pub fn of(rows: &Rows<'_>, columns: &Columns) -> Result<Self> {
        let (subject_ids, subjects) = Ids::of(rows, &columns.subject)?;
        let (admission_ids, admissions) = Ids::of(rows, &columns.admission)?;
        admission_ids.each_once(rows, &admissions, "admission")?;
        Ok(Self { ids: [subject_ids, admission_ids], readings: Readings::default(), subjects, admissions })
    }

    /// The admissions that `keep` keeps, by row, subject and time. `age` is that of a subject at a time. Times are in seconds.
    pub fn visits(
        self,
        rows: &Rows<'_>,
        columns: &Columns,
        keep: impl Fn(usize, i64, i64) -> Result<bool>,
        sex: impl Fn(i64) -> Option<Sex>,
        age: impl Fn(i64, i64) -> Option<f32>,
    ) -> Result<Visits> {
        let Self { ids: [subject_ids, admission_ids], readings, subjects, admissions } = self;
        let (ends, died) = (rows.texts_if(columns.end.as_deref())?, rows.texts_if(columns.died.as_deref())?);
        let ethnicities = rows.texts_if(columns.ethnicity.as_deref())?;
        let (mut stays, mut left_out) = (Stays::new(subject_ids, admission_ids), 0);
        stays.readings = readings;
        for (i, text) in rows.texts(&columns.start)?.enumerate() {
            let (subject, admission) = (subjects[i], admissions[i]);
            let Some(start) = text.and_then(|text| columns.dates.read(text)) else {
                let message = columns.dates.wrong(rows.called(&columns.start), text);
                return Err(rows.error(i, message).help(Dates::HELP));
            };
            if !keep(i, subject, start)? {
                left_out += 1;
                continue;
            }
            let died = stays.readings.died(died[i]);
            let end = stays.readings.read("ends of visits", ends[i], |text| columns.dates.end(text, Some(start)));
            let facts = AdmissionFacts { start: Some(start), end, age: age(subject, start), died };
            stays.add(subject, admission, start as f64, facts);
            let known = stays.patient(subject);
            known.sex = sex(subject);
            if known.ethnicity.is_none() {
                known.ethnicity = ethnicities[i].map(str::to_owned);
            }
        }
        let [subjects, admissions] = [subjects, admissions].map(|of| of.into_iter().collect());
        Ok(Visits { stays, admissions, subjects, left_out })
    }
}
