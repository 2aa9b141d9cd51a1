//! Reading a table of vectors from lines of text.

use dualk_sdk::data::tables::{Fault, OnBadRow, Row, Table};
use dualk_sdk::prelude::*;
use std::path::Path;

/// Codes, and the numbers of their vectors one after another.
#[derive(Default)]
pub struct Lines {
    /// A code a vector.
    pub codes: Vec<String>,
    /// The vectors, row after row.
    pub values: Vec<f32>,
}

impl Lines {
    /// Reads rows of a code and its numbers. A first line whose second field is no number is a heading.
    pub fn read(path: &Path) -> Result<Self> {
        let is_heading = |first: &[String]| first.get(1).is_some_and(|second| second.trim().parse::<f32>().is_err());
        let table = Table::by_place(path, is_heading)?;
        let columns = table.header().len();
        if columns == 1 {
            return Err(Error::user("a code is followed by no number").at_line(path, 1));
        }
        let mut lines = Self::default();
        table.scan(
            OnBadRow::Error,
            |found: &mut Self, row| found.add(row, columns),
            |found, _| {
                lines.codes.extend(found.codes);
                lines.values.extend(found.values);
                Ok(())
            },
        )?;
        match lines.codes.is_empty() {
            true => Err(Error::user("the table has no vectors").at_file(path)),
            false => Ok(lines),
        }
    }

    fn add(&mut self, row: &Row<'_>, columns: usize) -> Result<(), Fault> {
        self.codes.push(row.text(0).to_owned());
        for column in 1..columns {
            let field = row.text(column);
            let number = field.parse::<f32>().ok().filter(|number| number.is_finite());
            self.values.push(number.ok_or_else(|| row.fault(column, format!("`{field}` is no finite number")))?);
        }
        Ok(())
    }
}
