//! What `dualk synth` writes: made-up patients, and what is known of them.

use super::program::said;
use super::support::{contents, dualk, fail_each, keeps_what_is_there, leftovers, manifest};
use std::fs;
use std::path::{Path, PathBuf};

/// Tables beside a map or graph of other ones would be read, and mean something else.
#[test]
fn made_up_tables_are_all_there_or_none() {
    let synth = ["synth", "--patients", "30", "--lab-rows", "400", "--gzip", "--knowledge", "1", "made/up"];
    let place = tempfile::tempdir().unwrap();
    let output = dualk(place.path(), &synth, None);
    assert!(output.status.success(), "{}", said(&output));
    let whole = contents(&place.path().join("made/up"));
    assert_eq!(whole.len(), 8, "{:?}", whole.keys());
    let check = |folder: &Path, when: &str| {
        let found = contents(&folder.join("made/up"));
        assert!(found.is_empty() || found == whole, "{when}");
        if folder.join("made").exists() {
            assert_eq!(leftovers(&folder.join("made")), [""; 0], "{when}");
        }
    };
    let failures = fail_each(1, &synth, |_| {}, check);
    assert!(failures > 25, "{failures}");
}

#[test]
fn what_is_written_of_made_up_patients_is_of_one_world() {
    let synth = ["synth", "--of", "small.toml", "known"];
    let before = |folder: &Path| {
        manifest(folder);
        fs::create_dir(folder.join("known")).unwrap();
    };
    let place = tempfile::tempdir().unwrap();
    before(place.path());
    let output = dualk(place.path(), &synth, None);
    assert!(output.status.success(), "{}", said(&output));
    let new = contents(&place.path().join("known"));
    let tables = ["admissions", "d_labitems", "diagnoses_icd", "icd10-icd9", "labevents", "patients"];
    assert!(tables.iter().all(|table| new.contains_key(&PathBuf::from(format!("{table}.csv")))), "{:?}", new.keys());
    let known = ["hierarchy.csv", "knowledge.tsv"];
    assert!(new.len() == 8 && known.iter().all(|name| new.contains_key(Path::new(name))), "{:?}", new.keys());
    keeps_what_is_there(&synth, place.path(), "known");
    let failures = fail_each(1, &synth, before, |folder, when| {
        let found = contents(&folder.join("known"));
        assert!(found.is_empty() || found == new, "half of them: {when}");
        assert_eq!(leftovers(&folder.join("known")), [""; 0], "{when}");
    });
    assert!(failures > 14, "{failures}");
}
