//! The tables, opened, with the columns that they have.

use super::{I2b2, dimensions, encounters};
use dualk_sdk::data::labs::Rule;
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
    /// The facts once more, where laboratory items are read.
    pub results: Option<Results>,
    /// What the concepts of laboratory items are called, needed by none.
    pub concepts: Option<Table>,
}

/// Facts as results, and what counts of them.
pub struct Results {
    pub table: Table,
    pub rule: Rule,
    /// The place of the column that says whether something else of a result is meant, where there is one.
    pub modifier: Option<usize>,
}

/// What is known of patients or of visits, with the columns that need not be there.
pub struct Dimension {
    pub table: Table,
    pub columns: Vec<Option<String>>,
}

impl Dimension {
    fn of(mut table: Table, columns: &[&str]) -> Result<Self> {
        let columns = columns.iter().map(|column| table.also(column)).collect::<Result<_>>()?;
        Ok(Self { table, columns })
    }
}

impl Tables {
    /// Their files.
    pub fn files(&self) -> Vec<PathBuf> {
        let dimensions = [&self.patients, &self.visits].into_iter().flatten().map(|dimension| &dimension.table);
        let tables = std::iter::once(&self.facts).chain(dimensions).chain(&self.concepts);
        tables.map(|table| table.path().to_owned()).collect()
    }
}

impl I2b2 {
    /// Opens what is there of them.
    ///
    /// # Errors
    /// Name the table, or what is missing in it, and the key.
    pub fn open(&self) -> Result<Tables> {
        let (options, root) = (&self.options, self.options.root.as_path());
        check_folder(root).map_err(|e| e.at_key("root"))?;
        let rule = options.abnormal.rule(options.quantiles)?;
        let mut mistakes = Mistakes::default();
        let facts = Table::open_any_case(root, "observation_fact", &encounters::COLUMNS);
        let facts = mistakes.note(facts.map_err(|e| e.at_key("root")));
        // What is wrong with the table is said once.
        let results = rule.filter(|_| facts.is_some()).map(|rule| self.results(rule));
        let results = mistakes.note(results.transpose());
        let patients = mistakes.note(self.dimension("patient_dimension", "patient_num", &dimensions::PATIENT));
        let visits = mistakes.note(self.visits());
        let concepts = rule.map(|_| Table::open_if_there(root, "concept_dimension", &["concept_cd", "name_char"]));
        let concepts = mistakes.note(concepts.transpose().map_err(|e| e.at_key("root")));
        let found = facts.zip(results).zip(patients.zip(visits)).zip(concepts);
        let (((facts, results), (patients, visits)), concepts) = mistakes.finish(found)?;
        Ok(Tables { facts, patients, visits, results, concepts: concepts.flatten() })
    }

    /// A table that a warehouse may lack, which has a row for each `key`.
    fn dimension(&self, name: &str, key: &str, columns: &[&str]) -> Result<Option<Dimension>> {
        let found = Table::open_if_there(self.options.root.as_path(), name, &[key]);
        let described = |table: Option<Table>| table.map(|table| Dimension::of(table, columns)).transpose();
        found.and_then(described).map_err(|e| e.at_key("root"))
    }

    /// What is known of visits, which must be there where an option asks for it.
    fn visits(&self) -> Result<Option<Dimension>> {
        if self.options.inout.is_empty() {
            return self.dimension("visit_dimension", "encounter_num", &dimensions::VISIT);
        }
        let columns = ["encounter_num", "inout_cd"];
        let found = Table::open_any_case(self.options.root.as_path(), "visit_dimension", &columns);
        let described = |table: Table| Dimension::of(table, &dimensions::VISIT).map(Some);
        found.and_then(described).map_err(|e| e.at_key("inout"))
    }
}
