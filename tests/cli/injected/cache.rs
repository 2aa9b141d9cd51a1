//! What removes entries of the cache.

use super::program::said;
use super::support::{contents, dualk, fail_each, manifest};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Files by their names.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A cache with a cohort and two stages.
fn filled() -> Files {
    let place = tempfile::tempdir().unwrap();
    manifest(place.path());
    let output = dualk(place.path(), &["run", "small.toml"], None);
    assert!(output.status.success(), "{}", said(&output));
    let files = contents(&place.path().join("cache"));
    assert_eq!(entries(&files).len(), 3, "{:?}", files.keys());
    files
}

/// The folder in the cache that a file is in; nothing of the marker.
fn entry_of(file: &Path) -> Option<String> {
    let mut parts = file.iter();
    parts.next().filter(|_| parts.next().is_some()).map(|entry| entry.to_string_lossy().into_owned())
}

fn entries(files: &Files) -> BTreeSet<String> {
    files.keys().filter_map(|file| entry_of(file)).collect()
}

/// Makes a folder whose cache has these files, beside work that is no cache's.
fn place(files: &Files, folder: &Path) {
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    for (name, bytes) in files {
        let file = folder.join("cache").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
}

/// Every entry of a cache is as it was, or is gone and was among those that `may_go`; what is left of one that is being removed has
/// another name. Nothing else is touched.
fn is_whole(before: &Files, folder: &Path, may_go: &BTreeSet<String>, when: &str) {
    let found = contents(&folder.join("cache"));
    let is_entry = |name: &Path| !entry_of(name).is_some_and(|entry| entry.starts_with(".unfinished-"));
    for (name, bytes) in before.iter().filter(|(name, _)| is_entry(name)) {
        let entry = entry_of(name).filter(|entry| may_go.contains(entry));
        let gone = entry.is_some_and(|entry| !folder.join("cache").join(entry).exists());
        assert!(gone || found.get(name) == Some(bytes), "{}: {when}", name.display());
    }
    for name in found.keys().filter(|name| !before.contains_key(*name)) {
        let entry = entry_of(name).unwrap_or_default();
        let half = entry.strip_prefix(".unfinished-").is_some_and(|entry| may_go.contains(entry));
        assert!(half, "{} was not there: {when}", name.display());
    }
    assert_eq!(fs::read_to_string(folder.join("notes.txt")).unwrap(), "mine");
}

/// What `cache verify` says, which finds nothing damaged.
fn verified(folder: &Path, when: &str) -> String {
    let output = dualk(folder, &["cache", "verify"], None);
    assert!(output.status.success(), "{when}{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn collections_leave_whole_entries_or_none() {
    let mut files = filled();
    let all = entries(&files);
    // What a process left that was killed while it removed an entry.
    let half = format!(".unfinished-cohort-{}", "0a".repeat(16));
    files.insert(Path::new(&half).join("cohort.safetensors"), b"half of it".to_vec());
    let may_go = entries(&files);
    let gc = ["cache", "gc", "--all"];
    let failures = fail_each(
        1,
        &gc,
        |folder| place(&files, folder),
        |folder, when| {
            is_whole(&files, folder, &may_go, when);
            let left = all.iter().filter(|entry| folder.join("cache").join(entry).exists()).count();
            assert!(verified(folder, when).contains(&format!("{left} sound, 0 damaged")), "{when}");
            // The next try ends what this one began.
            let again = dualk(folder, &gc, None);
            assert!(again.status.success(), "{when}{}", said(&again));
            let names = fs::read_dir(folder.join("cache")).unwrap().map(|entry| entry.unwrap().file_name());
            assert_eq!(names.collect::<Vec<_>>(), ["CACHEDIR.TAG"], "{when}");
        },
    );
    assert!(failures > 12, "{failures}");
}

#[test]
fn repairs_remove_what_is_damaged_and_nothing_else() {
    let mut files = filled();
    let weights = files.keys().find(|file| file.ends_with("weights.safetensors")).unwrap().clone();
    *files.get_mut(&weights).unwrap().last_mut().unwrap() ^= 1;
    let damaged: BTreeSet<String> = entry_of(&weights).into_iter().collect();
    let repair = ["cache", "verify", "--repair"];
    let failures = fail_each(
        1,
        &repair,
        |folder| place(&files, folder),
        |folder, when| {
            is_whole(&files, folder, &damaged, when);
            let again = dualk(folder, &repair, None);
            assert!(again.status.success(), "{when}{}", said(&again));
            is_whole(&files, folder, &damaged, when);
            assert!(verified(folder, when).contains("2 sound, 0 damaged"), "{when}");
        },
    );
    assert!(failures > 3, "{failures}");
}
