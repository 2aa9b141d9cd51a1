//! The tables that the options name, opened, with the columns that they have.

use super::{CsvOptions, Written};
use dualk_sdk::data::events::{EventKind, EventTable, check_kinds};
use dualk_sdk::data::tables::{Table, files_in};
use dualk_sdk::error::Mistakes;
use dualk_sdk::prelude::*;
use std::path::{Path, PathBuf};

/// A table whose rows belong to visits.
pub struct Source {
    pub table: Table,
    /// Its columns of patient and visit, where it has them.
    pub patient: Option<String>,
    pub visit: Option<String>,
    /// Columns that hold codes or items.
    pub cells: Vec<String>,
}

/// All tables.
pub struct Layout {
    pub visits: Table,
    /// Columns of visits that need not be there, unless an option names them otherwise: end, age, sex, ethnicity, died.
    pub facts: [Option<String>; 5],
    /// Columns of visits that are laboratory items.
    pub items: Vec<String>,
    pub codes: Source,
    pub labs: Option<Source>,
    /// Procedures, drugs, and the tables of other kinds.
    pub events: Vec<(String, Source)>,
}

/// Every file that may be one of them: those that the options name, and those beside visits where there are other kinds.
pub fn files(options: &CsvOptions) -> Vec<PathBuf> {
    let named = [&options.visits, &options.codes, &options.labs, &options.procedures, &options.drugs];
    let beside = match options.event_tables.is_empty() {
        true => Vec::new(),
        false => files_in(folder_of(options.visits.as_path())),
    };
    named.into_iter().filter_map(|file| file.given()).map(Path::to_owned).chain(beside).collect()
}

/// The folder of the table of visits.
fn folder_of(visits: &Path) -> &Path {
    visits.parent().unwrap_or(Path::new(""))
}

impl Layout {
    /// Finds tables and columns.
    ///
    /// # Errors
    /// Name the key, the file and what is missing in it.
    pub fn open(options: &CsvOptions) -> Result<Self> {
        let path = options.visits.required("visits")?;
        let table = Table::at(path, &[]).map_err(|e| e.at_key("visits"))?;
        let mut mistakes = Mistakes::default();
        let visits = mistakes.note(visits(&table, options));
        let codes = mistakes.note(codes(&table, options));
        let one = |file: &FilePath, key: &'static str, column: &str, extra: &[&str]| {
            let open = |path| {
                let table = Table::at(path, &[]).map_err(|e| e.at_key(key))?;
                source(&table, key, options, vec![column.to_owned()], extra)
            };
            file.given().map(open).transpose()
        };
        let results = [&options.flag, &options.value, &options.low, &options.high, &options.category];
        let results: Vec<&str> = results.into_iter().map(String::as_str).filter(|c| !c.is_empty()).collect();
        let labs = mistakes.note(one(&options.labs, "labs", &options.item, &results));
        let known = [
            (EventKind::Procedures, &options.procedures, "procedures", &options.procedure),
            (EventKind::Drugs, &options.drugs, "drugs", &options.drug),
        ];
        let known = known.into_iter().filter(|(_, file, ..)| file.given().is_some());
        let kinds: Vec<EventKind> = known.clone().map(|(kind, ..)| kind).collect();
        mistakes.note(check_kinds(&kinds, &options.event_tables));
        let mut events = Vec::new();
        for (kind, file, key, column) in known {
            let table = mistakes.note(one(file, key, column, &[])).flatten();
            events.extend(table.map(|table| (kind.name().to_owned(), table)));
        }
        for (i, written) in options.event_tables.iter().enumerate() {
            let table = mistakes.note(further(path, &format!("event_tables[{i}]"), options, written));
            events.extend(table.map(|table| (written.kind.clone(), table)));
        }
        let ((visits, facts, items), (codes, labs)) = mistakes.finish(visits.zip(codes.zip(labs)))?;
        Ok(Self { visits, facts, items, codes, labs, events })
    }

    /// Every file that is read, each once.
    pub fn files(&self) -> Vec<PathBuf> {
        let others = self.labs.iter().chain(self.events.iter().map(|(_, source)| source));
        let tables = [&self.visits, &self.codes.table].into_iter().chain(others.map(|source| &source.table));
        let mut files: Vec<PathBuf> = tables.map(|table| table.path().to_owned()).collect();
        files.sort();
        files.dedup();
        files
    }
}

/// The table of visits, its columns that need not be there, and those that are laboratory items.
type Opened = (Table, [Option<String>; 5], Vec<String>);

fn visits(table: &Table, options: &CsvOptions) -> Result<Opened> {
    let named = [&options.patient, &options.visit, &options.time].map(String::as_str);
    let mut needed: Vec<&str> = named.into_iter().filter(|column| !column.is_empty()).collect();
    let items = matching(table, "items", &options.items, options)?;
    needed.extend(items.iter().map(String::as_str).filter(|item| !named.contains(item)));
    let mut visits = table.only(&needed).map_err(|e| e.at_key("visits"))?;
    let mut fact = |key: &'static str, column: &str| {
        if column.is_empty() {
            return Ok(None);
        }
        let found = visits.also(column).map_err(|e| e.at_key("visits"))?;
        if found.is_none() && column != key {
            let error = Error::user(format!("the column `{column}` is missing")).at_key(key).at_file(table.path());
            return Err(table.suggest(error, column, &named));
        }
        Ok(found)
    };
    let [end, age, sex] = [fact("end", &options.end)?, fact("age", &options.age)?, fact("sex", &options.sex)?];
    let facts = [end, age, sex, fact("ethnicity", &options.ethnicity)?, fact("died", &options.died)?];
    Ok((visits, facts, items))
}

/// The table of codes, which may be that of visits.
fn codes(visits: &Table, options: &CsvOptions) -> Result<Source> {
    let version = (options.written == Written::Version).then_some(options.version.as_str());
    let own = options.codes.given().map(|path| Table::at(path, &[])).transpose().map_err(|e| e.at_key("codes"))?;
    let table = own.as_ref().unwrap_or(visits);
    let columns = matching(table, "code", &options.code, options)?;
    source(table, "codes", options, columns, version.as_slice())
}

/// A table of another kind, beside that of visits.
fn further(visits: &Path, key: &str, options: &CsvOptions, written: &EventTable) -> Result<Source> {
    let table = Table::open(folder_of(visits), &written.table, &[]).map_err(|e| e.at_key(key))?;
    source(&table, key, options, vec![written.code.clone()], &[])
}

/// A table whose rows belong to visits.
fn source(table: &Table, key: &str, options: &CsvOptions, cells: Vec<String>, extra: &[&str]) -> Result<Source> {
    let mut needed: Vec<&str> = cells.iter().map(String::as_str).collect();
    needed.extend(extra.iter().filter(|column| !cells.iter().any(|cell| cell == *column)));
    needed.dedup();
    let at_key = |e: Error| e.at_key(key);
    let mut table = table.only(&needed).map_err(at_key)?;
    let patient = table.also(&options.patient).map_err(at_key)?;
    // Where visits have no identifiers, their time is one.
    let wanted = if options.visit.is_empty() { &options.time } else { &options.visit };
    let visit = table.also(wanted).map_err(at_key)?;
    if visit.is_none() {
        let error = Error::user(format!("the column `{wanted}` is missing: rows must say to which visit they belong"));
        return Err(table.suggest(error.at_key(key).at_file(table.path()), wanted, &needed));
    }
    if patient.is_none() && options.visit.is_empty() {
        let error = Error::user(format!("the column `{}` is missing: a time alone is no visit", options.patient));
        return Err(table.suggest(error.at_key(key).at_file(table.path()), &options.patient, &needed));
    }
    Ok(Source { table, patient, visit, cells })
}

/// The columns of a table that have these names, in the order of the names; those that a star stands for, in the order of
/// the file.
fn matching(table: &Table, key: &str, names: &[String], options: &CsvOptions) -> Result<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        let before = found.len();
        let fits = |column: &&String| match name.strip_suffix('*') {
            Some(beginning) => column.starts_with(beginning),
            None => *column == name,
        };
        let columns: Vec<String> =
            table.header().iter().filter(fits).filter(|column| !found.contains(column)).cloned().collect();
        found.extend(columns);
        if found.len() == before {
            let error = Error::user(format!("no column of this table is called `{name}`")).at_key(key);
            let known = [&options.patient, &options.visit, &options.time].map(String::as_str);
            return Err(table.suggest(error.at_file(table.path()), name, &known));
        }
    }
    Ok(found)
}
