//! The tables of a data set, and what it says of codes.

use super::Meds;
use dualk_sdk::data::tables::{Table, files_in};
use dualk_sdk::error::Mistakes;
use dualk_sdk::prelude::*;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is read of events.
pub const COLUMNS: [&str; 4] = ["subject_id", "time", "code", "numeric_value"];

/// Files with mistakes that are named.
const ENOUGH: usize = 10;

/// The tables of a data set.
pub struct Tables {
    /// Events, in the order of the paths of their files.
    pub events: Vec<Table>,
    /// What is said of codes, where it is there.
    codes: Arc<Codes>,
}

/// The table that says what codes mean, and its column of descriptions, where they are there.
pub type Codes = Option<(Table, Option<String>)>;

impl Meds {
    /// The tables.
    pub fn tables(&self) -> Result<Arc<Tables>> {
        let files = self.files().unwrap_or_default().into_iter().chain(files_in(&self.metadata()));
        self.tables.get(files.collect(), || self.open())
    }

    /// Opens them. A folder of other files has as many mistakes as files: some are enough.
    fn open(&self) -> Result<Tables> {
        let (mut mistakes, mut events) = (Mistakes::default(), Vec::new());
        let codes = mistakes.note(self.codes());
        for file in mistakes.note(self.files()).unwrap_or_default() {
            events.extend(mistakes.note(events_in(&file)));
            if mistakes.len() >= ENOUGH {
                break;
            }
        }
        mistakes.finish(codes.map(|codes| Tables { events, codes }))
    }

    /// The table that says what codes mean, where the data set has it.
    pub fn codes(&self) -> Result<Arc<Codes>> {
        let folder = self.metadata();
        self.codes.get(files_in(&folder), || {
            let Some(mut table) = Table::open_if_there(&folder, "codes", &["code"])? else { return Ok(None) };
            let description = table.also("description")?;
            Ok(Some((table, description)))
        })
    }

    fn metadata(&self) -> PathBuf {
        self.options.root.as_path().join("metadata")
    }

    /// The files of events in the order of their paths.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let root = self.options.root.as_path();
        let data = root.join("data");
        let folder = if data.is_dir() { data } else { root.to_owned() };
        let mut files = Vec::new();
        parquet_in(&folder, &mut files)?;
        files.sort_unstable();
        match files.is_empty() {
            true => Err(Error::user("there is no .parquet file here")
                .at_file(folder)
                .help("give the root of a data set in the Medical Event Data Standard, with its folder `data`")),
            false => Ok(files),
        }
    }
}

impl Tables {
    /// What the data set says of codes, where it does: their descriptions.
    pub fn descriptions(&self) -> Result<HashMap<String, String>> {
        let Some((table, Some(description))) = &*self.codes else { return Ok(HashMap::new()) };
        let rows = table.read()?;
        let described = |(code, text): (Option<&str>, Option<&str>)| Some((code?.to_owned(), text?.to_owned()));
        let found = rows.texts("code")?.zip(rows.texts(description)?).filter_map(described).collect();
        Ok(found)
    }
}

/// The events of a file.
fn events_in(file: &Path) -> Result<Table> {
    let mut table = Table::at(file, &COLUMNS)?;
    table.also("race")?;
    Ok(table)
}

/// Parquet files in a folder and below.
fn parquet_in(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let fail = |e| Error::io("read the folder", folder, e);
    for entry in fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.is_dir() {
            parquet_in(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "parquet") {
            files.push(path);
        }
    }
    Ok(())
}
