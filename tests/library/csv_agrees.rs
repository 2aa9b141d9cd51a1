//! Tables are split as the `csv` crate splits them, whatever stands in them, and in time that grows with their length.

use dualk_sdk::data::tables::{OnBadRow, Table};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Pieces of fields: all that the format treats in a way of its own, and text of several bytes.
const PIECES: [&str; 10] = ["a", "é", ",", "\"", "\n", "\r\n", " ", "12", "\"\"", "'"];

fn field(random: &mut StdRng) -> String {
    let pieces = random.random_range(0..5);
    (0..pieces).map(|_| PIECES[random.random_range(0..PIECES.len())]).collect()
}

/// The cells of all columns as this project reads them.
fn ours(path: &Path, columns: &[String]) -> Vec<Vec<String>> {
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    let table = Table::at(path, &names).unwrap();
    let rows = table.read().unwrap();
    let texts = |name: &&str| rows.texts(name).unwrap().map(|t| t.unwrap_or_default().to_owned()).collect();
    names.iter().map(texts).collect()
}

/// The cells of all columns as `csv-core` reads them, the parser of the `csv` crate. (The crate itself asks for features
/// of serde that would have all of burn compiled once more.)
fn theirs(path: &Path, columns: usize) -> Vec<Vec<String>> {
    let bytes = fs::read(path).unwrap();
    let (mut reader, mut rest) = (csv_core::Reader::new(), &bytes[..]);
    let (mut text, mut ends) = (vec![0; bytes.len() + 1], vec![0; columns + 1]);
    let mut records = Vec::new();
    loop {
        let (result, read, _, fields) = reader.read_record(rest, &mut text, &mut ends);
        rest = &rest[read..];
        match result {
            csv_core::ReadRecordResult::Record => {
                let starts = std::iter::once(0).chain(ends[..fields].iter().copied());
                let cell = |(start, &end): (usize, &usize)| String::from_utf8(text[start..end].to_vec()).unwrap();
                records.push(starts.zip(&ends[..fields]).map(cell).collect::<Vec<_>>());
            }
            csv_core::ReadRecordResult::End => break,
            csv_core::ReadRecordResult::InputEmpty => {}
            other => panic!("{other:?}"),
        }
    }
    (0..columns).map(|c| records[1..].iter().map(|record| record[c].clone()).collect()).collect()
}

/// A row as text, with quotes where they are needed, or everywhere.
fn row(cells: &[String], always: bool, end: &str) -> String {
    let quoted = |cell: &String| match always || cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.clone(),
    };
    cells.iter().map(quoted).collect::<Vec<_>>().join(",") + end
}

#[test]
fn tables_are_split_as_the_csv_crate_splits_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    for seed in 0..400 {
        let random = &mut StdRng::seed_from_u64(seed);
        let columns: Vec<String> = (0..random.random_range(2..6)).map(|i| format!("c{i}")).collect();
        let (always, end) = (random.random(), if random.random() { "\r\n" } else { "\n" });
        let mut text = row(&columns, always, end);
        // Now and then far more than a block.
        let rows = if seed % 100 == 0 { 200_000 } else { random.random_range(0..40) };
        for _ in 0..rows {
            let cells: Vec<String> = columns.iter().map(|_| field(random)).collect();
            text += &row(&cells, always, end);
        }
        fs::write(&path, text).unwrap();
        assert!(ours(&path, &columns) == theirs(&path, columns.len()), "seed {seed}");
    }
}

/// A quote in the first row that is never closed, and one in every row: neither may cost more than in proportion.
#[test]
fn quotes_that_are_never_closed_take_linear_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let time = |lines: usize, row: &str, first: &str, on_bad_row: OnBadRow| -> Duration {
        fs::write(&path, format!("a,b\n{first}\n{}", row.repeat(lines))).unwrap();
        let table = Table::at(&path, &["a", "b"]).unwrap();
        let begun = Instant::now();
        let scanned = table.scan(on_bad_row, |_: &mut (), _| Ok(()), |(), _| Ok(()));
        match on_bad_row {
            OnBadRow::Error => {
                let error = scanned.unwrap_err().to_string();
                assert!(error.contains("t.csv:2:3") && error.contains("131072 bytes"), "{error}");
            }
            OnBadRow::Skip => assert!(scanned.unwrap().bad > 0),
        }
        begun.elapsed()
    };
    for on_bad_row in [OnBadRow::Error, OnBadRow::Skip] {
        let cases = [("1,plain text of a row\n", "1,\"open"), ("1,\"open\n", "1,\"open")];
        for (row, first) in cases.into_iter().take(if on_bad_row == OnBadRow::Error { 1 } else { 2 }) {
            // The best of three: the machine may stand still once.
            let best = |lines| (0..3).map(|_| time(lines, row, first, on_bad_row)).min().unwrap();
            let (short, long) = (best(20_000), best(160_000));
            println!("{on_bad_row:?} {row:?}: {short:?} for 20,000 lines, {long:?} for 160,000");
            // Eight times the lines; sixty-four times the time would be quadratic.
            let most = short.max(Duration::from_millis(20)) * 24;
            assert!(long < most, "{on_bad_row:?} {row:?}: {short:?} for 20,000 lines and {long:?} for 160,000");
        }
    }
}
