//! What both versions of MIMIC have in common of patients and admissions.

use crate::time::Time;
use dualk_sdk::data::tables::{Rows, Table};
use dualk_sdk::data::{AdmissionFacts, Ids, PatientFacts, Sex, seconds};
use dualk_sdk::prelude::*;
use std::collections::{HashMap, HashSet};

/// Seconds of a mean Gregorian year.
const YEAR: f64 = 31_556_952.0;

/// Patients with their kept admissions, and what is known of them.
#[derive(Default)]
pub struct Visits {
    /// Subject and its admissions in time order; subjects in the order of their first kept admission.
    pub patients: Vec<(i64, Vec<i64>)>,
    /// Identifiers of subjects and of admissions.
    pub ids: [Ids; 2],
    /// Every admission of the table, kept or not.
    pub admissions: HashSet<i64>,
    pub patient_facts: HashMap<i64, PatientFacts>,
    pub admission_facts: HashMap<i64, AdmissionFacts>,
    /// Admissions that were left out.
    pub left_out: u64,
}

impl Visits {
    /// Gives names and facts to a cohort of these patients.
    pub fn describe(&self, cohort: &mut Cohort) {
        cohort.set_names(&self.ids[0], &self.ids[1]);
        let patient = |id| self.patient_facts.get(&id).cloned().unwrap_or_default();
        cohort.set_facts(patient, |id| self.admission_facts.get(&id).copied().unwrap_or_default());
    }
}

/// The columns of `admissions`, as the file has them.
pub struct Columns {
    pub subject: String,
    pub admission: String,
    pub start: String,
    /// Those that need not be there.
    end: Option<String>,
    died: Option<String>,
    ethnicity: Option<String>,
}

impl Columns {
    /// Finds them in a table that has the first three.
    pub fn of(table: &mut Table, [subject, admission, start]: [&str; 3]) -> Self {
        Self {
            subject: subject.to_owned(),
            admission: admission.to_owned(),
            start: start.to_owned(),
            end: table.also("dischtime"),
            died: table.also("hospital_expire_flag"),
            ethnicity: table.also("race").or_else(|| table.also("ethnicity")),
        }
    }
}

/// The identifiers of all rows of `admissions`.
pub struct Identified {
    /// Those of subjects and of admissions.
    pub ids: [Ids; 2],
    subjects: Vec<i64>,
    admissions: Vec<i64>,
}

impl Identified {
    /// Numbers them; an admission that occurs twice is refused.
    pub fn of(rows: &Rows<'_>, columns: &Columns) -> Result<Self> {
        let (subject_ids, subjects) = Ids::of(rows, &columns.subject)?;
        let (admission_ids, admissions) = Ids::of(rows, &columns.admission)?;
        admission_ids.each_once(rows, &admissions, "admission")?;
        Ok(Self { ids: [subject_ids, admission_ids], subjects, admissions })
    }

    /// The admissions that `keep` keeps, by row, subject and time. `age` is that of a subject at a time in seconds.
    pub fn visits(
        self,
        rows: &Rows<'_>,
        columns: &Columns,
        keep: impl Fn(usize, i64, Time) -> Result<bool>,
        sex: impl Fn(i64) -> Option<Sex>,
        age: impl Fn(i64, i64) -> Option<f32>,
    ) -> Result<Visits> {
        let Self { ids, subjects, admissions } = self;
        let (ends, died) = (rows.texts_if(columns.end.as_deref())?, rows.texts_if(columns.died.as_deref())?);
        let ethnicities = rows.texts_if(columns.ethnicity.as_deref())?;
        let mut visits = Visits::default();
        let mut place = HashMap::new();
        let mut patients: Vec<(i64, Vec<(Time, i64)>)> = Vec::new();
        for (i, text) in rows.texts(&columns.start)?.enumerate() {
            let (subject, admission) = (subjects[i], admissions[i]);
            let Some(time) = text.and_then(Time::parse) else {
                let message = format!("the column `{}` must hold a time such as 2166-05-20 19:16:52", columns.start);
                return Err(rows.error(i, message));
            };
            if !keep(i, subject, time)? {
                visits.left_out += 1;
                continue;
            }
            let start = text.and_then(seconds);
            let facts = AdmissionFacts {
                start,
                end: ends[i].and_then(seconds),
                age: start.and_then(|start| age(subject, start)),
                died: match died[i] {
                    Some("1") => Some(true),
                    Some("0") => Some(false),
                    _ => None,
                },
            };
            visits.admission_facts.insert(admission, facts);
            let known = visits.patient_facts.entry(subject);
            let known = known.or_insert_with(|| PatientFacts { sex: sex(subject), ethnicity: None });
            if known.ethnicity.is_none() {
                known.ethnicity = ethnicities[i].map(str::to_owned);
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
        visits.patients = patients.into_iter().map(ordered).collect();
        visits.admissions = admissions.into_iter().collect();
        visits.ids = ids;
        Ok(visits)
    }
}

/// Years from a birth to a time, both in seconds; ages that the source hides, by moving births three centuries, are 90.
pub fn age(birth: i64, time: i64) -> Option<f32> {
    let years = time.checked_sub(birth)? as f64 / YEAR;
    match years {
        y if y < 0.0 => None,
        y if y > 150.0 => Some(90.0),
        y => Some(y as f32),
    }
}
