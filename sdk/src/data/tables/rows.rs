//! Rows of a table in memory: a text a column, and where its cells end.

use super::record::Fault;
use super::scan::Row;
use super::{Table, integer, not_an_integer, parquet};
use crate::{Error, Result};
use std::fmt::{self, Write};

/// The cells of one column, one behind the other.
#[derive(Debug, Default)]
pub struct Texts {
    text: String,
    ends: Vec<u32>,
}

impl Texts {
    /// Adds a cell; false when the column has become too long for its ends.
    pub fn push(&mut self, cell: &str) -> bool {
        self.text.push_str(cell);
        self.end()
    }

    /// The same with a cell that is written; one that fails to be is empty.
    pub fn write(&mut self, cell: fmt::Arguments<'_>) -> bool {
        let _ = self.text.write_fmt(cell);
        self.end()
    }

    fn end(&mut self) -> bool {
        let end = u32::try_from(self.text.len());
        self.ends.push(end.unwrap_or(u32::MAX));
        end.is_ok()
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The `i`-th cell.
    pub fn get(&self, i: usize) -> &str {
        let start = i.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.text[start..self.ends[i] as usize]
    }

    fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

/// Rows that were read at once.
#[derive(Debug, Default)]
pub struct Part {
    columns: Vec<Texts>,
    /// The line that the block begins with or, in Parquet, the number of the first row from 0.
    first: u64,
    /// How many lines further each row starts; nothing in Parquet, where rows have no lines.
    lines: Vec<u32>,
    rows: usize,
}

impl Part {
    /// Rows of a Parquet file, from row `first` on.
    pub fn of_group(mut columns: Vec<Texts>, first: u64, rows: usize) -> Self {
        columns.iter_mut().for_each(Texts::shrink);
        Self { columns, first, lines: Vec::new(), rows }
    }
}

/// Rows of a block of text while it is gone through.
#[derive(Default)]
pub struct Block {
    part: Part,
    /// Up to where lines have been counted, and how many there were.
    at: usize,
    line: u32,
}

impl Block {
    /// Adds a row.
    pub fn add(&mut self, row: &Row<'_>) -> Result<(), Fault> {
        let start = row.start();
        self.line += memchr::memchr_iter(b'\n', &row.all_text()[self.at..start]).count() as u32;
        self.at = start;
        self.part.lines.push(self.line);
        self.part.rows += 1;
        self.part.columns.resize_with(row.width(), Texts::default);
        for (i, column) in self.part.columns.iter_mut().enumerate() {
            let cell = std::str::from_utf8(row.bytes(i)).map_err(|_| row.fault(i, super::record::NOT_UTF8))?;
            // Between tabs there are quotes in cells that do not stand in any, and these are not doubled.
            let fits = match cell.contains('"') && row.is_quoted(i) {
                true => column.push(&cell.replace("\"\"", "\"")),
                false => column.push(cell),
            };
            debug_assert!(fits, "a block is short");
        }
        Ok(())
    }

    /// The rows, when the block begins on line `first`.
    pub fn at_line(mut self, first: usize) -> Part {
        self.part.columns.iter_mut().for_each(Texts::shrink);
        self.part.lines.shrink_to_fit();
        Part { first: first as u64, ..self.part }
    }
}

/// The rows of a table.
pub struct Rows<'t> {
    table: &'t Table,
    parts: Vec<Part>,
    /// Before each part, the number of rows.
    starts: Vec<usize>,
    len: usize,
}

impl<'t> Rows<'t> {
    pub(super) fn new(table: &'t Table, parts: Vec<Part>) -> Self {
        let mut len = 0;
        let starts = parts
            .iter()
            .map(|part| {
                len += part.rows;
                len - part.rows
            })
            .collect();
        Self { table, parts, starts, len }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The texts of a column; `None` where nothing is written.
    pub fn texts(&self, column: &str) -> Result<impl Iterator<Item = Option<&str>>> {
        let broken = || Error::program(format!("cannot use the column `{column}`: it was not asked for"));
        let number = self.table.columns.iter().position(|c| c == column).ok_or_else(broken)?;
        let cells =
            move |part: &'_ Part| -> std::ops::Range<usize> { 0..part.columns.get(number).map_or(0, Texts::len) };
        let all = self.parts.iter().flat_map(move |part| cells(part).map(move |i| part.columns[number].get(i)));
        Ok(all.map(|text| Some(text).filter(|t| !t.is_empty())))
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

    /// The texts of a column that the table may lack; nothing is written in any row then.
    ///
    /// # Errors
    /// When the column was not asked for.
    pub fn texts_if(&self, column: Option<&str>) -> Result<Vec<Option<&str>>> {
        match column {
            Some(column) => Ok(self.texts(column)?.collect()),
            None => Ok(vec![None; self.len()]),
        }
    }

    /// How the file calls a column, for errors.
    pub fn called<'a>(&'a self, column: &'a str) -> &'a str {
        self.table.called(column)
    }

    /// An error at row `i` of these.
    pub fn error(&self, i: usize, message: impl Into<String>) -> Error {
        let error = Error::user(message);
        match (self.line(i), self.part(i)) {
            (Some(line), _) => error.at_line(self.table.path(), line),
            (None, Some((part, i))) => parquet::at_row(error, self.table.path(), part.first + i as u64),
            (None, None) => error.at_file(self.table.path()),
        }
    }

    /// The line of row `i`, from 1; nothing for Parquet.
    pub fn line(&self, i: usize) -> Option<usize> {
        let (part, i) = self.part(i)?;
        part.lines.get(i).map(|&line| part.first as usize + line as usize)
    }

    /// The part that holds row `i`, and its place there.
    fn part(&self, i: usize) -> Option<(&Part, usize)> {
        let number = self.starts.partition_point(|&start| start <= i).checked_sub(1)?;
        Some((&self.parts[number], i - self.starts[number]))
    }

    fn not_an_integer(&self, i: usize, column: &str, text: Option<&str>) -> Error {
        self.error(i, not_an_integer(self.called(column), text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_know_their_lines_behind_quoted_line_breaks_and_empty_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, "a,\"b\"\r\n1,\"x\ny\"\n\n2,\"say \"\"z\"\"\"\r\n3,\n").unwrap();
        let table = Table::at(&path, &["b", "a"]).unwrap();
        let rows = table.read().unwrap();
        assert_eq!(rows.texts("b").unwrap().collect::<Vec<_>>(), [Some("x\ny"), Some("say \"z\""), None]);
        assert_eq!(rows.integers("a").unwrap(), [1, 2, 3]);
        assert_eq!([0, 1, 2, 3].map(|row| rows.line(row)), [Some(2), Some(5), Some(6), None]);
        assert!(rows.texts("c").is_err());
    }

    #[test]
    fn a_column_that_may_be_absent_is_refused_when_it_is_there_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let read = |heading: &str| {
            std::fs::write(&path, format!("id,{heading}\n1,2,3\n")).unwrap();
            let mut table = Table::at(&path, &["id"])?;
            let age = table.also("age")?;
            table.read().map(|rows| rows.texts_if(age.as_deref()).unwrap()[0].map(str::to_owned))
        };
        for heading in ["age,age", "Age,AGE"] {
            let error = read(heading).unwrap_err().to_string();
            assert!(error.starts_with("the column `age` occurs 2 times") && error.contains("t.csv:1"), "{error}");
        }
        assert_eq!(read("Age,sex").unwrap().as_deref(), Some("2"));
        assert_eq!(read("Age,age").unwrap().as_deref(), Some("3"), "the one that is written alike");
        assert_eq!(read("sex,died").unwrap(), None);
    }

    #[test]
    fn a_column_that_is_asked_for_is_there_once_and_others_as_often_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let open = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let rows = Table::at(&path, &["id", "b"]).map_err(|e| e.to_string())?.read().map(|rows| {
                let cells = rows.texts("b").unwrap().map(|text| text.unwrap().to_owned());
                cells.collect::<Vec<_>>()
            });
            rows.map_err(|e| e.to_string())
        };
        // As joins of two tables have them.
        assert_eq!(open("note,id,note,B,b,,\"\"\nx,1,y,w,v,,\n").unwrap(), ["v"]);
        let error = open("id,b,note,id,b,b,note\n").unwrap_err();
        for says in ["the column `id` occurs 2 times", "the column `b` occurs 3 times", "t.csv:1", "leave one"] {
            assert!(error.contains(says), "{says}: {error}");
        }
        assert!(!error.contains("note"), "{error}");
        // What stands in a first line that is no heading are values.
        let error = open("77120001,77120001,7\n").unwrap_err();
        assert!(error.contains("`id` is missing") && !error.contains("occurs") && !error.contains("7712"), "{error}");
        // And behind names from which no line break parts them.
        for text in ["id,note77120001,x,7\n", "b,note77120001,77120002,x\n"] {
            let error = open(text).unwrap_err();
            assert!(error.contains("is missing") && error.contains("line break") && !error.contains("7712"), "{error}");
        }
    }

    #[test]
    fn in_any_case_neither_columns_nor_tables_may_be_there_twice() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let open = || Table::open_any_case(folder.path(), "visits", &["id", "age"]).map(|table| table.own);
        write("VISITS.csv", "ID,Age\n1,60\n");
        assert_eq!(open().unwrap(), ["ID", "Age"]);
        write("VISITS.csv", "ID,Age,AGE\n1,60,61\n");
        let error = open().unwrap_err().to_string();
        assert!(error.contains("the column `age` occurs 2 times") && error.contains("VISITS.csv:1"), "{error}");
        write("VISITS.csv", "ID,Age,age\n1,60,61\n");
        assert_eq!(open().unwrap(), ["ID", "age"], "the one that is written alike");
        write("Visits.csv.gz", "");
        let error = open().unwrap_err().to_string();
        assert!(error.contains("`visits` is there twice: as VISITS and as Visits"), "{error}");
        let error = Table::open_if_there(folder.path(), "visits", &["id"]).unwrap_err().to_string();
        assert!(error.contains("is there twice"), "{error}");
    }

    /// It was said to be missing, and its own name suggested.
    #[cfg(unix)]
    #[test]
    fn what_has_the_name_of_a_table_and_is_no_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("unmounted/visits.csv", folder.path().join("visits.csv")).unwrap();
        std::fs::create_dir(folder.path().join("stays.csv")).unwrap();
        for name in ["visits", "stays"] {
            let error = Table::open(folder.path(), name, &["id"]).unwrap_err().to_string();
            let place = format!("{name}.csv");
            assert!(error.contains("no file that can be read") && error.contains(&place), "{error}");
            assert!(!error.contains("did you mean"), "{error}");
        }
    }

    #[test]
    fn columns_without_names_are_called_by_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, "\u{feff}\"a\",1\nb,2\n\nc,\"3\"\n").unwrap();
        let all = ["a", "b", "c"];
        for (heading, codes, lines) in [("x", &all[..], [1, 2, 4]), ("a", &all[1..], [2, 4, 0])] {
            let table = Table::by_place(&path, |fields| fields[0] == heading).unwrap();
            let rows = table.read().unwrap();
            assert!(rows.texts("1").unwrap().eq(codes.iter().map(|&code| Some(code))));
            assert_eq!([0, 1, 2].map(|row| rows.line(row).unwrap_or_default()), lines);
            assert_eq!(rows.integers("2").unwrap(), [1, 2, 3][3 - codes.len()..]);
        }
    }

    #[test]
    fn quotes_are_doubled_only_inside_of_quotes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.tsv");
        std::fs::write(&path, "a\tb\n5\"\" wide\t\"5\"\" wide\"\n\"\"\tx\"\"\n").unwrap();
        let table = Table::at(&path, &["a", "b"]).unwrap();
        let rows = table.read().unwrap();
        assert_eq!(rows.texts("a").unwrap().collect::<Vec<_>>(), [Some("5\"\" wide"), None]);
        assert_eq!(rows.texts("b").unwrap().collect::<Vec<_>>(), [Some("5\" wide"), Some("x\"\"")]);
    }

    #[test]
    fn lines_are_counted_across_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        // Some three blocks of lines that differ in length.
        let lines: Vec<String> = (0..200_000).map(|i| format!("{i},{}\n", "x".repeat(i % 13))).collect();
        std::fs::write(&path, format!("id,text\n{}", lines.concat())).unwrap();
        let table = Table::at(&path, &["id", "text"]).unwrap();
        let rows = table.read().unwrap();
        assert!(rows.parts.len() > 2 && rows.integers("id").unwrap().into_iter().eq(0..200_000));
        assert!((0..200_000).all(|row| rows.line(row) == Some(row + 2)));
        assert!(rows.texts("text").unwrap().enumerate().all(|(i, t)| t.map_or(0, str::len) == i % 13));
    }
}
