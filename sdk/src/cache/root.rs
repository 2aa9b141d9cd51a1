//! What in a folder is the cache's own: nothing else is ever touched.

use super::contents::read_contents;
use super::{MANIFEST, UNFINISHED};
use crate::storage::{self, LOCK, is_own as is_random, own_folder};
use crate::{Error, Result};
use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind};
use std::path::Path;

/// Marks a folder as a cache, in the form that programs for backups know (<https://bford.info/cachedir/>).
const MARKER: &str = "CACHEDIR.TAG";
const MARK: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This folder is a cache of dualk: `dualk cache gc` removes entries of it. Keep nothing else here.\n";
/// What is told of other things in the folder at most.
const NAMED: usize = 5;

/// Whether a name is one that the cache gives to an entry: `KIND-` and 32 hexadecimal digits.
fn is_name(name: &str) -> bool {
    let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    name.rsplit_once('-').is_some_and(|(kind, key)| {
        let kind_is_word = !kind.is_empty() && kind.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '-');
        kind_is_word && key.len() == 32 && key.chars().all(hexadecimal)
    })
}

fn name_of(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

pub(super) fn is_gone(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|e| e.kind() == ErrorKind::NotFound)
}

/// Whether a folder in a marked cache is the cache's: an entry with its `entry.json`, or an unfinished one. What somebody else has
/// just taken away is no other thing, either.
pub(super) fn is_own(folder: &Path) -> bool {
    let name = name_of(folder);
    let entry = || !is_gone(&folder.join(MANIFEST)) || is_gone(folder);
    is_random(&name, UNFINISHED) || is_taken_away(folder) || is_name(&name) && entry()
}

/// Whether a folder is what is left of an entry that was being removed, which nobody writes to.
pub(super) fn is_taken_away(folder: &Path) -> bool {
    name_of(folder).strip_prefix(UNFINISHED).is_some_and(is_name)
}

/// Whether a folder says itself that it is an entry of this name.
fn is_entry(folder: &Path) -> bool {
    let name = name_of(folder);
    is_name(&name)
        && read_contents(folder)
            .is_ok_and(|contents| contents.key.get(..32).is_some_and(|key| name == format!("{}-{key}", contents.kind)))
}

/// Whether the folder carries the marker.
fn is_marked(root: &Path) -> Result<bool> {
    let marker = root.join(MARKER);
    match fs::read(&marker) {
        Ok(text) => Ok(String::from_utf8_lossy(&text).contains("a cache of dualk")),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::io("read the cache", marker, e)),
    }
}

/// Refuses a folder without the marker, from which nothing may be removed.
///
/// # Errors
/// When it has none, or that cannot be told.
pub(super) fn check_marked(root: &Path) -> Result<()> {
    if is_marked(root)? {
        return Ok(());
    }
    Err(Error::user(format!("this folder is not marked as a cache of dualk by {MARKER}: nothing in it is removed"))
        .at_file(root)
        .help("a cache is marked when its first entry is written; give another folder, or remove this one yourself"))
}

/// Refuses a folder that is not a cache, or has anything beside the cache in it.
///
/// # Errors
/// Name what else there is.
pub(super) fn check(root: &Path) -> Result<()> {
    let strangers = strangers(root)?;
    if !strangers.is_empty() {
        let shown = strangers.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more =
            if strangers.len() > NAMED { format!(" and {} more", strangers.len() - NAMED) } else { String::new() };
        return Err(Error::user("this folder is no cache of dualk alone: there are other things in it")
            .at_file(root)
            .help(format!("found: {shown}{more}"))
            .help("give the cache a folder of its own: DUALK_CACHE, output.cache or --folder"));
    }
    Ok(())
}

/// Makes the folder a cache: creates and marks it, or refuses one that has anything else than entries in it.
///
/// # Errors
/// When it has, or cannot be written.
pub(super) fn claim(root: &Path) -> Result<()> {
    own_folder(root)?;
    if is_marked(root)? {
        return Ok(());
    }
    check(root)?;
    storage::replace(&root.join(MARKER), |new| storage::write(new, MARK.as_bytes()))
}

fn strangers(root: &Path) -> Result<Vec<String>> {
    let fail = |e| Error::io("read the cache", root, e);
    let found = fs::read_dir(root).map_err(fail)?.collect::<io::Result<Vec<_>>>().map_err(fail)?;
    // Looked for afterwards: a process that fills an empty folder marks it first.
    let marked = is_marked(root)?;
    let is_stranger = |entry: &DirEntry| {
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let own = folder && if marked { is_own(&path) } else { is_entry(&path) };
        // Another process may be writing the marker.
        let marker = marked && name == MARKER || name.starts_with(&format!(".{MARKER}."));
        let lock = marked && name.strip_suffix(LOCK).is_some_and(|entry| entry.starts_with(UNFINISHED));
        !(own || marker || lock)
    };
    let mut names: Vec<String> = found.iter().filter(|entry| is_stranger(entry)).map(|e| name_of(&e.path())).collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_cache_are_known() {
        let key = "0123456789abcdef0123456789abcdef";
        for own in [format!("cohort-{key}"), format!("stage-{key}")] {
            assert!(is_name(&own), "{own}");
        }
        for other in ["thesis".to_owned(), key.to_owned(), format!("cohort-{}", &key[1..]), format!("Cohort-{key}x")] {
            assert!(!is_name(&other), "{other}");
        }
    }

    #[test]
    fn a_folder_with_other_work_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        claim(folder.path()).unwrap();
        claim(folder.path()).unwrap();
        check(folder.path()).unwrap();
        let other = tempfile::tempdir().unwrap();
        fs::create_dir(other.path().join("thesis")).unwrap();
        let error = claim(other.path()).unwrap_err().to_string();
        assert!(error.contains("found: thesis"), "{error}");
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_without_the_marker_is_marked_only_where_all_of_it_is_the_caches() {
        let refused = |name: &str, make: fn(&Path)| {
            let folder = tempfile::tempdir().unwrap();
            make(&folder.path().join(name));
            let error = claim(folder.path()).unwrap_err().to_string();
            assert!(error.contains(&format!("found: {name}")), "{error}");
            assert_eq!(check_marked(folder.path()).unwrap_err().exit_code(), 2);
        };
        let photos = format!("photos-{}", "0".repeat(32));
        refused(&photos, |folder| fs::create_dir(folder).unwrap());
        refused(&photos, |folder| {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join(MANIFEST), "{\"of\": \"another program\"}").unwrap();
        });
        refused(&format!("{UNFINISHED}novel"), |folder| fs::create_dir(folder).unwrap());
        refused(MARKER, |file| fs::write(file, "of another program").unwrap());
    }
}
