//! Broken raw tables: each is refused by an error of one screen that names the place.

use dualk_plugin_parser_mimic::Mimic4Options;
use dualk_plugin_parser_synthetic::{SyntheticOptions, generate, write_raw};
use dualk_sdk::data::{SplitOptions, prepare};
use dualk_sdk::error::Blame;
use dualk_sdk::prelude::*;
use dualk_sdk::progress::Silent;
use dualk_tests::bare;
use std::fs;
use std::io::Write;
use std::path::Path;

fn made_up() -> Cohort {
    let options = SyntheticOptions { patients: 60, clusters: 4, codes: 60, labs: 30, ..SyntheticOptions::default() };
    generate(&options, 5)
}

fn parse(folder: &Path) -> Result<Cohort> {
    let options = Mimic4Options {
        root: FilePath(folder.to_owned()),
        icd_map: FilePath(folder.join("icd10-icd9.csv")),
        ..Mimic4Options::default()
    };
    options.build()?.parse(&ParserContext { progress: &Silent, compat: false, seed: 0, learns: None })
}

#[test]
fn tables_and_cohort_agree() {
    let folder = tempfile::tempdir().unwrap();
    let cohort = made_up();
    write_raw(&cohort, folder.path()).unwrap();
    let read = parse(folder.path()).unwrap();
    assert_eq!(bare(read), cohort);
}

#[test]
fn tables_have_age_and_sex_where_patients_have() {
    let options = SyntheticOptions {
        patients: 60,
        clusters: 4,
        codes: 60,
        labs: 30,
        multi: 1.0,
        further: 0.95,
        max_visits: 20,
        ..SyntheticOptions::default()
    };
    for demographics in [0.0, 0.5] {
        let folder = tempfile::tempdir().unwrap();
        let cohort = generate(&SyntheticOptions { demographics, ..options.clone() }, 5);
        write_raw(&cohort, folder.path()).unwrap();
        let read = parse(folder.path()).unwrap();
        assert!(cohort.admissions.rows().any(|visits| visits.len() > 9));
        for p in 0..cohort.patients.len() {
            for visit in cohort.admissions.range(p) {
                assert_eq!(read.demographics(p, visit), cohort.demographics(p, visit), "{demographics}");
            }
        }
        assert_eq!(bare(read), bare(cohort));
    }
}

#[test]
fn compressed_tables_give_the_same() {
    let folder = tempfile::tempdir().unwrap();
    write_raw(&made_up(), folder.path()).unwrap();
    let plain = parse(folder.path()).unwrap();
    for table in ["patients", "admissions", "diagnoses_icd", "labevents", "d_labitems"] {
        let path = folder.path().join(format!("{table}.csv"));
        let bytes = gzip(&fs::read(&path).unwrap());
        fs::write(folder.path().join(format!("{table}.csv.gz")), bytes).unwrap();
        fs::remove_file(path).unwrap();
    }
    assert_eq!(parse(folder.path()).unwrap(), plain);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What to do to a table.
enum Break {
    /// Write this instead.
    Bytes(&'static [u8]),
    /// Delete it.
    Remove,
    /// Replace the first occurrence of a text.
    Replace(&'static str, &'static str),
    /// Replace a field (column from 0) of a line (from 1, the header is 1).
    Field(usize, usize, &'static str),
    /// Put a line twice.
    Twice(usize),
    /// Put bytes into a line.
    Insert(usize, &'static [u8]),
    /// Compress and cut the end off.
    CutGzip,
    /// Compress and change a byte in the middle.
    DamagedGzip,
}

use Break::*;

/// Table, what is done to it, and what the error must say.
const BROKEN: &[(&str, Break, &[&str])] = &[
    ("patients", Remove, &["`patients` is missing", "accepted: admissions"]),
    ("labevents", Remove, &["`labevents` is missing", "labevents.csv.gz"]),
    ("icd10-icd9", Remove, &["no such file", "icd10-icd9.csv", "icd_map"]),
    ("patients", Bytes(b""), &["file is empty", "patients.csv"]),
    ("diagnoses_icd", Bytes(b""), &["file is empty", "diagnoses_icd.csv"]),
    ("icd10-icd9", Bytes(b"\n\n"), &["must name the columns", "icd10-icd9.csv:1"]),
    ("admissions", Bytes(b"subject_id,hadm_id,admittime\n"), &["no patient is left"]),
    ("patients", Replace("anchor_year_group", "anchor_group"), &["`anchor_year_group` is missing", "patients.csv:1"]),
    ("admissions", Replace("hadm_id", "HADM_ID"), &["`hadm_id` is missing", "did you mean `HADM_ID`?"]),
    ("diagnoses_icd", Replace("icd_version", "version"), &["`icd_version` is missing", "diagnoses_icd.csv:1"]),
    ("labevents", Replace("flag", "flags"), &["`flag` is missing", "did you mean `flags`?"]),
    ("d_labitems", Replace("category", "kind"), &["`category` is missing", "d_labitems.csv:1", "accepted: itemid"]),
    ("icd10-icd9", Replace("ICD9", "ICD-9"), &["`ICD9` is missing", "did you mean `ICD-9`?"]),
    ("admissions", Replace("admission_type", "hadm_id"), &["`hadm_id` occurs 2 times", "admissions.csv:1"]),
    ("patients", Field(3, 0, "one"), &["`subject_id` must hold an integer", "--show-values", "patients.csv:3"]),
    ("patients", Field(4, 3, "NaN"), &["`anchor_year` must hold an integer", "--show-values", "patients.csv:4"]),
    ("patients", Field(4, 3, "-9223372036854775808"), &["`anchor_year` must hold a year", "patients.csv:4"]),
    ("patients", Field(2, 4, "later"), &["`anchor_year_group` must start with a year", "patients.csv:2"]),
    ("patients", Twice(5), &["occurs twice", "patients.csv:6"]),
    ("admissions", Field(5, 0, "99"), &["is not in the table `patients`", "admissions.csv:5"]),
    ("admissions", Field(5, 1, ""), &["`hadm_id` holds no identifier", "admissions.csv:5"]),
    ("admissions", Field(5, 1, "2.5"), &["`hadm_id` must hold an integer", "admissions.csv:5"]),
    ("admissions", Field(7, 2, "yesterday"), &["`admittime` must hold a time", "admissions.csv:7"]),
    ("admissions", Field(7, 2, "2150-02-30 00:00:00"), &["`admittime` must hold a time", "admissions.csv:7"]),
    ("admissions", Twice(4), &["occurs twice, first on line 4", "admissions.csv:5"]),
    ("diagnoses_icd", Field(9, 1, "NaN"), &["`hadm_id` must hold an integer", "diagnoses_icd.csv:9"]),
    ("diagnoses_icd", Field(9, 4, "11"), &["must hold 9 or 10, found (--show-values", "diagnoses_icd.csv:9"]),
    ("d_labitems", Field(3, 0, "x"), &["`itemid` must hold an integer", "d_labitems.csv:3"]),
    ("labevents", Field(2, 3, "sodium"), &["`itemid` must hold an integer", "--show-values", "labevents.csv:2"]),
    ("labevents", Field(2, 2, "first"), &["`hadm_id` must hold an integer", "labevents.csv:2"]),
    ("patients", Insert(3, b"\xff\xfe"), &["not UTF-8", "patients.csv:3"]),
    ("labevents", Insert(10, b"\xe9"), &["not UTF-8", "labevents.csv:10"]),
    ("diagnoses_icd", Insert(6, b"1,2,"), &["the row has 7 fields, and the table 5 columns", "diagnoses_icd.csv:6:1"]),
    ("admissions", Insert(6, b"\""), &["a quote that opens in this row is never closed", "admissions.csv:6"]),
    ("labevents", Insert(10, b"\""), &["text follows the closing quote", "labevents.csv:10:1"]),
    ("labevents", Insert(6, b"1,2,"), &["the row has 9 fields, and the table 7 columns", "labevents.csv:6:1"]),
    ("patients", CutGzip, &["cut off before its end", "patients.csv.gz"]),
    ("labevents", CutGzip, &["cut off before its end", "labevents.csv.gz"]),
    ("labevents", DamagedGzip, &["gzip file is damaged", "labevents.csv.gz"]),
];

fn apply(folder: &Path, table: &str, what: &Break) {
    let path = folder.join(format!("{table}.csv"));
    let bytes = fs::read(&path).unwrap();
    let lines = || bytes.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let changed = match *what {
        Remove => return fs::remove_file(path).unwrap(),
        Bytes(bytes) => bytes.to_vec(),
        Replace(from, to) => String::from_utf8(bytes).unwrap().replacen(from, to, 1).into_bytes(),
        Field(line, column, value) => {
            let mut lines = lines();
            let text = String::from_utf8(lines[line - 1].clone()).unwrap();
            let mut fields: Vec<&str> = text.splitn(column + 2, ',').collect();
            // The last field of a row has its end of line.
            let value = if fields[column].ends_with('\n') { format!("{value}\n") } else { value.to_owned() };
            fields[column] = &value;
            lines[line - 1] = fields.join(",").into_bytes();
            lines.concat()
        }
        Twice(line) => {
            let mut lines = lines();
            lines.insert(line, lines[line - 1].clone());
            lines.concat()
        }
        Insert(line, bytes) => {
            let mut lines = lines();
            lines[line - 1].splice(0..0, bytes.iter().copied());
            lines.concat()
        }
        CutGzip | DamagedGzip => {
            fs::remove_file(&path).unwrap();
            let mut packed = gzip(&bytes);
            match what {
                CutGzip => packed.truncate(packed.len() * 2 / 3),
                _ => packed.iter_mut().skip(20).step_by(7).for_each(|b| *b ^= 0x55),
            }
            return fs::write(folder.join(format!("{table}.csv.gz")), packed).unwrap();
        }
    };
    fs::write(path, changed).unwrap();
}

#[test]
fn every_broken_table_is_refused() {
    let cohort = made_up();
    let mut wrong = Vec::new();
    for (i, (table, what, says)) in BROKEN.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        write_raw(&cohort, folder.path()).unwrap();
        apply(folder.path(), table, what);
        let read = parse(folder.path()).and_then(|cohort| prepare(cohort, &SplitOptions::default()));
        let Err(error) = read else {
            wrong.push(format!("case {i}, {table}: accepted"));
            continue;
        };
        let text = error.to_string();
        if error.blame() != Blame::User || text.lines().count() > 12 || !says.iter().all(|s| text.contains(s)) {
            wrong.push(format!("case {i}, {table}, must say {says:?}:\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(BROKEN.len() >= 15);
}

#[test]
fn a_folder_that_is_none_is_named() {
    let error = parse(Path::new("nowhere/at/all")).unwrap_err();
    assert!(error.to_string().contains("no such folder") && error.to_string().contains("nowhere/at/all"), "{error}");
    assert_eq!(error.exit_code(), 2);
}
