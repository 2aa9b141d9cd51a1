//! Tables of many blocks, tables as Parquet, and rows that cannot be used.

use dualk_plugin_parser_mimic::Mimic4Options;
use dualk_plugin_parser_synthetic::{Files, SyntheticOptions, generate, write_raw};
use dualk_sdk::data::columns::{Values, write_parquet};
use dualk_sdk::data::tables::{OnBadRow, Table};
use dualk_sdk::prelude::{Cohort, FilePath, ParserContext, Result, *};
use dualk_sdk::progress::Silent;
use dualk_tests::bare;
use std::fs;
use std::io::Read;
use std::path::Path;

fn parse(folder: &Path, on_bad_row: OnBadRow) -> Result<Cohort> {
    let (root, icd_map) = (FilePath(folder.to_owned()), FilePath(folder.join("icd10-icd9.csv")));
    let options = Mimic4Options { root, icd_map, on_bad_row, ..Default::default() };
    options.build()?.parse(&ParserContext { progress: &Silent, compat: false, seed: 0, learns: None })
}

fn small(folder: &Path) -> Cohort {
    let options = SyntheticOptions { patients: 60, clusters: 4, codes: 60, labs: 30, ..SyntheticOptions::default() };
    write_raw(&generate(&options, 5), folder).unwrap();
    parse(folder, OnBadRow::Error).unwrap()
}

fn insert(folder: &Path, before_line: usize, rows: &[&[u8]]) {
    let path = folder.join("labevents.csv");
    let bytes = fs::read(&path).unwrap();
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|&b| b == b'\n').collect();
    lines.splice(before_line - 1..before_line - 1, rows.iter().copied());
    fs::write(path, lines.concat()).unwrap();
}

#[test]
fn a_scan_finds_what_another_reader_finds_in_the_same_order() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("hosp");
    // Some five blocks.
    Files { patients: 400, lab_rows: 50_000, seed: 2, gzip: true, ..Files::default() }.write(&out, &Silent).unwrap();
    let table = Table::open(&out, "labevents", &["itemid", "hadm_id", "flag"]).unwrap();
    let records = records(flate2::read::MultiGzDecoder::new(fs::File::open(table.path()).unwrap()));
    let place = |name: &str| records[0].iter().position(|column| column == name).unwrap();
    let (itemid, hadm_id, flag) = (place("itemid"), place("hadm_id"), place("flag"));
    let expected: Vec<(i64, Option<i64>)> = records[1..]
        .iter()
        .filter(|row| row[flag] == "abnormal")
        .map(|row| (row[itemid].parse().unwrap(), row[hadm_id].parse().ok()))
        .collect();
    let mut found = Vec::new();
    let scanned = table.scan(
        OnBadRow::Error,
        |found: &mut Vec<_>, row| {
            if row.bytes(2) == b"abnormal" {
                found.push((row.integer(0)?, row.optional_integer(1)?));
            }
            Ok(())
        },
        |part, _| {
            found.extend(part);
            Ok(())
        },
    );
    let scanned = scanned.unwrap();
    assert_eq!((scanned.rows, scanned.bad), (50_000, 0));
    assert!(expected.len() > 10_000 && found == expected, "{} and {}", found.len(), expected.len());
}

#[test]
fn made_up_files_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, packed) = (folder.path().join("plain"), folder.path().join("packed"));
    let files = Files { patients: 400, lab_rows: 30_000, seed: 2, ..Files::default() };
    files.write(&plain, &Silent).unwrap();
    Files { gzip: true, ..files }.write(&packed, &Silent).unwrap();
    let cohort = parse(&plain, OnBadRow::Error).unwrap();
    assert_eq!(parse(&packed, OnBadRow::Error).unwrap(), cohort);
    // Every eighth patient was admitted before 2013, its first three admissions or more.
    assert_eq!(cohort.patients.len(), 350 + (0..400).filter(|p| late(&cohort, *p)).count());
    let step = |what: &str| cohort.flow.iter().find(|step| step.what == what).unwrap();
    assert!(step("rows of admissions").left_out[0].count >= 50);
    assert_eq!(step("diagnoses").lost_count(), 0);
    assert!(cohort.labs.rows().filter(|row| !row.is_empty()).count() * 10 > cohort.labs.len() * 9);
}

fn late(cohort: &Cohort, p: i64) -> bool {
    p % 8 == 7 && cohort.patients.contains(&(10_000_000 + 3 * p))
}

/// labevent_id, subject_id, hadm_id, itemid, charttime, flag, comments
fn bad_rows() -> Vec<Vec<u8>> {
    let long = format!("1,1,,5,,,{}\n", "x".repeat(200_000));
    let rows: [&[u8]; 6] = [
        b"1,1,,sodium,,abnormal,\n",
        b"1,1,,5\n",
        b"1,1,,5,,,caf\xe9\n",
        b"1,1,,5,,,\"never closed\n",
        b"1,1,,5,,,an \"inch\"\n",
        long.as_bytes(),
    ];
    rows.map(<[u8]>::to_vec).to_vec()
}

#[test]
fn bad_rows_are_left_out_and_counted_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let whole = small(folder.path());
    let bad = bad_rows();
    for (i, row) in bad.iter().enumerate() {
        insert(folder.path(), 3 + 4 * i, &[row]);
    }
    let read = parse(folder.path(), OnBadRow::Skip).unwrap();
    let count = |c: &Cohort| c.flow.iter().find(|step| step.what == "rows of labevents").unwrap().left_out[0].count;
    assert_eq!((count(&whole), count(&read)), (0, bad.len() as u64));
    assert_eq!(bare(read), bare(whole));
}

#[test]
fn a_bad_row_is_named_by_line_and_column() {
    dualk_sdk::error::show_values();
    let says = [
        "the column `itemid` must hold an integer, found `sodium`\n  --> FILE:40:6",
        "the row has 4 fields, and the table 7 columns\n  --> FILE:40:1",
        "the text is not UTF-8\n  --> FILE:40:13",
        "text follows the closing quote of this field\n  --> FILE:40:10",
        "a quote stands inside a field that does not start with one\n  --> FILE:40:13",
        "a field is longer than 131072 bytes\n  --> FILE:40:10",
    ];
    for (row, says) in bad_rows().iter().zip(says) {
        let folder = tempfile::tempdir().unwrap();
        small(folder.path());
        insert(folder.path(), 40, &[row]);
        let error = parse(folder.path(), OnBadRow::Error).unwrap_err();
        let says = says.replace("FILE", &folder.path().join("labevents.csv").display().to_string());
        assert!(error.to_string().starts_with(&says) && error.exit_code() == 2, "{error}\nmust be\n{says}");
    }
}

#[test]
fn a_line_without_end_is_refused_and_not_held() {
    let folder = tempfile::tempdir().unwrap();
    let whole = small(folder.path());
    let mut row = vec![b'7'; 5 << 20];
    row.push(b'\n');
    insert(folder.path(), 9, &[&row]);
    let error = parse(folder.path(), OnBadRow::Error).unwrap_err().to_string();
    assert!(error.contains("longer than 131072 bytes") && error.contains("labevents.csv:9:1"), "{error}");
    let read = parse(folder.path(), OnBadRow::Skip).unwrap();
    assert_eq!(bare(read), bare(whole));
}

/// All records of a CSV file, read character by character.
fn records(mut file: impl Read) -> Vec<Vec<String>> {
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    let (mut records, mut record, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            c => field.push(c),
        }
    }
    records
}

/// Makes Parquet of a table: integers where all values are, else text, but for the columns that are told.
fn to_parquet(folder: &Path, table: &str, texts: &[&str], floats: &[&str]) {
    let path = folder.join(format!("{table}.csv"));
    let records = records(fs::File::open(&path).unwrap());
    let values = |column: usize| {
        let cells = || records[1..].iter().map(move |row| Some(row[column].as_str()).filter(|cell| !cell.is_empty()));
        let integers: Option<Vec<Option<i64>>> = cells().map(|c| c.map(str::parse).transpose().ok()).collect();
        match (records[0][column].as_str(), integers) {
            (name, _) if floats.contains(&name) => {
                Values::from(cells().map(|c| c.map(|c| c.parse::<f64>().unwrap())).collect::<Vec<_>>())
            }
            (name, Some(integers)) if !texts.contains(&name) => integers.into(),
            _ => cells().collect::<Vec<_>>().into(),
        }
    };
    let columns = records[0].iter().enumerate().map(|(column, name)| (name.clone(), values(column)));
    write_parquet(&folder.join(format!("{table}.parquet")), columns.collect()).unwrap();
    fs::remove_file(path).unwrap();
}

#[test]
fn parquet_tables_give_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let cohort = small(folder.path());
    for table in ["patients", "admissions", "diagnoses_icd", "d_labitems"] {
        to_parquet(folder.path(), table, &["icd_code"], &[]);
    }
    // What pandas makes of integers some of which are missing.
    to_parquet(folder.path(), "labevents", &[], &["hadm_id"]);
    assert_eq!(parse(folder.path(), OnBadRow::Error).unwrap(), cohort);
}

#[test]
fn broken_parquet_tables_are_named() {
    dualk_sdk::error::show_values();
    let folder = tempfile::tempdir().unwrap();
    small(folder.path());
    to_parquet(folder.path(), "labevents", &[], &["itemid"]);
    let path = folder.path().join("labevents.parquet");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = parse(folder.path(), OnBadRow::Error).unwrap_err();
    assert!(error.to_string().contains("cannot be read as Parquet") && error.exit_code() == 2, "{error}");

    let other = tempfile::tempdir().unwrap();
    small(other.path());
    insert(other.path(), 2, &[b"1,1,,2.5,,abnormal,\n"]);
    to_parquet(other.path(), "labevents", &[], &["itemid"]);
    let error = parse(other.path(), OnBadRow::Error).unwrap_err().to_string();
    assert!(error.contains("must hold an integer, found `2.5`") && error.contains("number 1 of the file"), "{error}");
}
