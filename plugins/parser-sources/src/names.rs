//! What concepts are called, where a data set has a table of them.

use dualk_sdk::data::tables::{OnBadRow, Table};
use dualk_sdk::prelude::*;
use std::collections::{HashMap, HashSet};

/// The names of some concepts, by a table whose columns are concept and name; nothing where there is none. Rows that cannot be read
/// count as none.
pub fn names(table: Option<&Table>, wanted: &HashSet<String>) -> Result<HashMap<String, String>> {
    let mut names = HashMap::new();
    if let Some(table) = table {
        table.scan(
            OnBadRow::Skip,
            |found: &mut Vec<(String, String)>, row| {
                if wanted.contains(row.text(0)) {
                    found.push((row.text(0).to_owned(), row.text(1).to_owned()));
                }
                Ok(())
            },
            |found, _| {
                names.extend(found);
                Ok(())
            },
        )?;
    }
    Ok(names)
}
