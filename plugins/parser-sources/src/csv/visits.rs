//! Visits, and to which of them a row of another table belongs.

use super::CsvOptions;
use super::layout::{Layout, Source};
use dualk_sdk::data::tables::{Row, Rows};
use dualk_sdk::data::{AdmissionFacts, Dates, Ids, Sex, Stays, Step};
use dualk_sdk::error::value;
use dualk_sdk::prelude::*;
use std::collections::{HashMap, HashSet};

/// All visits.
pub struct Visits {
    /// Patients with their visits in the order of time.
    pub stays: Stays,
    all: Vec<Visit>,
    /// The visit of a patient with an identifier, and of an identifier that only one patient has.
    by_patient: HashMap<(i64, String), usize>,
    by_name: HashMap<String, Option<usize>>,
    pub step: Option<Step>,
}

struct Visit {
    patient: i64,
    name: String,
    time: f64,
    admission: i64,
    facts: AdmissionFacts,
}

/// The visit that a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The number of its admission.
    Visit(i64),
    /// The row names no patient, in a table that has a column for them.
    NoPatient,
    /// The row names no visit.
    Nothing,
    /// The table of visits has no such visit.
    Unknown,
}

/// Why rows are lost.
pub const NO_PATIENT: &str = "without a patient";
pub const NO_VISIT: &str = "without a visit";
pub const UNKNOWN_VISIT: &str = "of a visit that is not among visits";

/// Reads the table of visits.
///
/// # Errors
/// Name the line of a visit with two times, and of one with a time that is none.
pub fn read(layout: &Layout, options: &CsvOptions) -> Result<Visits> {
    let table = &layout.visits;
    let rows = table.read()?;
    let (patients, numbers) = Ids::where_given(&rows, &options.patient)?;
    let given = |column: &String| rows.texts_if((!column.is_empty()).then_some(column.as_str()));
    let (names, times) = (given(&options.visit)?, given(&options.time)?);
    let facts: Vec<Vec<Option<&str>>> =
        layout.facts.iter().map(|column| rows.texts_if(column.as_deref())).collect::<Result<_>>()?;
    let dates = Dates::of_option(&options.date_format)?;
    let mut visits = Visits {
        stays: Stays::new(patients, Ids::default()),
        all: Vec::new(),
        by_patient: HashMap::new(),
        by_name: HashMap::new(),
        step: None,
    };
    let (mut seen, mut without_patient, mut without_visit) = (HashSet::new(), 0, 0);
    for i in 0..rows.len() {
        let Some(patient) = numbers[i] else {
            without_patient += 1;
            continue;
        };
        let name = if options.visit.is_empty() { times[i] } else { names[i] };
        let Some(name) = name.map(str::trim).filter(|name| !name.is_empty()) else {
            without_visit += 1;
            continue;
        };
        let (time, start) = match options.time.is_empty() {
            true => (i as f64, None),
            false => time(&rows, i, &options.time, times[i], &dates)?,
        };
        if let Some(&at) = visits.by_patient.get(&(patient, name.to_owned())) {
            if !options.time.is_empty() && visits.all[at].time != time {
                let message = format!("the visit {} has another time in a row before", value(name));
                return Err(rows.error(i, message).help("rows of one visit have one time"));
            }
            continue;
        }
        let fact = |which: usize| facts[which][i].map(str::trim);
        let known = AdmissionFacts {
            start,
            end: fact(0).and_then(|text| dates.read(text)),
            age: fact(1).and_then(|text| text.parse().ok()),
            died: fact(4).and_then(truth),
        };
        if !seen.contains(&patient) {
            let known = visits.stays.patient(patient);
            (known.sex, known.ethnicity) = (fact(2).and_then(Sex::parse), fact(3).map(str::to_owned));
            seen.insert(patient);
        }
        let at = visits.all.len();
        visits.all.push(Visit { patient, name: name.to_owned(), time, admission: 0, facts: known });
        visits.by_patient.insert((patient, name.to_owned()), at);
        visits.by_name.entry(name.to_owned()).and_modify(|one| *one = None).or_insert(Some(at));
    }
    visits.number();
    let step = Step::new("rows of visits", rows.len() as u64);
    visits.step = Some(step.lost(NO_PATIENT, without_patient).lost(NO_VISIT, without_visit));
    Ok(visits)
}

/// A time as a number that orders, and in seconds since 1970 when it is a date.
fn time(rows: &Rows<'_>, i: usize, column: &str, text: Option<&str>, dates: &Dates) -> Result<(f64, Option<i64>)> {
    let text = text.map(str::trim).unwrap_or_default();
    if let Some(seconds) = dates.read(text) {
        return Ok((seconds as f64, Some(seconds)));
    }
    match text.parse::<f64>().ok().filter(|number| number.is_finite()) {
        Some(number) => Ok((number, None)),
        None => {
            let message = format!("the column `{column}` must hold a date such as 2016-05-20 19:16:52, or a number");
            Err(rows
                .error(i, message)
                .help("the option date_format says how other dates are written, such as %d.%m.%Y"))
        }
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "y" => Some(true),
        "0" | "false" | "no" | "n" => Some(false),
        _ => None,
    }
}

impl Visits {
    /// Numbers admissions: by their identifiers when these are integers that no two visits share.
    fn number(&mut self) {
        let alone = self.by_name.values().all(Option::is_some);
        let integer = |visit: &Visit| visit.name.parse::<i64>().ok().filter(|n| n.to_string() == visit.name);
        let integers: Option<Vec<i64>> = self.all.iter().map(integer).collect();
        match integers.filter(|_| alone) {
            Some(integers) => self.all.iter_mut().zip(integers).for_each(|(visit, n)| visit.admission = n),
            None => {
                self.stays.admission_ids = Ids::texts();
                for visit in &mut self.all {
                    let name = match alone {
                        true => visit.name.clone(),
                        false => format!("{}/{}", self.stays.patient_ids.name(visit.patient), visit.name),
                    };
                    visit.admission = self.stays.admission_ids.add(&name);
                }
            }
        }
        for visit in &self.all {
            self.stays.add(visit.patient, visit.admission, visit.time, visit.facts);
        }
    }

    /// The visit of each row of a table.
    ///
    /// # Errors
    /// Name the row whose visit several patients have, in a table without a column for the patient.
    pub fn of_rows(&self, source: &Source, rows: &Rows<'_>) -> Result<Vec<Found>> {
        let patients = rows.texts_if(source.patient.as_deref())?;
        let visits = rows.texts_if(source.visit.as_deref())?;
        let find = |(i, (patient, visit)): (usize, (Option<&str>, Option<&str>))| {
            self.find(source, patient.unwrap_or(""), visit.unwrap_or("")).map_err(|message| rows.error(i, message))
        };
        patients.into_iter().zip(visits).enumerate().map(find).collect()
    }

    /// The visit of a row that is scanned; `columns` are those of patient and visit.
    ///
    /// # Errors
    /// What is wrong with the row.
    pub fn of_row(&self, source: &Source, row: &Row<'_>, columns: [Option<usize>; 2]) -> Result<Found, String> {
        let [patient, visit] = columns.map(|column| column.map_or("", |column| row.text(column)));
        self.find(source, patient, visit)
    }

    fn find(&self, source: &Source, patient: &str, visit: &str) -> Result<Found, String> {
        let visit = visit.trim();
        if source.patient.is_some() && patient.trim().is_empty() {
            return Ok(Found::NoPatient);
        }
        if visit.is_empty() {
            return Ok(Found::Nothing);
        }
        let at = match &source.patient {
            Some(column) => match self.stays.patient_ids.find(column, Some(patient))? {
                None => return Ok(Found::Unknown),
                Some(patient) => self.by_patient.get(&(patient, visit.to_owned())).copied(),
            },
            None => match self.by_name.get(visit) {
                Some(None) => {
                    return Err(format!(
                        "several patients have the visit {}: the table needs a column for the patient",
                        value(visit)
                    ));
                }
                other => other.copied().flatten(),
            },
        };
        Ok(at.map_or(Found::Unknown, |at| Found::Visit(self.all[at].admission)))
    }
}
