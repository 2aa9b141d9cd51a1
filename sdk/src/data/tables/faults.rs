//! Why the CSV reader gave up, with the line that its own message lacks.

use super::stream;
use crate::Error;
use polars::prelude::PolarsError;
use std::path::Path;

/// Reads the file again, byte by byte, for the first thing that can be wrong with it.
pub fn explain(path: &Path, columns: usize, error: PolarsError) -> Error {
    let mut fault = None;
    let read = stream::records(path, |line, record| {
        fault = fault_of(path, columns, line, record);
        fault.is_none()
    });
    match (read, fault) {
        (Err(e), _) => e,
        (Ok(()), Some(e)) => e.because(error),
        (Ok(()), None) => Error::user("the table cannot be read as CSV").at_file(path).because(error),
    }
}

fn fault_of(path: &Path, columns: usize, line: usize, record: &[u8]) -> Option<Error> {
    if std::str::from_utf8(record).is_err() {
        let before = |valid: usize| record[..valid].iter().filter(|&&b| b == b'\n').count();
        let valid = std::str::from_utf8(record).map_or_else(|e| e.valid_up_to(), str::len);
        return Some(stream::not_utf8(path, line + before(valid)));
    }
    if record.iter().filter(|&&b| b == b'"').count() % 2 == 1 {
        return Some(Error::user("a quote that opens in this row is never closed").at_line(path, line));
    }
    let width = stream::width(record);
    (width > columns).then(|| {
        let message = format!("the header names {columns} columns, this row has {width}");
        Error::user(message).at_line(path, line)
    })
}
