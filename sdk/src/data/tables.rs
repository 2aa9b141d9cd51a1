//! Raw tables: `.csv`, `.csv.gz` and `.parquet` files, every column as text, with errors that name file and line. What has
//! tabs or semicolons in place of commas is read too.
//!
//! Tables that fit into memory are [read](Table::read); the others are [scanned](Table::scan). Both go through a file in
//! blocks, which all threads split.

mod blocks;
mod opened;
mod parquet;
mod pass;
mod record;
mod rows;
mod scan;
mod stream;
mod values;

pub use opened::Opened;
pub use pass::{NOT_IN_COHORT, Pass, Seen};
pub use record::Fault;
pub use rows::Rows;
pub use scan::{OnBadRow, Row, Scanned};
pub use stream::text;
pub(crate) use stream::{first_of_lines, lines, tab_fields};

use crate::error::Mistakes;
use crate::{Error, Result};
use parquet::Parquet;
use rows::Block;
use std::path::{Path, PathBuf};

/// A table whose header has been read and checked.
#[derive(Debug, Clone)]
pub struct Table {
    path: PathBuf,
    header: Vec<String>,
    /// The needed columns, as they are called here, and as the file calls them.
    columns: Vec<String>,
    own: Vec<String>,
    /// What stands between fields.
    separator: u8,
    /// The line of the first row of a text: 2 behind a heading.
    first: usize,
    /// What the file says about itself when it is Parquet.
    parquet: Option<Parquet>,
}

impl Table {
    /// The table `name`, that is `name.csv`, `name.csv.gz` or `name.parquet` in `folder`, with at least `columns`.
    ///
    /// # Errors
    /// When there is none, when there are several, or when a column is missing.
    pub fn open(folder: &Path, name: &str, columns: &[&str]) -> Result<Self> {
        Self::at(&file_of(folder, name)?, columns)
    }

    /// The same with names of table and columns in any case, such as `ADMISSIONS.csv` with the column `HADM_ID`. Columns are
    /// called here as they are asked for.
    ///
    /// # Errors
    /// As of [`Table::open`].
    pub fn open_any_case(folder: &Path, name: &str, columns: &[&str]) -> Result<Self> {
        let table = Self::whole(&file_of(folder, &written(folder, name)?.unwrap_or_else(|| name.to_owned()))?)?;
        let own =
            |column: &&str| -> Result<String> { Ok(table.own_name(column)?.unwrap_or_else(|| (*column).to_owned())) };
        let own: Vec<String> = columns.iter().map(own).collect::<Result<_>>()?;
        let table = table.with(&own.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(Self { columns: columns.iter().map(|&c| c.to_owned()).collect(), ..table })
    }

    /// The same where a source may lack the table.
    ///
    /// # Errors
    /// When it is there and lacks a column, or is there twice.
    pub fn open_if_there(folder: &Path, name: &str, columns: &[&str]) -> Result<Option<Self>> {
        written(folder, name)?.map(|_| Self::open_any_case(folder, name, columns)).transpose()
    }

    /// The table in the file `path`, with at least `columns`.
    pub fn at(path: &Path, columns: &[&str]) -> Result<Self> {
        Self::whole(path)?.with(columns)
    }

    /// The table in the file `path`, of which no column is needed yet.
    fn whole(path: &Path) -> Result<Self> {
        let parquet = Parquet::open(path)?;
        let (header, separator) = match &parquet {
            Some(file) => (file.header(), b','),
            None => stream::first_line(path, "name the columns")?,
        };
        let (columns, own) = (Vec::new(), Vec::new());
        Ok(Self { path: path.to_owned(), header, columns, own, separator, first: 2, parquet })
    }

    /// The same with at least `columns`, as the file calls them, each of which it has once. What is not needed may have any name.
    fn with(self, columns: &[&str]) -> Result<Self> {
        let has_heading = self.parquet.is_some() || is_heading(&self.header, columns);
        let mut mistakes = Mistakes::default();
        // A table without a heading has none of them, which is said once.
        for column in columns.iter().take(if has_heading { columns.len() } else { 1 }) {
            mistakes.note(match self.header.iter().filter(|h| h == column).count() {
                0 => Err(self.missing(column, has_heading)),
                1 => Ok(()),
                times => Err(self.several(column, times)),
            });
        }
        mistakes.done()?;
        let columns: Vec<String> = columns.iter().map(|&c| c.to_owned()).collect();
        Ok(Self { own: columns.clone(), columns, ..self })
    }

    /// A column that is not there.
    fn missing(&self, column: &str, has_heading: bool) -> Error {
        let error = self.at_heading(Error::user(format!("the column `{column}` is missing")));
        if !has_heading {
            return no_heading(error, &self.header);
        }
        if self.has_values() {
            return values_in_heading(error, &self.header);
        }
        let error = match self.header.iter().find(|h| h.eq_ignore_ascii_case(column)) {
            Some(h) => error.help(format!("did you mean `{h}`? upper and lower case differ")),
            None => error,
        };
        error.suggest(column, &self.header)
    }

    /// The table in the text file `path` whose columns have no names: they are called `1`, `2` and so on, and all are needed. The
    /// first line is a row, unless `is_heading` says otherwise of its fields.
    ///
    /// # Errors
    /// When there is no such file, or its first line is empty or cannot be split.
    pub fn by_place(path: &Path, is_heading: impl FnOnce(&[String]) -> bool) -> Result<Self> {
        let (fields, separator) = stream::first_line(path, "hold a row")?;
        let columns: Vec<String> = (1..=fields.len()).map(|place| place.to_string()).collect();
        let (header, own) = (columns.clone(), columns.clone());
        let first = if is_heading(&fields) { 2 } else { 1 };
        Ok(Self { path: path.to_owned(), header, own, columns, separator, first, parquet: None })
    }

    /// The same table with other columns, so that its file is opened once where it is read several times.
    ///
    /// # Errors
    /// When a column is missing.
    pub fn only(&self, columns: &[&str]) -> Result<Self> {
        self.clone().with(columns)
    }

    /// How the file writes a column: as it is asked for, or else in any case.
    fn own_name(&self, column: &str) -> Result<Option<String>> {
        let exact: Vec<&String> = self.header.iter().filter(|h| *h == column).collect();
        let same: Vec<&String> = match exact.is_empty() {
            true => self.header.iter().filter(|h| h.eq_ignore_ascii_case(column)).collect(),
            false => exact,
        };
        match same[..] {
            [] => Ok(None),
            [name] => Ok(Some(name.clone())),
            [first, ..] => {
                let name = if same.iter().all(|name| *name == first) { first.as_str() } else { column };
                Err(self.several(name, same.len()))
            }
        }
    }

    /// Asks for a column more when the table has it, as it is written or else in any case; what it is called here.
    ///
    /// # Errors
    /// When the table has it several times.
    pub fn also(&mut self, column: &str) -> Result<Option<String>> {
        let Some(name) = self.own_name(column)? else { return Ok(None) };
        if let Some(at) = self.own.iter().position(|own| *own == name) {
            return Ok(Some(self.columns[at].clone()));
        }
        self.columns.push(name.clone());
        self.own.push(name.clone());
        Ok(Some(name))
    }

    /// An error in the names of the columns: only text has a line of them.
    fn at_heading(&self, error: Error) -> Error {
        if self.parquet.is_some() { error.at_file(&self.path) } else { error.at_line(&self.path, 1) }
    }

    /// A column that is there several times.
    fn several(&self, column: &str, times: usize) -> Error {
        let error = self.at_heading(Error::user(format!("the column `{column}` occurs {times} times")));
        error.help("leave one of them in the table: nothing says which of them is meant")
    }

    /// How the file calls a column that was asked for, for errors.
    pub fn called<'a>(&'a self, column: &'a str) -> &'a str {
        self.place(column).map_or(column, |at| &self.own[at])
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An error about a column that is not there, with those that are; without them where the first line of a text names
    /// none of `known` and may be a row of patients.
    pub fn suggest(&self, error: Error, column: &str, known: &[&str]) -> Error {
        match self.parquet.is_some() || is_heading(&self.header, known) {
            true if self.has_values() => values_in_heading(error, &self.header),
            true => error.suggest(column, &self.header),
            false => no_heading(error, &self.header),
        }
    }

    /// Whether the first line of a text may go on with a row behind its names, as it does where the line break between them was lost.
    fn has_values(&self) -> bool {
        // Columns without names are called by their places.
        let is_value = |(at, cell): (usize, &String)| {
            cell.trim_start().starts_with(|first: char| first.is_ascii_digit()) && *cell != (at + 1).to_string()
        };
        self.parquet.is_none() && self.header.iter().enumerate().any(is_value)
    }

    /// The names of all columns.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Whether the file is Parquet without notes of the program that wrote it, such as pandas and Arrow leave.
    pub(crate) fn is_bare_parquet(&self) -> bool {
        self.parquet.as_ref().is_some_and(Parquet::is_bare)
    }

    /// The place of a column among those that were asked for, as [`Row`] counts them.
    pub fn place(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|c| c == column)
    }

    /// The whole table, its needed columns only.
    ///
    /// # Errors
    /// The first row that cannot be split, with line and column; a file that cannot be read.
    pub fn read(&self) -> Result<Rows<'_>> {
        let mut parts = Vec::new();
        match &self.parquet {
            Some(file) => file.read(self, |part| parts.push(part))?,
            None => {
                self.scan_text(OnBadRow::Error, Block::add, |block: Block, _, line| {
                    parts.push(block.at_line(line));
                    Ok(())
                })?;
            }
        }
        Ok(Rows::new(self, parts))
    }
}

/// Whether a folder is there. What opens several tables of one asks this first, so that it is said once.
///
/// # Errors
/// When it is not.
pub fn check_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let what = if folder.exists() { "this is not a folder" } else { "there is no such folder" };
    Err(Error::user(what).at_file(folder).help("give the folder that holds the tables"))
}

/// Whether the first line of a text has one of these names, in whatever case of letters.
fn is_heading(header: &[String], known: &[&str]) -> bool {
    header.iter().any(|cell| known.iter().any(|name| cell.eq_ignore_ascii_case(name)))
}

fn no_heading(error: Error, header: &[String]) -> Error {
    let error = error.help("the first line has none of the columns that are needed: does the table have a heading?");
    with_first_line(error, header)
}

fn values_in_heading(error: Error, header: &[String]) -> Error {
    let error =
        error.help("the first line has numbers beside names of columns: does a line break lack behind the names?");
    with_first_line(error, header)
}

fn with_first_line(error: Error, header: &[String]) -> Error {
    error.help(format!("the first line: {}", crate::error::value(header.join(", "))))
}

/// What to do about a table that is there twice.
const LEAVE_ONE: &str = "leave one of them, so that it is clear which is read";

/// The file of the table `name` in a folder.
fn file_of(folder: &Path, name: &str) -> Result<PathBuf> {
    check_folder(folder)?;
    let candidates = ["csv", "csv.gz", "parquet"].map(|end| format!("{name}.{end}")).map(|file| folder.join(file));
    let mut found = candidates.iter().filter(|path| path.is_file());
    let Some(path) = found.next() else {
        if let Some(other) = candidates.iter().find(|path| path.symlink_metadata().is_ok()) {
            let error = Error::user("this is no file that can be read").at_file(other);
            return Err(
                error.help("is it a folder, or a link to what is not there, such as on a disk that is not mounted?")
            );
        }
        let message = "is missing: there is no";
        let error =
            Error::user(format!("the table `{name}` {message} {name}.csv, {name}.csv.gz or {name}.parquet here"));
        return Err(error.at_file(folder).suggest(name, tables_in(folder)));
    };
    if let Some(other) = found.next() {
        let names = [path, other].map(|path| path.file_name().unwrap_or_default().to_string_lossy());
        let message = format!("the table `{name}` is there twice: {} and {}", names[0], names[1]);
        return Err(Error::user(message).at_file(folder).help(LEAVE_ONE));
    }
    Ok(path.clone())
}

/// How a folder writes the name of a table.
fn written(folder: &Path, name: &str) -> Result<Option<String>> {
    let mut found = tables_in(folder).into_iter().filter(|table| table.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (Some(one), Some(other)) => {
            let message = format!("the table `{name}` is there twice: as {one} and as {other}");
            Err(Error::user(message).at_file(folder).help(LEAVE_ONE))
        }
        (found, _) => Ok(found),
    }
}

/// What the names of tables' files end with, the longest first.
const ENDS: [&str; 3] = [".csv.gz", ".csv", ".parquet"];

/// The name of the table that a file is by its name.
fn table_of(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_string_lossy();
    ENDS.iter().find_map(|end| name.strip_suffix(end).map(str::to_owned))
}

/// The files in a folder that are tables by their names, in order; none where the folder cannot be read.
pub fn files_in(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = files.filter(|file| table_of(file).is_some()).collect();
    files.sort_unstable();
    files
}

/// Tables in a folder.
fn tables_in(folder: &Path) -> Vec<String> {
    let mut tables: Vec<String> = files_in(folder).iter().filter_map(|file| table_of(file)).collect();
    tables.sort_unstable();
    tables.dedup();
    tables
}

pub(crate) fn not_an_integer(column: &str, text: Option<&str>) -> String {
    format!("the column `{column}` must hold an integer, found {}", crate::error::cell(text))
}

/// An integer; `7.0` is one too, as pandas writes columns where some are missing.
pub(crate) fn integer(text: Option<&str>) -> Option<i64> {
    let text = text?.trim();
    text.parse().or_else(|e| text.strip_suffix(".0").map_or(Err(e), str::parse)).ok()
}
