//! What in a folder is the cache's own: nothing else is ever touched.

use super::UNFINISHED;
use crate::storage::{self, own_folder};
use crate::{Error, Result};
use std::fs;
use std::path::Path;

/// Marks a folder as a cache, in the form that programs for backups know (<https://bford.info/cachedir/>).
const MARKER: &str = "CACHEDIR.TAG";
const MARK: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This folder is a cache of dualk: `dualk cache gc` removes entries of it. Keep nothing else here.\n";
/// What is told of other things in the folder at most.
const NAMED: usize = 5;

/// Whether a name is one that the cache gives: `KIND-` and 32 hexadecimal digits, or an unfinished entry.
pub(super) fn is_own(name: &str) -> bool {
    let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let entry = name.rsplit_once('-').is_some_and(|(kind, key)| {
        let kind_is_word = !kind.is_empty() && kind.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '-');
        kind_is_word && key.len() == 32 && key.chars().all(hexadecimal)
    });
    entry || name.starts_with(UNFINISHED)
}

/// Whether the folder is there and carries the marker.
fn is_marked(root: &Path) -> bool {
    fs::read_to_string(root.join(MARKER)).is_ok_and(|text| text.contains("a cache of dualk"))
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

/// Makes the folder a cache: creates and marks it, or refuses one that has anything else in it.
///
/// # Errors
/// When it has, or cannot be written.
pub(super) fn claim(root: &Path) -> Result<()> {
    own_folder(root)?;
    if is_marked(root) {
        return Ok(());
    }
    check(root)?;
    storage::replace(&root.join(MARKER), |new| storage::write(new, MARK.as_bytes()))
}

fn strangers(root: &Path) -> Result<Vec<String>> {
    let fail = |e| Error::io("read the cache", root, e);
    let mut found = Vec::new();
    for entry in fs::read_dir(root).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        // Another process may be writing the marker.
        let marker = name == MARKER || name.starts_with(&format!(".{MARKER}."));
        if !(marker || folder && is_own(&name)) {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_cache_are_known() {
        let key = "0123456789abcdef0123456789abcdef";
        for own in [format!("cohort-{key}"), format!("stage-{key}"), ".unfinished-x7".to_owned()] {
            assert!(is_own(&own), "{own}");
        }
        for other in ["thesis".to_owned(), key.to_owned(), format!("cohort-{}", &key[1..]), format!("Cohort-{key}x")] {
            assert!(!is_own(&other), "{other}");
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
}
