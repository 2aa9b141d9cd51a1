//! Raw tables: `.csv`, `.csv.gz` and `.parquet` files, every column as text, with errors that name file and line.
//!
//! Columns are converted here rather than by the CSV reader, because only then can an error say which line is wrong.
//! Tables that fit into memory are [read](Table::read) by Polars; the others are [scanned](Table::scan).

mod blocks;
mod faults;
mod parquet;
mod record;
mod scan;
mod stream;

pub use record::Fault;
pub use scan::{OnBadRow, Row, Scanned};
pub use stream::text;

use crate::{Error, Result};
use polars::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

/// Row index of the scanned frames, from 0 without the header.
const ROW: &str = "row index of the table";

/// A table whose header has been read and checked.
#[derive(Debug, Clone)]
pub struct Table {
    path: PathBuf,
    header: Vec<String>,
    columns: Vec<String>,
    /// Of a Parquet file: the types of all columns.
    types: Option<SchemaRef>,
}

impl Table {
    /// The table `name`, that is `name.csv`, `name.csv.gz` or `name.parquet` in `folder`, with at least `columns`.
    pub fn open(folder: &Path, name: &str, columns: &[&str]) -> Result<Self> {
        if !folder.is_dir() {
            let what = if folder.exists() { "this is not a folder" } else { "there is no such folder" };
            return Err(Error::user(what).at_file(folder).help("give the folder that holds the tables"));
        }
        let candidates = ["csv", "csv.gz", "parquet"].map(|end| format!("{name}.{end}")).map(|file| folder.join(file));
        let Some(path) = candidates.iter().find(|path| path.is_file()) else {
            let message = "is missing: there is no";
            let error =
                Error::user(format!("the table `{name}` {message} {name}.csv, {name}.csv.gz or {name}.parquet here"));
            return Err(error.at_file(folder).suggest(name, tables_in(folder)));
        };
        Self::at(path, columns)
    }

    /// The same with names in any case, such as `ADMISSIONS.csv` with the column `HADM_ID`; the columns as the file has
    /// them, in the order of `columns`, which are in lower case.
    pub fn open_any_case(folder: &Path, name: &str, columns: &[&str]) -> Result<(Self, Vec<String>)> {
        let written = tables_in(folder).into_iter().find(|table| table.eq_ignore_ascii_case(name));
        let path = Self::open(folder, written.as_deref().unwrap_or(name), &[])?.path;
        let header = Self::at(&path, &[])?.header;
        let own = |column: &&str| {
            let same = header.iter().filter(|h| h.eq_ignore_ascii_case(column));
            same.max_by_key(|h| h == column).cloned().unwrap_or_else(|| (*column).to_owned())
        };
        let own: Vec<String> = columns.iter().map(own).collect();
        let table = Self::at(&path, &own.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok((table, own))
    }

    /// The table in the file `path`, with at least `columns`.
    pub fn at(path: &Path, columns: &[&str]) -> Result<Self> {
        let types = parquet::types(path)?;
        let header = match &types {
            Some(types) => types.iter_names().map(|name| name.to_string()).collect(),
            None => stream::header(path)?,
        };
        // Only text has a line of names.
        let place = |e: Error| if types.is_some() { e.at_file(path) } else { e.at_line(path, 1) };
        for &column in columns {
            match header.iter().filter(|h| *h == column).count() {
                1 => {}
                0 => {
                    let error = place(Error::user(format!("the column `{column}` is missing")));
                    let other_case = header.iter().find(|h| h.eq_ignore_ascii_case(column));
                    let error = match other_case {
                        Some(h) => error.help(format!("did you mean `{h}`? upper and lower case differ")),
                        None => error,
                    };
                    return Err(error.suggest(column, &header));
                }
                n => return Err(place(Error::user(format!("the column `{column}` occurs {n} times")))),
            }
        }
        let columns = columns.iter().map(|&c| c.to_owned()).collect();
        Ok(Self { path: path.to_owned(), header, columns, types })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn is_parquet(&self) -> bool {
        self.types.is_some()
    }

    /// The whole table, its needed columns only.
    pub fn read(&self) -> Result<Rows<'_>> {
        let collected = self.frame().and_then(|frame| frame.collect_with_engine(Engine::Streaming));
        // A scan without a sink yields a single frame.
        let frame = collected.map(|result| result.unwrap_single());
        let frame = frame.and_then(|frame| parquet::plain_times(self, frame)).map_err(|e| self.explain(e))?;
        Ok(Rows { table: self, frame })
    }

    /// Hands the rows in which `column` is `value` to `each`, some at a time and in order, without holding the others.
    pub fn each_where(&self, column: &str, value: &str, each: impl FnMut(Rows<'_>) -> Result<()>) -> Result<()> {
        self.batches(|frame| frame.filter(col(column).eq(lit(value))), each)
    }

    fn batches(
        &self,
        of: impl FnOnce(LazyFrame) -> LazyFrame,
        mut each: impl FnMut(Rows<'_>) -> Result<()>,
    ) -> Result<()> {
        // Two chunks in flight: the reader goes on while the caller works, and waits when it gets ahead.
        let (send, receive) = sync_channel(2);
        let callback = PlanCallback::new(move |frame: DataFrame| Ok(send.send(frame).is_err()));
        let plan = self.frame().and_then(|frame| of(frame).sink_batches(callback, true, None));
        let explain = |e| self.explain(e);
        let plan = plan.map_err(explain)?;
        let (read, used) = std::thread::scope(|scope| {
            let reader = scope.spawn(move || plan.collect_with_engine(Engine::Streaming).map(drop));
            let used = receive.iter().try_for_each(|frame| each(Rows { table: self, frame }));
            drop(receive);
            (reader.join(), used)
        });
        used?;
        read.map_err(|_| Error::program("the table's reader panicked").at_file(&self.path))?.map_err(explain)
    }

    fn explain(&self, error: PolarsError) -> Error {
        match self.is_parquet() {
            true => parquet::unreadable(&self.path, error),
            false => faults::explain(&self.path, error),
        }
    }

    fn frame(&self) -> PolarsResult<LazyFrame> {
        if let Some(types) = &self.types {
            return parquet::frame(self, types);
        }
        // Columns that are not needed get their place as name: their own names may repeat.
        let name = |(i, column): (usize, &String)| match self.columns.contains(column) {
            true => PlSmallStr::from_str(column),
            false => PlSmallStr::from_string(format!("column {i}")),
        };
        let schema: Schema = self.header.iter().enumerate().map(|h| Field::new(name(h), DataType::String)).collect();
        let path = self.path.to_str().ok_or_else(|| polars_err!(ComputeError: "the path is not UTF-8"))?;
        let scan = LazyCsvReader::new(PlRefPath::new(path))
            .with_glob(false)
            .with_has_header(true)
            .with_schema(Some(schema.into()))
            .with_row_index(Some(RowIndex { name: ROW.into(), offset: 0 }))
            .finish()?;
        let needed: Vec<Expr> = self.columns.iter().map(|c| col(c.as_str())).chain([col(ROW)]).collect();
        let scan = scan.select(needed);
        // Empty lines are no rows; in a table of one column they may be.
        let written = self.columns.iter().map(|c| col(c.as_str()).is_not_null()).reduce(Expr::or);
        Ok(match written.filter(|_| self.header.len() > 1 && self.columns.len() > 1) {
            Some(written) => scan.filter(written),
            None => scan,
        })
    }
}

/// Tables in a folder, for suggestions.
fn tables_in(folder: &Path) -> Vec<String> {
    let names =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    let table =
        |name: String| [".csv.gz", ".csv", ".parquet"].iter().find_map(|end| name.strip_suffix(end).map(str::to_owned));
    let mut tables: Vec<String> = names.filter_map(table).collect();
    tables.sort_unstable();
    tables.dedup();
    tables
}

/// Some rows of a table.
pub struct Rows<'t> {
    table: &'t Table,
    frame: DataFrame,
}

impl Rows<'_> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.frame.height()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The texts of a column; `None` where nothing is written.
    pub fn texts(&self, column: &str) -> Result<impl Iterator<Item = Option<&str>>> {
        let broken = |e: PolarsError| Error::program(format!("cannot use the column `{column}`")).because(e);
        let texts = self.frame.column(column).and_then(|c| c.str()).map_err(broken)?;
        Ok(texts.iter().map(|text| text.filter(|t| !t.is_empty())))
    }

    /// The integers of a column.
    ///
    /// # Errors
    /// Names the first line that holds something else, or nothing.
    pub fn integers(&self, column: &str) -> Result<Vec<i64>> {
        let parse =
            |(i, text): (usize, Option<&str>)| integer(text).ok_or_else(|| self.not_an_integer(i, column, text));
        self.texts(column)?.enumerate().map(parse).collect()
    }

    /// The integers of a column, `None` where nothing is written.
    ///
    /// # Errors
    /// Names the first line that holds something else.
    pub fn optional_integers(&self, column: &str) -> Result<Vec<Option<i64>>> {
        let parse = |(i, text): (usize, Option<&str>)| match (text, integer(text)) {
            (Some(_), None) => Err(self.not_an_integer(i, column, text)),
            (_, value) => Ok(value),
        };
        self.texts(column)?.enumerate().map(parse).collect()
    }

    /// An error at row `i` of these.
    pub fn error(&self, i: usize, message: impl Into<String>) -> Error {
        match (self.line(i), self.row(i)) {
            (Some(line), _) => Error::user(message).at_line(&self.table.path, line),
            (None, Some(row)) => parquet::at_row(Error::user(message), &self.table.path, row),
            (None, None) => Error::user(message).at_file(&self.table.path),
        }
    }

    /// The line of row `i`, from 1; nothing for Parquet. Reads the file again, because quoted fields may span lines.
    pub fn line(&self, i: usize) -> Option<usize> {
        let row = self.row(i).filter(|_| !self.table.is_parquet())?;
        stream::line_of_row(&self.table.path, row)
    }

    /// The place of row `i` in the file, from 0.
    fn row(&self, i: usize) -> Option<u64> {
        let row = self.frame.column(ROW).and_then(|c| c.cast(&DataType::UInt64)).ok()?;
        row.u64().ok()?.get(i)
    }

    fn not_an_integer(&self, i: usize, column: &str, text: Option<&str>) -> Error {
        self.error(i, not_an_integer(column, text))
    }
}

fn not_an_integer(column: &str, text: Option<&str>) -> String {
    let found = match text {
        None => "nothing".to_owned(),
        // Longer texts may hold anything; only what was meant as a number is repeated.
        Some(text) if text.len() <= 20 => format!("`{text}`"),
        Some(_) => "a longer text".to_owned(),
    };
    format!("the column `{column}` must hold an integer, found {found}")
}

fn integer(text: Option<&str>) -> Option<i64> {
    text.and_then(|t| t.trim().parse().ok())
}
