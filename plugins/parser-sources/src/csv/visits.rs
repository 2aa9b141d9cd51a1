//! Visits, and to which of them a row of another table belongs.

use super::CsvOptions;
use super::layout::{Layout, Source};
use dualk_sdk::data::tables::{Row, Rows};
use dualk_sdk::data::{AdmissionFacts, Dates, Ids, Readings, Stays, Step};
use dualk_sdk::error::{cell, value};
use dualk_sdk::prelude::*;
use std::cell::OnceCell;
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
    /// Its first row.
    row: usize,
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

/// What rows are that say otherwise of a visit.
const DIFFERENT: &str = "that differ from the first row of their visit, which counts";

/// Reads the table of visits.
///
/// # Errors
/// Name the line of a visit with two times, and of one whose time cannot be read.
pub fn read(layout: &Layout, options: &CsvOptions) -> Result<Visits> {
    let rows = layout.visits.read()?;
    let (patients, numbers) = Ids::where_given(&rows, &options.patient)?;
    let columns = Columns::new(&rows, layout, options)?;
    let mut visits = Visits {
        stays: Stays::new(patients, Ids::default()),
        all: Vec::new(),
        by_patient: HashMap::new(),
        by_name: HashMap::new(),
        step: None,
    };
    let (mut seen, mut without_patient, mut without_visit, mut different) = (HashSet::new(), 0, 0, 0);
    for (i, patient) in numbers.into_iter().enumerate() {
        let Some(patient) = patient else {
            without_patient += 1;
            continue;
        };
        let Some(name) = columns.name(i) else {
            without_visit += 1;
            continue;
        };
        let (time, start) = columns.time(i)?;
        if let Some(&at) = visits.by_patient.get(&(patient, name.to_owned())) {
            different += u64::from(columns.differ(i, (time, start), &visits.all[at])?);
            continue;
        }
        let facts = columns.facts(i, start, &mut visits.stays.readings);
        if seen.insert(patient) {
            let sex = visits.stays.readings.sex(columns.fact(2, i));
            let known = visits.stays.patient(patient);
            (known.sex, known.ethnicity) = (sex, columns.fact(3, i).map(str::to_owned));
        }
        visits.add(Visit { row: i, patient, name: name.to_owned(), time, admission: 0, facts });
    }
    visits.number();
    let step = Step::new("rows of visits", rows.len() as u64);
    let step = step.lost(NO_PATIENT, without_patient).lost(NO_VISIT, without_visit);
    visits.step = Some(step.odd(DIFFERENT, different));
    Ok(visits)
}

/// The columns of the table of visits but for that of patients. A column that the table lacks has no texts.
struct Columns<'a> {
    rows: &'a Rows<'a>,
    options: &'a CsvOptions,
    dates: Dates,
    names: Vec<Option<&'a str>>,
    times: Vec<Option<&'a str>>,
    /// Whether times are dates, as the first one is: numbers have no order among them.
    are_dates: OnceCell<bool>,
    /// In the order of [`Layout::facts`].
    facts: Vec<Vec<Option<&'a str>>>,
}

impl<'a> Columns<'a> {
    fn new(rows: &'a Rows<'a>, layout: &'a Layout, options: &'a CsvOptions) -> Result<Self> {
        let given = |column: &'a String| rows.texts_if((!column.is_empty()).then_some(column.as_str()));
        Ok(Self {
            rows,
            options,
            names: given(&options.visit)?,
            times: given(&options.time)?,
            are_dates: OnceCell::new(),
            facts: layout.facts.iter().map(|column| rows.texts_if(column.as_deref())).collect::<Result<_>>()?,
            dates: Dates::of_option(&options.date_format)?,
        })
    }

    /// What a row calls its visit.
    fn name(&self, i: usize) -> Option<&'a str> {
        let name = if self.options.visit.is_empty() { self.times[i] } else { self.names[i] };
        name.map(str::trim).filter(|name| !name.is_empty())
    }

    /// The time of a row, as a number that orders, and in seconds since 1970 when it is a date; rows without a column for it
    /// are in the order of time.
    fn time(&self, i: usize) -> Result<(f64, Option<i64>)> {
        let column = &self.options.time;
        if column.is_empty() {
            return Ok((i as f64, None));
        }
        let found = time(self.rows, i, column, self.times[i], &self.dates)?;
        let are_dates = *self.are_dates.get_or_init(|| found.1.is_some());
        if are_dates == found.1.is_some() {
            return Ok(found);
        }
        let (before, here) = if are_dates { ("dates", "a number") } else { ("numbers", "a date") };
        let message =
            format!("the column `{column}` holds {before} in rows before and {here} here, which have no order");
        Err(self.rows.error(i, message).help(Dates::HELP))
    }

    fn fact(&self, which: usize, i: usize) -> Option<&'a str> {
        self.facts[which][i].map(str::trim)
    }

    fn facts(&self, i: usize, start: Option<i64>, readings: &mut Readings) -> AdmissionFacts {
        let end = readings.read("ends of visits", self.fact(0, i), |text| end(text, start, &self.dates)).flatten();
        AdmissionFacts { start, end, age: readings.age(self.fact(1, i)), died: readings.died(self.fact(4, i)) }
    }

    /// Whether another row of a visit says otherwise of it, or more, than the first one; what it leaves empty is no difference.
    ///
    /// # Errors
    /// When it has another time.
    fn differ(&self, i: usize, (time, start): (f64, Option<i64>), visit: &Visit) -> Result<bool> {
        if !self.options.time.is_empty() && visit.time != time {
            let message = format!("the visit {} has another time in a row before", value(&visit.name));
            return Err(self.rows.error(i, message).help("rows of one visit have one time"));
        }
        // Most tables with a row a code say the same in each: then nothing is read again.
        if [0, 1, 4].iter().all(|&which| self.fact(which, i) == self.fact(which, visit.row)) {
            return Ok(false);
        }
        // Cells of visits are counted in their first rows alone.
        let (first, later) = (visit.facts, self.facts(i, start, &mut Readings::default()));
        let of_stay = differs(first.end, later.end) || differs(first.died, later.died);
        Ok(of_stay || differs(first.age, later.age))
    }
}

/// Whether a row says something that the first one of the visit did not say.
fn differs<T: PartialEq>(first: Option<T>, later: Option<T>) -> bool {
    later.is_some() && later != first
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
            let (accepted, found) = (dates.accepted(), cell(Some(text)));
            let message = format!("the column `{column}` must hold {accepted}, or a number, found {found}");
            Err(rows.error(i, message).help(Dates::HELP))
        }
    }
}

/// The end of a visit. Where its start is a number, the end may be one; it is no time.
fn end(text: &str, start: Option<i64>, dates: &Dates) -> Option<Option<i64>> {
    let is_number = || start.is_none() && text.parse::<f64>().is_ok();
    dates.end(text, start).map(Some).or_else(|| is_number().then_some(None))
}

impl Visits {
    /// Adds a visit that is not there yet.
    fn add(&mut self, visit: Visit) {
        let at = self.all.len();
        self.by_patient.insert((visit.patient, visit.name.clone()), at);
        self.by_name.entry(visit.name.clone()).and_modify(|one| *one = None).or_insert(Some(at));
        self.all.push(visit);
    }

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
