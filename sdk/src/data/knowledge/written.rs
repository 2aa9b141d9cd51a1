//! Triples in the rows of a table: which columns are head, relation and tail.

use crate::data::tables::{Table, first_of_lines, lines, tab_fields, text};
use crate::{Error, Result};
use std::path::Path;

/// How a table of triples is written, by its keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form<'a> {
    pub columns: &'a [String],
    pub heading: Option<bool>,
    pub relation: Option<&'a str>,
}

/// What a table of triples calls its columns; without that of the relations where they have one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    head: String,
    relation: Option<String>,
    tail: String,
}

/// Head, relation and tail in the headings that are known without being told.
const HEADINGS: [[&str; 3]; 3] =
    [["head", "relation", "tail"], ["subject", "predicate", "object"], ["source", "relation", "target"]];

/// Whether a file is a table whose columns have names, unless it is said that they have none.
fn names_columns(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.trim_end_matches(".gz").ends_with(".csv") || name.ends_with(".parquet")
}

/// The columns of head, relation and tail, as a first line spells them, where it names head and tail.
fn known_heading(fields: &[String]) -> Option<[String; 3]> {
    HEADINGS.iter().find_map(|&[head, relation, tail]| {
        let own = |name: &str| fields.iter().find(|field| field.eq_ignore_ascii_case(name)).cloned();
        Some([own(head)?, own(relation).unwrap_or_else(|| relation.to_owned()), own(tail)?])
    })
}

impl Form<'_> {
    pub fn check(self) -> Result<()> {
        let write = "write columns = [\"head\", \"relation\", \"tail\"] with the names that the table has";
        match (self.columns.len(), self.relation) {
            (0, _) => Ok(()),
            (1.., _) if self.heading == Some(false) => {
                let error = Error::user("columns are named, and the table is said to have no heading");
                Err(error.at_key("heading").help("leave out one of `columns` and `heading`"))
            }
            (3, _) | (2, Some(_)) => Ok(()),
            (found, _) => {
                let error =
                    Error::user(format!("expected the names of three columns, found {found}")).at_key("columns");
                Err(error.help(write).help("two will do where `relation` names all relations"))
            }
        }
    }

    /// Refuses a known heading that has a column of a triple several times, in whatever case: nothing says which of them is meant.
    /// That of the relation is not needed where all relations have one name.
    fn check_once(self, path: &Path, fields: &[String], [head, relation, tail]: &[String; 3]) -> Result<()> {
        let relation = Some(relation).filter(|_| self.relation.is_none());
        for name in [Some(head), relation, Some(tail)].into_iter().flatten() {
            let times = fields.iter().filter(|field| field.eq_ignore_ascii_case(name)).count();
            if times > 1 {
                let error = Error::user(format!("the column `{name}` occurs {times} times")).at_file(path);
                return Err(error.help("leave one of them in the table, or say in `columns` which of them is meant"));
            }
        }
        Ok(())
    }

    /// The table and its columns; `None` where every line is a triple with tabs between.
    pub fn open(self, path: &Path) -> Result<Option<(Table, Columns)>> {
        self.check()?;
        if self.heading == Some(false) {
            if path.extension().is_some_and(|extension| extension == "parquet") {
                let error = Error::user("a Parquet file names its columns").at_key("heading");
                return Err(error.help("leave it out, and name the columns of a triple in `columns`"));
            }
            return if names_columns(path) { self.by_place(path).map(Some) } else { Ok(None) };
        }
        let columns = match self.columns {
            [head, middle @ .., tail] => [head.clone(), middle.first().cloned().unwrap_or_default(), tail.clone()],
            _ if self.heading.is_none() && !names_columns(path) => {
                let fields = first_fields(path)?;
                // Of three fields with another name in the middle, `head part_of tail` is a triple.
                let is_heading = |[_, relation, _]: &[String; 3]| fields.len() != 3 || fields.contains(relation);
                let Some(found) = known_heading(&fields).filter(is_heading) else { return Ok(None) };
                self.check_once(path, &fields, &found)?;
                found
            }
            _ => {
                let table = Table::at(path, &[])?;
                let found = known_heading(table.header()).unwrap_or_else(|| HEADINGS[0].map(str::to_owned));
                self.check_once(path, table.header(), &found)?;
                found
            }
        };
        self.by_name(path, columns).map(Some)
    }

    /// A table whose first line names its columns.
    fn by_name(self, path: &Path, [head, relation, tail]: [String; 3]) -> Result<(Table, Columns)> {
        // Whether it can be read at all is not a matter of columns.
        Table::at(path, &[])?;
        let relation = Some(relation).filter(|_| self.relation.is_none());
        let needed: Vec<&str> =
            [Some(&head), relation.as_ref(), Some(&tail)].into_iter().flatten().map(String::as_str).collect();
        let table = Table::at(path, &needed).map_err(|e| {
            e.help("write columns = [\"…\", \"…\", \"…\"], what the table calls head, relation and tail")
                .help("or heading = false, where the first line is a triple")
        })?;
        Ok((table, Columns { head, relation, tail }))
    }

    /// A table with separators other than tabs whose first line is a triple.
    fn by_place(self, path: &Path) -> Result<(Table, Columns)> {
        let table = Table::by_place(path, |_| false)?;
        let columns = |relation: Option<&str>, tail: &str| {
            let (head, tail) = ("1".to_owned(), tail.to_owned());
            Columns { head, relation: relation.map(str::to_owned), tail }
        };
        match (table.header().len(), self.relation) {
            (3, None) => Ok((table, columns(Some("2"), "3"))),
            (3, Some(_)) => Ok((table, columns(None, "3"))),
            (2, Some(_)) => Ok((table, columns(None, "2"))),
            (found, _) => {
                let error = Error::user(format!("expected head, relation and tail, found {found} fields"));
                Err(error
                    .at_line(path, 1)
                    .help("only a table with a heading may have more columns: name those of a triple in `columns`"))
            }
        }
    }
}

/// The fields of the first line that is not blank, between tabs; none where there is no such line.
fn first_fields(path: &Path) -> Result<Vec<String>> {
    let first = first_of_lines(path)?.map_or_else(String::new, |(_, line)| line);
    Ok(tab_fields(&first).map(str::to_owned).collect())
}

/// Head, relation and tail in a line of a table that does not name its columns; the name of all relations, where it is given, in
/// place of what the line has.
pub(super) fn triple<'l>(line: &'l str, relation: Option<&'l str>) -> Result<[&'l str; 3]> {
    let fields: Vec<&str> = tab_fields(line).collect();
    match (&fields[..], relation) {
        (&[head, own, tail], _) => Ok([head, relation.unwrap_or(own), tail]),
        (&[head, tail], Some(relation)) => Ok([head, relation, tail]),
        _ => {
            let found = fields.len();
            let error =
                Error::user(format!("expected head, relation and tail with tabs between, found {found} fields"));
            Err(error.help("where the table has a heading, name its columns: columns = [\"…\", \"…\", \"…\"]"))
        }
    }
}

impl Form<'_> {
    /// Shows head, relation and tail of every row.
    pub fn read(self, path: &Path, mut each: impl FnMut(&str, &str, &str)) -> Result<()> {
        let Some((table, columns)) = self.open(path)? else {
            for (number, line) in lines(&text(path)?) {
                let [head, relation, tail] = triple(line, self.relation).map_err(|e| e.at_line(path, number))?;
                each(head, relation, tail);
            }
            return Ok(());
        };
        let rows = table.read()?;
        let own: Vec<Option<&str>> = match &columns.relation {
            Some(column) => rows.texts(column)?.collect(),
            None => vec![self.relation; rows.len()],
        };
        let ends = rows.texts(&columns.head)?.zip(rows.texts(&columns.tail)?);
        for (i, ((head, tail), relation)) in ends.zip(own).enumerate() {
            let (Some(head), Some(relation), Some(tail)) = (head, relation, tail) else {
                return Err(rows.error(i, "a triple lacks its head, relation or tail"));
            };
            each(head, relation, tail);
        }
        Ok(())
    }
}
