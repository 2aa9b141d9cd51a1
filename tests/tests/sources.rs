//! Parsers on real tables, against counts that pandas makes of the same files by the rules of the book's page Parsers:
//! rows are filtered and joined there as whole columns, and intervals are cut from sorted lists.

use dualk_plugin_mimic::{Mimic3Options, Mimic4Options};
use dualk_plugin_sources::EicuOptions;
use dualk_sdk::data::coding::CodeSystem;
use dualk_sdk::prelude::*;
use dualk_sdk::progress::Silent;
use dualk_tests::data_dir;
use std::path::Path;

fn parse(options: impl BuildParser, compat: bool) -> Cohort {
    let parser = options.build().unwrap();
    let cohort = parser.parse(&ParserContext { progress: &Silent, compat, seed: 0 }).unwrap();
    cohort.validate().unwrap();
    assert!(parser.inputs().unwrap().files.iter().all(|file| file.is_file()));
    cohort
}

/// Patients, admissions, codes written, different codes, patients with more than one admission.
fn counts(cohort: &Cohort) -> [usize; 5] {
    let again = (0..cohort.patients.len()).filter(|&p| cohort.visits(p) > 1).count();
    let codes = [cohort.codes.values().len(), cohort.code_names.len()];
    [cohort.patients.len(), cohort.admissions.values().len(), codes[0], codes[1], again]
}

fn path(path: &Path) -> FilePath {
    FilePath(path.to_owned())
}

#[test]
#[cfg_attr(not(real_tables), ignore = "needs the public demo tables")]
fn mimic3_demo() {
    let data = data_dir();
    let root = path(&data.join("mimic-iii-demo"));
    let cohort = parse(Mimic3Options { root: root.clone(), labs: false, ..Default::default() }, false);
    assert_eq!(counts(&cohort), [100, 129, 1761, 581, 14]);
    assert_eq!(cohort.notes[0].1, 0);
    // The demo comes without laboratory tables, and the error says what to do.
    let error = Mimic3Options { root, ..Default::default() }.build().unwrap().check().unwrap_err().to_string();
    assert!(error.contains("`labevents`") && error.contains("labs = false"), "{error}");
}

#[test]
#[cfg_attr(not(real_tables), ignore = "needs the public demo tables")]
fn eicu_demo() {
    let data = data_dir();
    let options = || EicuOptions { root: path(&data.join("eicu-demo")), ..Default::default() };
    let sound = parse(options(), false);
    assert_eq!(counts(&sound), [111, 119, 425, 142, 8]);
    assert_eq!((sound.notes[0].1, sound.notes[1].1), (33, 277));
    assert_eq!((sound.labs.values().len(), sound.lab_items.len()), (496, 43));
    let published = parse(options(), true);
    assert_eq!(counts(&published), [110, 118, 421, 138, 8]);
    assert_eq!((published.notes[0].1, published.notes[1].1), (34, 285));
}

#[test]
#[cfg_attr(not(real_tables), ignore = "needs the public demo tables")]
fn mimic4_demo_in_icd10() {
    let data = data_dir();
    let root = path(&data.join("mimic-iv-demo-2.2/hosp"));
    let cohort = parse(Mimic4Options { root, code_system: CodeSystem::Icd10, ..Default::default() }, false);
    assert!(!cohort.patients.is_empty());
    let icd10 = |name: &String| {
        name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().nth(3).is_none_or(|c| c == '.')
    };
    assert!(cohort.code_names.iter().all(icd10), "{:?}", cohort.code_names);
}
