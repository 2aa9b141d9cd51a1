//! What is known of persons.

use super::tables::Tables;
use dualk_sdk::data::tables::Table;
use dualk_sdk::data::{AdmissionFacts, Dates, Ids, PatientFacts, Readings, Sex, Stays, Step, seconds, years_between};
use dualk_sdk::prelude::*;
use std::collections::HashMap;
use std::ops::RangeInclusive;

/// Columns of person that need not be there: sex as a concept, year, month and day of birth, and race and ethnicity in the words
/// of the source.
pub const PERSON: [&str; 6] = [
    "gender_concept_id",
    "year_of_birth",
    "month_of_birth",
    "day_of_birth",
    "race_source_value",
    "ethnicity_source_value",
];

/// The standard concept of males, and of females.
const MALE: &str = "8507";
const FEMALE: &str = "8532";

/// What rows of `death` are that say otherwise of a person.
const DIFFERENT: &str = "on another day than the first row of their person, which counts";

/// What is known of a person.
#[derive(Default)]
struct Person {
    facts: PatientFacts,
    /// Birth, in seconds since 1970.
    birth: Option<i64>,
    /// The day of the death, in days since 1970.
    death: Option<i64>,
}

/// When a visit is.
pub struct Span {
    /// In seconds since 1970.
    pub start: i64,
    pub end: Option<i64>,
    /// From its first day to its last, in days since 1970, as the source writes them.
    pub days: Option<RangeInclusive<i64>>,
}

/// What is known of persons, by identifier.
pub struct Persons {
    known: HashMap<i64, Person>,
    /// Whether there is a table of deaths.
    deaths: bool,
    /// The step of that table where rows of a person differ.
    pub step: Option<Step>,
}

impl Persons {
    /// What is known of a person's visit. Of a death the date alone is known.
    pub fn visit(&self, id: i64, Span { start, end, days }: Span) -> AdmissionFacts {
        let person = self.known.get(&id);
        let age = person.and_then(|person| years_between(person.birth?, start)).map(|years| years as f32);
        let death = person.and_then(|person| person.death);
        let within = |days: RangeInclusive<i64>| death.is_some_and(|death| days.contains(&death));
        AdmissionFacts { start: Some(start), end, age, died: days.filter(|_| self.deaths).map(within) }
    }

    /// Adds what is known of the persons themselves.
    pub fn describe(self, stays: &mut Stays) {
        self.known.into_iter().for_each(|(id, person)| *stays.patient(id) = person.facts);
    }
}

/// The sex that a concept stands for; other concepts are those of unknown or other ones.
fn sex(concept: &str) -> Option<Option<Sex>> {
    match concept {
        MALE => Some(Some(Sex::Male)),
        FEMALE => Some(Some(Sex::Female)),
        other => other.parse::<u64>().is_ok().then_some(None),
    }
}

/// Reads what is known of persons, each of whom has one row. A birth of which only the year is known is in the middle of it.
pub fn persons(tables: &Tables, dates: &Dates, ids: &Ids, readings: &mut Readings) -> Result<Persons> {
    let mut known = HashMap::<i64, Person>::new();
    if let Some((table, columns)) = &tables.persons {
        let rows = table.read()?;
        let columns: Vec<Vec<Option<&str>>> =
            columns.iter().map(|column| rows.texts_if(column.as_deref())).collect::<Result<_>>()?;
        let numbers = ids.column(&rows, "person_id")?;
        ids.each_known_once(&rows, &numbers, "person")?;
        for (i, id) in numbers.into_iter().enumerate() {
            let Some(id) = id else { continue };
            let of = |which: usize| columns[which][i].map(str::trim).filter(|text| !text.is_empty());
            // As pandas writes numbers of a column that has empty cells.
            let number = |which: usize| of(which).map(|text| text.strip_suffix(".0").unwrap_or(text));
            let sex = readings.read("sexes", number(0), sex).flatten();
            let facts = PatientFacts { sex, ethnicity: of(4).or(of(5)).map(str::to_owned) };
            let (month, day) = number(2).map_or(("7", "1"), |month| (month, number(3).unwrap_or("15")));
            let birth = number(1).map(|year| format!("{year}-{month}-{day}"));
            let birth = readings.read("births", birth.as_deref(), seconds);
            known.insert(id, Person { facts, birth, death: None });
        }
    }
    let step = match &tables.deaths {
        Some(table) => deaths(table, dates, ids, readings, &mut known)?,
        None => None,
    };
    Ok(Persons { known, deaths: tables.deaths.is_some(), step })
}

/// Reads on which days persons died. Of several rows of one, such as one a cause, the first that has a day counts.
fn deaths(
    table: &Table,
    dates: &Dates,
    ids: &Ids,
    readings: &mut Readings,
    known: &mut HashMap<i64, Person>,
) -> Result<Option<Step>> {
    let (rows, mut different) = (table.read()?, 0);
    for (id, date) in ids.column(&rows, "person_id")?.into_iter().zip(rows.texts("death_date")?) {
        let Some(id) = id else { continue };
        let Some(day) = readings.read("deaths", date, |date| dates.day(date)) else { continue };
        let first = *known.entry(id).or_default().death.get_or_insert(day);
        different += u64::from(first != day);
    }
    Ok((different > 0).then(|| Step::new("rows of death", rows.len() as u64).odd(DIFFERENT, different)))
}
