//! Why the CSV reader gave up, with the line that its own message lacks.

use super::stream;
use crate::Error;
use polars::prelude::PolarsError;
use std::path::Path;

/// Reads the file again, byte by byte, for the first thing that can be wrong with it.
pub fn explain(path: &Path, error: PolarsError) -> Error {
    let mut fault = None;
    // All of it: damage of a compressed file shows at its end, and explains whatever looks wrong before.
    let read = stream::records(path, |line, record| {
        fault = fault.take().or_else(|| fault_of(path, line, record));
        true
    });
    match (read, fault) {
        (Err(e), _) => e,
        (Ok(()), Some(e)) => e.because(error),
        (Ok(()), None) => Error::user("the table cannot be read as CSV").at_file(path).because(error),
    }
}

fn fault_of(path: &Path, line: usize, record: &[u8]) -> Option<Error> {
    if let Err(e) = std::str::from_utf8(record) {
        let before = record[..e.valid_up_to()].iter().filter(|&&b| b == b'\n').count();
        return Some(stream::not_utf8(path, line + before));
    }
    let quotes = record.iter().filter(|&&b| b == b'"').count();
    (quotes % 2 == 1).then(|| Error::user("a quote that opens in this row is never closed").at_line(path, line))
}
