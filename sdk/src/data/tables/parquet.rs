//! Parquet files, their columns as the text that a CSV file would have.

use super::record::Fault;
use super::scan::{OnBadRow, Row, Scanned};
use super::{ROW, Table};
use crate::{Error, Result};
use polars::prelude::*;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The types of all columns; `None` when the file is not Parquet.
pub fn types(path: &Path) -> Result<Option<SchemaRef>> {
    let io = |e| Error::io("read the table", path, e);
    let mut file = File::open(path).map_err(io)?;
    let mut start = Vec::new();
    (&mut file).take(4).read_to_end(&mut start).map_err(io)?;
    if start != b"PAR1" {
        return Ok(None);
    }
    let types = ParquetReader::new(file).schema().map_err(|e| unreadable(path, e))?;
    Ok(Some(Schema::from_arrow_schema(&types).into()))
}

/// What went wrong while reading.
pub fn unreadable(path: &Path, e: PolarsError) -> Error {
    let error = Error::user("the table cannot be read as Parquet").at_file(path).because(e);
    error.help("copy or download the file again and compare its checksum")
}

/// Adds the place of a row, counted from 0.
pub fn at_row(error: Error, path: &Path, row: u64) -> Error {
    error.at_file(path).help(format!("the row is number {} of the file", row + 1))
}

/// The needed columns as text, and the row index.
pub fn frame(table: &Table, types: &Schema) -> PolarsResult<LazyFrame> {
    let path = table.path.to_str().ok_or_else(|| polars_err!(ComputeError: "the path is not UTF-8"))?;
    let row_index = Some(RowIndex { name: ROW.into(), offset: 0 });
    let options = ScanArgsParquet { row_index, glob: false, ..ScanArgsParquet::default() };
    let text = |name: &String| {
        let column = col(name.as_str());
        match types.get(name) {
            // Integers become floats on the way through pandas when some are missing.
            Some(DataType::Float32 | DataType::Float64) => {
                let whole = column.clone().cast(DataType::Int64);
                let same = whole.clone().cast(DataType::Float64).eq(column.clone().cast(DataType::Float64));
                when(same).then(whole.cast(DataType::String)).otherwise(column.cast(DataType::String))
            }
            _ => column.cast(DataType::String),
        }
    };
    let needed: Vec<Expr> = table.columns.iter().map(text).chain([col(ROW)]).collect();
    Ok(LazyFrame::scan_parquet(PlRefPath::new(path), options)?.select(needed))
}

/// Times without the fraction of a second that Polars writes.
pub fn plain_times(table: &Table, mut frame: DataFrame) -> PolarsResult<DataFrame> {
    let Some(types) = &table.types else { return Ok(frame) };
    for name in table.columns.iter().filter(|name| matches!(types.get(name), Some(DataType::Datetime(..)))) {
        let times: StringChunked =
            frame.column(name)?.str()?.iter().map(|time| time.map(|t| t.split_once('.').map_or(t, |t| t.0))).collect();
        frame.with_column(times.with_name(name.as_str().into()).into_column())?;
    }
    Ok(frame)
}

/// [`Table::scan`] of a Parquet file.
pub fn scan<A: Default>(
    table: &Table,
    on_bad_row: OnBadRow,
    row: impl Fn(&mut A, &Row<'_>) -> Result<(), Fault>,
    mut each: impl FnMut(A, u64) -> Result<()>,
) -> Result<Scanned> {
    let mut total = Scanned::default();
    let columns: Vec<(usize, &str)> = table.columns.iter().map(String::as_str).enumerate().collect();
    let (mut text, mut fields) = (Vec::new(), Vec::with_capacity(columns.len()));
    table.batches(
        |frame| frame,
        |rows| {
            let mut found = A::default();
            let mut cells = columns.iter().map(|c| rows.texts(c.1)).collect::<Result<Vec<_>>>()?;
            for i in 0..rows.len() {
                text.clear();
                fields.clear();
                for cell in &mut cells {
                    let start = text.len();
                    text.extend_from_slice(cell.next().flatten().unwrap_or("").as_bytes());
                    fields.push(start..text.len());
                }
                total.rows += 1;
                match row(&mut found, &Row::new(&text, &columns, &fields)) {
                    Ok(()) => {}
                    Err(_) if on_bad_row == OnBadRow::Skip => total.bad += 1,
                    Err(fault) => return Err(rows.error(i, fault.message())),
                }
            }
            each(found, rows.len() as u64)
        },
    )?;
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_in_csv() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        let time = DataType::Datetime(TimeUnit::Microseconds, None);
        let mut frame = df!("at" => [Some(86_400_000_000i64 + 61_000_000), None]).unwrap();
        let times = frame.column("at").unwrap().cast(&time).unwrap();
        frame.with_column(times).unwrap();
        ParquetWriter::new(File::create(&path).unwrap()).finish(&mut frame).unwrap();
        let table = Table::at(&path, &["at"]).unwrap();
        let rows = table.read().unwrap();
        assert_eq!(rows.texts("at").unwrap().collect::<Vec<_>>(), [Some("1970-01-02 00:01:01"), None]);
    }
}
