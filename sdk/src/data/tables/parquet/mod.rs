//! Parquet files, one row group at a time, their columns as text.

mod lengths;

use super::record::Fault;
use super::rows::Texts;
use super::scan::{OnBadRow, Row, Scanned};
use super::{Table, values};
use crate::boundary::guard;
use crate::{Error, Result};
use arrow::datatypes::Field;
use lengths::{Refused, damaged};
use polars_arrow as arrow;
use polars_buffer::Buffer;
use polars_parquet::parquet::read::deserialize_metadata;
use polars_parquet::read::schema::parquet_to_arrow_schema;
use polars_parquet::read::{
    BasicDecompressor, ColumnChunkMetadata, FileMetadata, PageReader, ParquetType, column_iter_to_arrays,
};
use rayon::prelude::*;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// What to do about a file that is damaged.
const AGAIN: &str = "copy or download the file again and compare its checksum";

/// Why a file cannot be read.
type Unreadable = Box<dyn std::error::Error + Send + Sync>;

/// Rows that one thread looks at.
const SLICE: usize = 1 << 14;

/// What the end of a file says about it.
#[derive(Debug, Clone)]
pub struct Parquet {
    metadata: Arc<FileMetadata>,
}

/// What went wrong while reading.
fn unreadable(path: &Path, e: impl Into<Unreadable>) -> Error {
    match e.into().downcast::<Refused>() {
        Ok(e) => Error::user(format!("the table cannot be read as Parquet: {e}")).at_file(path).help(e.help),
        Err(e) => Error::user("the table cannot be read as Parquet").at_file(path).because(e).help(AGAIN),
    }
}

/// Adds the place of a row, counted from 0.
pub fn at_row(error: Error, path: &Path, row: u64) -> Error {
    error.at_file(path).help(format!("the row is number {} of the file", row + 1))
}

impl Parquet {
    /// `None` when the file is not Parquet.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let io = |e| Error::io("read the table", path, e);
        let mut file = File::open(path).map_err(io)?;
        let mut start = Vec::new();
        (&mut file).take(4).read_to_end(&mut start).map_err(io)?;
        if start != b"PAR1" {
            return Ok(None);
        }
        let end = end(&mut file).map_err(|e| unreadable(path, e))?;
        let metadata = guard::attempt(|| metadata(end)).map_err(|e| unreadable(path, e))?;
        Ok(Some(Self { metadata: Arc::new(metadata.map_err(|e| unreadable(path, e))?) }))
    }

    /// The columns' names.
    pub fn header(&self) -> Vec<String> {
        self.types().iter().map(|column| column.name().to_owned()).collect()
    }

    /// Whether it has no notes beside its columns.
    pub fn is_bare(&self) -> bool {
        self.metadata.key_value_metadata().iter().flatten().next().is_none()
    }

    fn types(&self) -> &[ParquetType] {
        self.metadata.schema().fields()
    }

    /// A column by its name, with the type that Parquet itself gives it.
    ///
    /// # Errors
    /// When its values are not plain ones.
    fn field(&self, path: &Path, name: &str) -> Result<Field> {
        let column = self.types().iter().find(|column| column.name() == name);
        let field = column.and_then(|column| parquet_to_arrow_schema(std::slice::from_ref(column)).get(name).cloned());
        let field = field.filter(|field| values::have_text(field.dtype()));
        field.ok_or_else(|| {
            let error = Error::user(format!("the column `{name}` must hold numbers, texts or times")).at_file(path);
            error.help("write lists and structures as columns and rows of their own")
        })
    }

    /// Hands the needed columns of `table` to `each`, a row group at a time and in order: texts, number of the first row
    /// from 0, and number of rows.
    fn groups(&self, table: &Table, mut each: impl FnMut(Vec<Texts>, u64, usize) -> Result<()>) -> Result<()> {
        let path = table.path();
        let fields = table.own.iter().map(|name| self.field(path, name)).collect::<Result<Vec<_>>>()?;
        let mut file = File::open(path).map_err(|e| Error::io("read the table", path, e))?;
        let mut first = 0;
        for group in &self.metadata.row_groups {
            let chunk = |field: &Field| {
                let column = group.columns_under_root_iter(&field.name).and_then(|mut columns| columns.next());
                let column = column.ok_or_else(|| unreadable(path, "a row group lacks a column"))?;
                Ok((field.clone(), column, bytes(&mut file, column).map_err(|e| unreadable(path, e))?))
            };
            let chunks = fields.iter().map(chunk).collect::<Result<Vec<_>>>()?;
            let decoded = chunks.into_par_iter().map(|(field, column, bytes)| {
                let texts = guard::attempt(|| texts(&field, column, bytes, group.num_rows()));
                let texts = texts.map_err(|e| unreadable(path, e))?;
                let texts = texts.map_err(|e| unreadable(path, e))?;
                match texts.len() == group.num_rows() {
                    true => Ok(texts),
                    false => Err(unreadable(path, format!("`{}` is shorter than its row group", field.name))),
                }
            });
            each(decoded.collect::<Result<_>>()?, first, group.num_rows())?;
            first += group.num_rows() as u64;
        }
        Ok(())
    }

    /// All rows of `table`, a row group at a time.
    pub fn read(&self, table: &Table, mut each: impl FnMut(super::rows::Part)) -> Result<()> {
        self.groups(table, |texts, first, rows| {
            each(super::rows::Part::of_group(texts, first, rows));
            Ok(())
        })
    }

    /// [`Table::scan`] of a Parquet file.
    pub fn scan<A: Default + Send>(
        &self,
        table: &Table,
        on_bad_row: OnBadRow,
        row: impl Fn(&mut A, &Row<'_>) -> Result<(), Fault> + Sync,
        mut each: impl FnMut(A, u64) -> Result<()>,
    ) -> Result<Scanned> {
        let mut total = Scanned::default();
        let columns: Vec<(usize, &str)> = table.own.iter().map(String::as_str).enumerate().collect();
        self.groups(table, |texts, first, rows| {
            let slices: Vec<usize> = (0..rows).step_by(SLICE).collect();
            let looked: Vec<_> = slices
                .par_iter()
                .map(|&start| look(&texts, &columns, start..rows.min(start + SLICE), on_bad_row, &row))
                .collect();
            for (found, scanned, fault) in looked {
                total.rows += scanned.rows;
                total.bad += scanned.bad;
                if let Some((i, fault)) = fault {
                    return Err(at_row(Error::user(fault.message()), table.path(), first + i as u64));
                }
                each(found, scanned.rows)?;
            }
            Ok(())
        })?;
        Ok(total)
    }
}

/// What is found in some rows, how many they are, and the row that could not be used.
fn look<A: Default>(
    texts: &[Texts],
    columns: &[(usize, &str)],
    rows: std::ops::Range<usize>,
    on_bad_row: OnBadRow,
    row: impl Fn(&mut A, &Row<'_>) -> Result<(), Fault>,
) -> (A, Scanned, Option<(usize, Fault)>) {
    let (mut found, mut scanned) = (A::default(), Scanned::default());
    let (mut text, mut fields) = (Vec::new(), Vec::with_capacity(columns.len()));
    for i in rows {
        text.clear();
        fields.clear();
        for column in texts {
            let start = text.len();
            text.extend_from_slice(column.get(i).as_bytes());
            fields.push(start..text.len());
        }
        scanned.rows += 1;
        match row(&mut found, &Row::new(&text, columns, &fields)) {
            Ok(()) => {}
            Err(_) if on_bad_row == OnBadRow::Skip => scanned.bad += 1,
            Err(fault) => return (found, scanned, Some((i, fault))),
        }
    }
    (found, scanned, None)
}

/// The bytes of a file's metadata, which are its last but eight.
fn end(file: &mut File) -> Result<Vec<u8>, Unreadable> {
    let size = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(size.saturating_sub(8)))?;
    let mut last = [0; 8];
    file.read_exact(&mut last)?;
    let [a, b, c, d, magic @ ..] = last;
    if magic != *b"PAR1" {
        return Err(damaged("it must end with `PAR1`"));
    }
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    let start = size.checked_sub(8 + length).ok_or_else(|| damaged("its metadata would be longer than the file"))?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn metadata(bytes: Vec<u8>) -> Result<FileMetadata, Unreadable> {
    lengths::metadata(&bytes)?;
    let metadata = deserialize_metadata(Buffer::from(bytes))?;
    metadata.row_groups.iter().try_for_each(|group| lengths::row_group(group.num_rows()))?;
    Ok(metadata)
}

/// The bytes of a column of a row group.
fn bytes(file: &mut File, column: &ColumnChunkMetadata) -> std::io::Result<Vec<u8>> {
    let range = column.byte_range();
    file.seek(SeekFrom::Start(range.start))?;
    // Never more than there are, whatever the file says.
    let (mut bytes, size) = (Vec::new(), range.end.saturating_sub(range.start));
    match file.take(size).read_to_end(&mut bytes)? as u64 == size {
        true => Ok(bytes),
        false => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

/// The texts of a column of a row group of so many rows.
fn texts(field: &Field, column: &ColumnChunkMetadata, bytes: Vec<u8>, rows: usize) -> Result<Texts, Unreadable> {
    lengths::pages(&bytes, column, rows)?;
    let pages = PageReader::new(Cursor::new(Buffer::from(bytes)), column, Vec::new(), usize::MAX);
    let pages = BasicDecompressor::new(pages, Vec::new());
    let primitive = &column.descriptor().descriptor.primitive_type;
    let (arrays, _) = column_iter_to_arrays(vec![pages], vec![primitive], field.clone(), None)?;
    let mut texts = Texts::default();
    for array in arrays {
        values::add(&mut texts, array.as_ref())
            .ok_or_else(|| format!("`{}` holds bytes that are no text", field.name))?;
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::columns::{Values, write_parquet};

    fn table(columns: Vec<(String, Values)>) -> (tempfile::TempDir, Table) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        let names: Vec<String> = columns.iter().map(|c| c.0.clone()).collect();
        write_parquet(&path, columns).unwrap();
        let table = Table::at(&path, &names.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        (folder, table)
    }

    #[test]
    fn values_are_written_as_in_csv() {
        let (_folder, table) = table(vec![
            ("at".into(), Values::times(vec![Some(86_400_000_000i64 + 61_000_000), None])),
            ("float".into(), vec![Some(3.0f64), Some(0.5)].into()),
            ("integer".into(), vec![None, Some(-7i64)].into()),
            ("text".into(), vec!["caf\u{e9}", ""].into()),
        ]);
        let rows = table.read().unwrap();
        let texts = |column| rows.texts(column).unwrap().collect::<Vec<_>>();
        assert_eq!(texts("at"), [Some("1970-01-02 00:01:01"), None]);
        assert_eq!(texts("float"), [Some("3"), Some("0.5")]);
        assert_eq!(texts("integer"), [None, Some("-7")]);
        assert_eq!(texts("text"), [Some("caf\u{e9}"), None]);
        assert_eq!(rows.line(0), None);
    }

    #[test]
    fn rows_keep_their_numbers_across_groups_and_slices() {
        let n = 600_000i64;
        let (_folder, table) = table(vec![("id".into(), (0..n).collect::<Vec<_>>().into())]);
        let rows = table.read().unwrap();
        assert!(rows.integers("id").unwrap().into_iter().eq(0..n));
        assert!(rows.error(500_000, "x").to_string().contains("number 500001 of the file"));
        let mut found = Vec::new();
        let scanned = table.scan(
            OnBadRow::Error,
            |found: &mut Vec<i64>, row| row.integer(0).map(|id| found.push(id)),
            |part, rows| {
                assert_eq!(part.len() as u64, rows);
                found.extend(part);
                Ok(())
            },
        );
        assert_eq!(scanned.unwrap(), Scanned { rows: n as u64, bad: 0 });
        assert!(found.into_iter().eq(0..n));
        let refuse = |_: &mut (), row: &Row<'_>| match row.integer(0)? {
            555_555 => Err(row.fault(0, "no")),
            _ => Ok(()),
        };
        let error = table.scan(OnBadRow::Error, refuse, |(), _| Ok(())).unwrap_err().to_string();
        assert!(error.starts_with("no") && error.contains("number 555556 of the file"), "{error}");
        assert_eq!(table.scan(OnBadRow::Skip, refuse, |(), _| Ok(())).unwrap().bad, 1);
    }

    #[test]
    fn lists_are_refused() {
        let (_folder, table) = table(vec![("codes".into(), Values::text_lists([["a", "b"]]))]);
        let error = table.read().err().unwrap().to_string();
        assert!(error.contains("`codes` must hold numbers, texts or times"), "{error}");
    }
}
