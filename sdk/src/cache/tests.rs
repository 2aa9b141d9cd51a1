//! A cache in a folder of its own: what is found in it, and what of it goes.

use super::*;
use serde_json::json;
use std::time::Duration;

fn put(cache: &Cache, key: &Key, text: &str) {
    let write = |folder: &Path| {
        fs::write(folder.join("a.txt"), text).unwrap();
        Ok(())
    };
    cache.put("demo", key, "a demo", write).unwrap();
}

#[test]
fn an_entry_is_found_by_its_key_alone() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path().join("new"));
    let (one, two) = (Key::of(json!({ "x": 1 })), Key::of(json!({ "x": 2 })));
    assert_eq!(cache.get("demo", &one), None);
    assert!(cache.entries().unwrap().is_empty());
    put(&cache, &one, "hello");
    let path = cache.get("demo", &one).unwrap();
    assert_eq!(fs::read_to_string(path.join("a.txt")).unwrap(), "hello");
    assert_eq!((cache.get("demo", &two), cache.get("other", &one)), (None, None));
    // The second of two runs changes nothing.
    put(&cache, &one, "other");
    assert_eq!(fs::read_to_string(path.join("a.txt")).unwrap(), "hello");
    let entries = cache.entries().unwrap();
    assert_eq!((entries.len(), entries[0].kind.as_str(), entries[0].about.as_str()), (1, "demo", "a demo"));
}

#[test]
fn a_writer_that_fails_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let key = Key::of(json!(1));
    let failed = cache.put("demo", &key, "", |folder| {
        fs::write(folder.join("half"), "x").unwrap();
        Err(Error::user("no"))
    });
    assert!(failed.is_err() && cache.get("demo", &key).is_none());
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["CACHEDIR.TAG"]);
}

#[test]
fn what_is_not_the_caches_is_never_touched() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let key = Key::of(json!(1));
    put(&cache, &key, "hello");
    fs::create_dir(folder.path().join("thesis")).unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    for refused in [cache.entries(), cache.verify(), cache.collect(None, Some(0))] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("notes.txt, thesis"), "{error}");
    }
    let foreign = Entry {
        path: folder.path().join("thesis"),
        kind: String::new(),
        about: String::new(),
        bytes: 0,
        used: SystemTime::now(),
        state: State::Damaged(String::new()),
    };
    assert!(cache.remove(&foreign).is_err() && folder.path().join("thesis").is_dir());
    assert!(cache.get("demo", &key).is_some(), "what is there can still be read");
}

/// A name of the cache's own is not enough.
#[test]
fn a_folder_without_an_entry_of_ours_is_never_touched() {
    let thesis = |root: &Path| {
        let folder = root.join(format!("photos-{}", "0a".repeat(16)));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("thesis.tex"), "mine").unwrap();
        folder.join("thesis.tex")
    };
    let unmarked = tempfile::tempdir().unwrap();
    let (cache, mine) = (Cache::at(unmarked.path()), thesis(unmarked.path()));
    let error = cache.collect(None, Some(0)).unwrap_err().to_string();
    assert!(error.contains("not marked as a cache of dualk"), "{error}");
    let error = cache.put("demo", &Key::of(json!(1)), "", |_| Ok(())).unwrap_err().to_string();
    assert!(error.contains("found: photos-"), "{error}");
    assert!(mine.is_file() && !unmarked.path().join("CACHEDIR.TAG").exists());

    let marked = tempfile::tempdir().unwrap();
    let cache = Cache::at(marked.path());
    put(&cache, &Key::of(json!(1)), "hello");
    let mine = thesis(marked.path());
    let error = cache.collect(None, Some(0)).unwrap_err().to_string();
    assert!(error.contains("found: photos-") && mine.is_file(), "{error}");
}

/// Of files that cannot be read nobody knows what is in them. (A folder stands in their place, which root cannot read as a file, either.)
#[test]
fn nothing_removes_what_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let keys = [1, 2].map(|n| Key::of(json!(n)));
    for (key, file) in keys.iter().zip(["a.txt", MANIFEST]) {
        put(&cache, key, "hello");
        let file = cache.path("demo", key).join(file);
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
    }
    let verified = cache.verify().unwrap();
    assert!(verified.iter().all(|entry| matches!(entry.state, State::Unreadable(_))), "{verified:?}");
    verified.iter().for_each(|entry| assert_eq!(cache.remove(entry).unwrap_err().exit_code(), 2));
    // Files are not compared here, so the first is complete.
    assert_eq!(cache.collect(Some(Duration::from_secs(1000)), None).unwrap().len(), 0);
    assert_eq!(cache.collect(Some(Duration::ZERO), Some(0)).unwrap().len(), 1);
    assert!(cache.path("demo", &keys[1]).is_dir());
}

/// It was made again by every run, and none said why.
#[test]
fn what_is_in_the_place_of_an_entry_and_cannot_be_read_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let keys = [1, 2, 3].map(|n| Key::of(json!(n)));
    keys.iter().for_each(|key| put(&cache, key, "hello"));
    let file = |key: &Key, name: &str| cache.path("demo", key).join(name);
    fs::remove_file(file(&keys[0], MANIFEST)).unwrap();
    fs::remove_file(file(&keys[1], "a.txt")).unwrap();
    fs::create_dir(file(&keys[1], "a.txt")).unwrap();
    fs::copy(file(&keys[1], MANIFEST), file(&keys[2], MANIFEST)).unwrap();
    for (key, why) in keys.iter().zip([MANIFEST, "a.txt: ", "that of another entry"]) {
        assert!(cache.get("demo", key).is_none(), "{why}");
        let write = |folder: &Path| {
            fs::write(folder.join("a.txt"), "hello").unwrap();
            Ok(())
        };
        let error = cache.put("demo", key, "a demo", write).unwrap_err();
        let text = error.to_string();
        assert!(
            error.exit_code() == 2
                && text.contains(why)
                && text.contains("cannot be read or taken away is in its place"),
            "{text}"
        );
    }
}

#[test]
fn a_removal_that_was_killed_is_ended_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let key = Key::of(json!(1));
    put(&cache, &key, "hello");
    let path = cache.path("demo", &key);
    let aside = folder.path().join(format!("{UNFINISHED}{}", path.file_name().unwrap().to_str().unwrap()));
    fs::create_dir(&aside).unwrap();
    fs::write(aside.join("a.txt"), "of another").unwrap();
    // The entry, and what was being removed.
    assert_eq!(cache.collect(None, Some(0)).unwrap().len(), 2);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["CACHEDIR.TAG"]);
}

/// Nobody writes to what was being removed: it need not grow old first.
#[test]
fn what_is_half_removed_goes_with_the_next_collection() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let keys = [1, 2].map(|n| Key::of(json!(n)));
    keys.iter().for_each(|key| put(&cache, key, "hello"));
    let path = cache.path("demo", &keys[0]);
    let aside = folder.path().join(format!("{UNFINISHED}{}", path.file_name().unwrap().to_str().unwrap()));
    fs::rename(&path, &aside).unwrap();
    fs::remove_file(aside.join(MANIFEST)).unwrap();
    assert_eq!(cache.collect(None, None).unwrap().len(), 1);
    assert!(!aside.exists() && cache.get("demo", &keys[1]).is_some());
}

#[cfg(unix)]
#[test]
fn an_entry_that_cannot_be_read_is_left_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let key = Key::of(json!(1));
    put(&cache, &key, "hello");
    let path = cache.path("demo", &key);
    // A folder in the place of a file: reading it fails for root, too.
    fs::remove_file(path.join("a.txt")).unwrap();
    fs::create_dir(path.join("a.txt")).unwrap();
    assert_eq!(cache.get("demo", &key), None);
    assert!(path.is_dir());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.join(MANIFEST))), (0o700, 0o600));
}

/// As `dualk cache gc` does beside `dualk cache verify`.
#[test]
fn what_another_process_takes_away_meanwhile_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    for number in [1, 2] {
        put(&cache, &Key::of(json!(number)), "hello");
    }
    let found = cache.entries().unwrap();
    fs::remove_dir_all(&found[0].path).unwrap();
    let left = entries::verified(found);
    assert!(left.len() == 1 && left[0].state == State::Complete, "{left:?}");
}

#[test]
fn damage_is_found_and_never_read() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let keys = [1, 2, 3].map(|n| Key::of(json!(n)));
    keys.iter().for_each(|key| put(&cache, key, "hello"));
    fs::write(cache.path("demo", &keys[0]).join("a.txt"), "hellx").unwrap();
    fs::remove_file(cache.path("demo", &keys[1]).join("a.txt")).unwrap();
    let damaged = cache.verify().unwrap().into_iter().filter(|e| matches!(e.state, State::Damaged(_))).count();
    assert_eq!(damaged, 2);
    assert_eq!(keys.each_ref().map(|key| cache.get("demo", key).is_some()), [false, false, true]);
    // Made anew.
    put(&cache, &keys[0], "hello");
    assert!(cache.get("demo", &keys[0]).is_some());
}

/// What has the name of an entry is somebody's own where the cache has marked nothing.
#[test]
fn nothing_is_taken_away_from_a_folder_without_the_marker() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let key = Key::of(json!(1));
    let path = cache.path("demo", &key);
    fs::create_dir(&path).unwrap();
    fs::write(path.join(MANIFEST), "of another program").unwrap();
    assert_eq!(cache.get("demo", &key), None);
    assert_eq!(fs::read_to_string(path.join(MANIFEST)).unwrap(), "of another program");
    let marked = tempfile::tempdir().unwrap();
    let cache = Cache::at(marked.path());
    put(&cache, &key, "hello");
    fs::write(cache.path("demo", &key).join(MANIFEST), "damaged").unwrap();
    assert_eq!(cache.get("demo", &key), None);
    assert!(!cache.path("demo", &key).exists());
}

#[test]
fn collecting_removes_the_old_the_surplus_and_the_unfinished() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let keys = [1, 2, 3].map(|n| Key::of(json!(n)));
    let hours = |n: u64| SystemTime::now() - Duration::from_secs(n * 3600);
    let age = |path: &Path, n| File::open(path).unwrap().set_modified(hours(n)).unwrap();
    for (key, n) in keys.iter().zip([5, 3, 1]) {
        put(&cache, key, "hello");
        let manifest = cache.path("demo", key).join(MANIFEST);
        File::options().append(true).open(manifest).unwrap().set_modified(hours(n)).unwrap();
    }
    let killed = folder.path().join(format!("{UNFINISHED}AbC123"));
    fs::create_dir(&killed).unwrap();
    assert!(cache.collect(None, None).unwrap().is_empty(), "another run may be writing it");
    age(&killed, 2);
    assert_eq!(cache.collect(Some(Duration::from_secs(4 * 3600)), None).unwrap().len(), 2);
    assert!(!killed.exists());
    let left = cache.entries().unwrap();
    assert_eq!(left.len(), 2);
    // Room for one: the one used last stays.
    cache.collect(None, Some(left[0].bytes)).unwrap();
    assert!(cache.get("demo", &keys[2]).is_some() && cache.get("demo", &keys[1]).is_none());
}
