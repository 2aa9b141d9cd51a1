//! The last two states of work that may be interrupted, each in a folder of its own.
//!
//! One is written beside the others, forced to the disk and renamed; `SHA256SUMS` has the digest of each of its files. One that does not
//! fit its digests, or cannot be read, is named and left out, and the one before serves.

use super::run_dir::{RESUME, RunDir};
use crate::cache::sha256_of;
use crate::storage::{self, Access, own_folder};
use crate::{Error, Result};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const SUMS: &str = "SHA256SUMS";
/// States that are kept.
const KEPT: usize = 2;

/// Where the states of one kind of work are: in folders of an unfinished run whose names are a prefix and a number.
#[derive(Debug, Clone)]
pub(super) struct States {
    folder: PathBuf,
    prefix: String,
}

impl States {
    /// The states of a run whose names begin with `prefix`.
    pub fn of(run: &RunDir, prefix: impl Into<String>) -> Self {
        Self { folder: run.file(RESUME), prefix: prefix.into() }
    }

    /// Writes the next state, whose files `fill` puts into a folder, and removes those before the last two.
    ///
    /// # Errors
    /// Those of `fill`, and when a file cannot be written; the states before are still there then.
    pub fn write(&self, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        own_folder(&self.folder)?;
        let before = self.numbered();
        let next = before.last().map_or(1, |(number, _)| number + 1);
        storage::folder(&self.folder.join(format!("{}{next:08}", self.prefix)), Access::Private, |new| {
            fill(new)?;
            let sums = sums(new)?;
            storage::write(&new.join(SUMS), sums.as_bytes())
        })?;
        for (_, old) in before.iter().rev().skip(KEPT - 1) {
            storage::remove_folder(old).map_err(|e| Error::io("remove the checkpoint", old, e))?;
        }
        Ok(())
    }

    /// The last state that is whole, with all of the files `needed`, and that `read` can read. Lines on those after it go to
    /// `damaged`; they are set aside, so that the next one that is written keeps the whole one, and not them.
    pub fn last<T>(
        &self,
        needed: &[&str],
        read: impl Fn(&Path) -> Result<T, String>,
        mut damaged: impl FnMut(String),
    ) -> Option<T> {
        let mut others = Vec::new();
        let whole = self.numbered().into_iter().rev().find_map(|(_, folder)| {
            let state = check(&folder, needed).and_then(|()| read(&folder));
            let state = state.map_err(|what| damaged(format!("damaged checkpoint {}: {what}", folder.display())));
            state.map_err(|()| others.push(folder)).ok()
        })?;
        others.iter().for_each(|folder| set_aside(folder));
        Some(whole)
    }

    /// Their folders by number, in order.
    fn numbered(&self) -> Vec<(u64, PathBuf)> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let number = |name: &str| name.strip_prefix(&self.prefix)?.parse().ok();
        let mut found: Vec<(u64, PathBuf)> =
            entries.filter_map(|entry| Some((number(entry.file_name().to_str()?)?, entry.path()))).collect();
        found.sort();
        found
    }
}

/// Gives a damaged state a name that is no number, in place of an earlier one.
fn set_aside(folder: &Path) {
    let aside = folder.with_extension("damaged");
    let _ = storage::remove(&aside);
    let _ = storage::rename(folder, &aside);
}

/// The digests of the files in a folder, as `sha256sum` writes them.
fn sums(folder: &Path) -> Result<String> {
    let names =
        fs::read_dir(folder).and_then(|all| all.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>());
    let mut names = names.map_err(|e| Error::io("read", folder, e))?;
    names.sort();
    let line = |name: std::ffi::OsString| {
        let file = folder.join(&name);
        let sum = sha256_of(&file).map_err(|e| Error::io("read", &file, e))?;
        Ok(format!("{sum}  {}\n", name.to_string_lossy()))
    };
    names.into_iter().map(line).collect()
}

/// Says what is not as it was written.
fn check(folder: &Path, needed: &[&str]) -> Result<(), String> {
    let sums = fs::read_to_string(folder.join(SUMS)).map_err(|e| format!("{SUMS}: {e}"))?;
    for needed in needed {
        if !sums.lines().any(|line| line.ends_with(&format!("  {needed}"))) {
            return Err(format!("{SUMS} does not name {needed}"));
        }
    }
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").ok_or_else(|| format!("{SUMS} has a line without a name"))?;
        let found = sha256_of(&folder.join(name)).map_err(|e| format!("{name}: {e}"))?;
        if found != sum {
            return Err(format!("{name} differs from what was written"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_are_kept_and_one_that_is_not_whole_is_named() {
        let run = tempfile::tempdir().unwrap();
        let states = States::of(&RunDir::at(run.path()), "vectors-");
        let write = |text: &str| states.write(|folder| storage::write(&folder.join("a"), text.as_bytes()));
        let last = |needed: &[&str]| {
            let mut lines = Vec::new();
            let read = |folder: &Path| fs::read_to_string(folder.join("a")).map_err(|e| e.to_string());
            let found = states.last(needed, read, |line| lines.push(line));
            (found, lines)
        };
        assert_eq!(last(&["a"]), (None, Vec::new()));
        ["one", "two", "three"].iter().for_each(|text| write(text).unwrap());
        let of_other_work = run.path().join(RESUME).join("00000009");
        fs::create_dir(&of_other_work).unwrap();
        assert_eq!(last(&["a"]), (Some("three".into()), Vec::new()));
        let file = run.path().join(RESUME).join("vectors-00000003/a");
        // sha256sum of "three\n" begins with f6936912, that of "three" with 8b5b9db0.
        let sums = fs::read_to_string(file.with_file_name(SUMS)).unwrap();
        assert!(sums.starts_with("8b5b9db0") && sums.ends_with("  a\n"), "{sums}");
        assert!(last(&["a", "b"]).1[0].ends_with("vectors-00000003: SHA256SUMS does not name b"));
        fs::write(&file, "thref").unwrap();
        let (found, lines) = last(&["a"]);
        assert_eq!((found.as_deref(), lines.len()), (Some("two"), 1));
        assert!(
            lines[0].starts_with("damaged checkpoint ") && lines[0].ends_with("3: a differs from what was written")
        );
        // It is set aside: what is written next keeps the whole one.
        write("three").unwrap();
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(last(&["a"]).1[0].contains("vectors-00000003: a: "));
        write("four").unwrap();
        assert_eq!(last(&["a"]).0.as_deref(), Some("four"));
        assert_eq!(
            fs::read_dir(of_other_work.parent().unwrap()).unwrap().count(),
            4,
            "two, the damaged one, and that of other work"
        );
    }
}
