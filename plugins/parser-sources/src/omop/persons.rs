//! What is known of persons.

use super::Omop;
use super::tables::Tables;
use dualk_sdk::data::{Dates, Ids, PatientFacts, Readings, SECONDS_PER_DAY, Sex, Stays, seconds, years_between};
use dualk_sdk::prelude::*;
use std::collections::HashMap;

/// Sex as a concept, year, month and day of birth, and race and ethnicity in the words of the source.
pub type PersonColumns = [Option<String>; 6];

/// Columns of person that need not be there.
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

/// What is known of a person.
#[derive(Default, Clone)]
struct Person {
    facts: PatientFacts,
    /// Birth and death, in seconds since 1970.
    birth: Option<i64>,
    death: Option<i64>,
}

impl Omop {
    /// Adds what is known of persons.
    pub fn describe(&self, tables: &Tables, dates: &Dates, stays: &mut Stays) -> Result<()> {
        let persons = persons(tables, dates, &stays.patient_ids, &mut stays.readings)?;
        for (id, person) in &persons {
            *stays.patient(*id) = person.facts.clone();
        }
        let deaths_are_known = tables.deaths.is_some();
        stays.complete(|id, facts| {
            let person = persons.get(&id);
            let birth = person.and_then(|person| person.birth);
            let age = birth.zip(facts.start).and_then(|(birth, start)| years_between(birth, start));
            facts.age = age.map(|years| years as f32);
            // A death has a date alone, and the day on which a visit ends is its own.
            let death = person.and_then(|person| person.death);
            let within = |(start, end): (i64, i64)| {
                death.is_some_and(|death| death >= start.div_euclid(SECONDS_PER_DAY) * SECONDS_PER_DAY && death <= end)
            };
            facts.died = facts.start.zip(facts.end).filter(|_| deaths_are_known).map(within);
        });
        Ok(())
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

/// What is known of persons, by identifier. A birth of which only the year is known is in the middle of it.
fn persons(tables: &Tables, dates: &Dates, ids: &Ids, readings: &mut Readings) -> Result<HashMap<i64, Person>> {
    let mut persons = HashMap::<i64, Person>::new();
    if let Some((table, columns)) = &tables.persons {
        let rows = table.read()?;
        let columns: Vec<Vec<Option<&str>>> =
            columns.iter().map(|column| rows.texts_if(column.as_deref())).collect::<Result<_>>()?;
        for (i, id) in ids.column(&rows, "person_id")?.into_iter().enumerate() {
            let Some(id) = id else { continue };
            let of = |which: usize| columns[which][i].map(str::trim).filter(|text| !text.is_empty());
            let sex = readings.read("sexes", of(0), sex).flatten();
            let facts = PatientFacts { sex, ethnicity: of(4).or(of(5)).map(str::to_owned) };
            let (month, day) = of(2).map_or(("7", "1"), |month| (month, of(3).unwrap_or("15")));
            let birth = readings.read("births", of(1), |year| seconds(&format!("{year}-{month}-{day}")));
            persons.insert(id, Person { facts, birth, death: None });
        }
    }
    if let Some(table) = &tables.deaths {
        let rows = table.read()?;
        for (id, date) in ids.column(&rows, "person_id")?.into_iter().zip(rows.texts("death_date")?) {
            if let Some(id) = id {
                persons.entry(id).or_default().death = readings.read("deaths", date, |date| dates.read(date));
            }
        }
    }
    Ok(persons)
}
