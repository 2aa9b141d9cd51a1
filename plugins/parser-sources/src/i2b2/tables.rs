//! The tables, opened, with the columns that they have.

use super::{I2b2, dimensions, encounters};
use dualk_sdk::data::tables::{Table, check_folder};
use dualk_sdk::error::Mistakes;
use dualk_sdk::prelude::*;
use std::path::PathBuf;

/// The tables of a star schema.
pub struct Tables {
    pub facts: Table,
    /// Needed by none, with the columns of [`dimensions::PATIENT`].
    pub patients: Option<Dimension>,
    /// Needed by none, with the columns of [`dimensions::VISIT`].
    pub visits: Option<Dimension>,
}

/// What is known of patients or of visits, with the columns that need not be there.
pub struct Dimension {
    pub table: Table,
    pub columns: Vec<Option<String>>,
}

impl Tables {
    /// Their files.
    pub fn files(&self) -> Vec<PathBuf> {
        let dimensions = [&self.patients, &self.visits].into_iter().flatten().map(|dimension| &dimension.table);
        let tables = std::iter::once(&self.facts).chain(dimensions);
        tables.map(|table| table.path().to_owned()).collect()
    }
}

impl I2b2 {
    /// Opens what is there of them.
    ///
    /// # Errors
    /// Name the table, or what is missing in it, and the key.
    pub fn open(&self) -> Result<Tables> {
        let root = self.options.root.as_path();
        check_folder(root).map_err(|e| e.at_key("root"))?;
        let mut mistakes = Mistakes::default();
        let facts = Table::open_any_case(root, "observation_fact", &encounters::COLUMNS);
        let facts = mistakes.note(facts.map_err(|e| e.at_key("root")));
        let patients = mistakes.note(self.dimension("patient_dimension", "patient_num", &dimensions::PATIENT));
        let visits = mistakes.note(self.dimension("visit_dimension", "encounter_num", &dimensions::VISIT));
        let (facts, (patients, visits)) = mistakes.finish(facts.zip(patients.zip(visits)))?;
        Ok(Tables { facts, patients, visits })
    }

    /// A table that a warehouse may lack, which has a row for each `key`.
    fn dimension(&self, name: &str, key: &str, columns: &[&str]) -> Result<Option<Dimension>> {
        let described = |mut table: Table| -> Result<Dimension> {
            let columns = columns.iter().map(|column| table.also(column)).collect::<Result<_>>()?;
            Ok(Dimension { table, columns })
        };
        let found = Table::open_if_there(self.options.root.as_path(), name, &[key]);
        found.and_then(|table| table.map(described).transpose()).map_err(|e| e.at_key("root"))
    }
}
