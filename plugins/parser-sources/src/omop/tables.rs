//! The tables, opened, with the columns that they have.

use super::persons::PERSON;
use super::{Omop, OmopCodes};
use crate::EVENT_LOSSES;
use dualk_sdk::data::events::{Places, Source};
use dualk_sdk::data::labs::Rule;
use dualk_sdk::data::tables::{Table, check_folder};
use dualk_sdk::error::Mistakes;
use dualk_sdk::prelude::*;
use std::path::PathBuf;

/// The tables that the options ask for, opened, with the columns that they have.
pub struct Tables {
    pub visits: Table,
    /// Columns of visit_occurrence that need not be there: beginning with its time, end, and end with its time.
    pub times: [Option<String>; 3],
    pub conditions: Table,
    pub measurements: Option<(Table, Rule)>,
    /// Needed by none, with the columns of [`PERSON`].
    pub persons: Option<(Table, Vec<Option<String>>)>,
    pub deaths: Option<Table>,
    pub concepts: Option<Table>,
    pub events: Vec<Source>,
}

impl Tables {
    /// Their files.
    pub fn files(&self) -> Vec<PathBuf> {
        let measurements = self.measurements.as_ref().map(|(table, _)| table);
        let persons = self.persons.as_ref().map(|(table, _)| table);
        let others = [measurements, persons, self.deaths.as_ref(), self.concepts.as_ref()].into_iter().flatten();
        let tables = [&self.visits, &self.conditions].into_iter().chain(others);
        let tables = tables.chain(self.events.iter().map(Source::table));
        tables.map(|table| table.path().to_owned()).collect()
    }
}

impl Omop {
    /// Opens what is there of them.
    ///
    /// # Errors
    /// Name the table, or what is missing in it, and the key.
    pub fn open(&self) -> Result<Tables> {
        let options = &self.options;
        let root = options.root.as_path();
        let open =
            |name: &str, columns: &[&str]| Table::open_any_case(root, name, columns).map_err(|e| e.at_key("root"));
        let there =
            |name: &str, columns: &[&str]| Table::open_if_there(root, name, columns).map_err(|e| e.at_key("root"));
        let mut columns = vec!["visit_occurrence_id", "person_id", "visit_start_date"];
        columns.extend((!options.visit_concepts.is_empty()).then_some("visit_concept_id"));
        check_folder(root).map_err(|e| e.at_key("root"))?;
        let mut mistakes = Mistakes::default();
        let visits = mistakes.note(open("visit_occurrence", &columns));
        let conditions = ["visit_occurrence_id", self.code_column()];
        let conditions = mistakes.note(open("condition_occurrence", &conditions));
        let measurements = mistakes.note(options.labs.then(|| self.measurements()).transpose());
        let persons = mistakes.note(there("person", &["person_id"]));
        let deaths = mistakes.note(there("death", &["person_id", "death_date"]));
        let concepts = mistakes.note(there("concept", &["concept_id", "concept_name"]));
        let places = Places {
            root,
            admission: "visit_occurrence_id",
            procedures: ("procedure_occurrence", &[options.procedure.as_str()]),
            drugs: ("drug_exposure", &options.drug),
            cancelled: None,
            losses: EVENT_LOSSES,
        };
        let events = mistakes.note(places.open(&options.events, &options.event_tables));
        let needed = visits.zip(conditions).zip(measurements).zip(events);
        let found = needed.zip(persons.zip(deaths).zip(concepts));
        let ((((mut visits, conditions), measurements), events), ((persons, deaths), concepts)) =
            mistakes.finish(found)?;
        let mut time = |column: &str| visits.also(column).map_err(|e| e.at_key("root"));
        let times = [time("visit_start_datetime")?, time("visit_end_date")?, time("visit_end_datetime")?];
        let described = |mut table: Table| -> Result<(Table, Vec<Option<String>>)> {
            let columns: Result<_> = PERSON.iter().map(|column| table.also(column)).collect();
            Ok((table, columns.map_err(|e| e.at_key("root"))?))
        };
        let persons = persons.map(described).transpose()?;
        Ok(Tables { visits, times, conditions, measurements, persons, deaths, concepts, events })
    }

    /// The column of a condition's code.
    pub fn code_column(&self) -> &'static str {
        match self.options.codes {
            OmopCodes::Concept => "condition_concept_id",
            _ => "condition_source_value",
        }
    }
}
