//! A folder that is made beside its place and put there in one step.

use super::access::{Access, own_folder};
use super::fault::{Step, at};
use super::file::{renamed, sync_tree};
use super::temporary::{Temporary, beside, sweep};
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Ends the name of what was in a place, while two renames put something else there.
pub(crate) const ASIDE: &str = ".old";

/// A folder being written. Its name is its own, it is locked as long as its process lives, and it goes unless it is
/// [committed](Draft::commit). What a killed process leaves goes with the next draft for the same place.
#[derive(Debug)]
pub struct Draft {
    folder: Temporary,
    target: PathBuf,
}

impl Draft {
    /// An empty folder beside `target`, which need not exist.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn beside(target: &Path) -> Result<Self> {
        let found = if target.is_symlink() { fs::canonicalize(target) } else { std::path::absolute(target) };
        let target = found.map_err(|e| Error::io("find the folder", target, e))?;
        let parent = target.parent().unwrap_or(&target).to_owned();
        own_folder(&parent)?;
        let prefix = prefix(&target);
        sweep(&parent, &prefix, |left| settle(left, &target));
        Ok(Self { folder: Temporary::new(&parent, &prefix)?, target })
    }

    /// The folder to write to.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Forces everything to the disk and puts the folder in its place; what was there goes afterwards.
    ///
    /// # Errors
    /// What was there, or the new folder, is there then.
    pub fn commit(self, access: Access) -> Result<()> {
        access.give(self.path())?;
        sync_tree(self.path())?;
        exchange(self.path(), &self.target)
        // What was there now has the draft's name, and goes with it.
    }
}

/// Lets `fill` write a folder and puts it in the place of `target`, whole or not at all.
///
/// # Errors
/// Those of `fill`, with `target` in place of the folder that it wrote to, and those of [`Draft`].
pub fn folder(target: &Path, access: Access, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let draft = Draft::beside(target)?;
    let made = fill(draft.path()).map_err(|e| renamed(e, draft.path(), target));
    made.and_then(|()| draft.commit(access))
}

/// The same where `check` lets it, which is asked before `fill` and, as that may take long, once more when the new folder is whole.
///
/// # Errors
/// Those of `check`, too: what is at `target` is there then.
pub fn checked_folder(
    target: &Path,
    access: Access,
    check: impl Fn(&Path) -> Result<()>,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    check(target)?;
    folder(target, access, |new| {
        fill(new)?;
        check(target)
    })
}

impl Drop for Draft {
    fn drop(&mut self) {
        settle(self.path(), &self.target);
    }
}

/// How names of drafts for `target` begin.
fn prefix(target: &Path) -> String {
    format!(".{}.new-", target.file_name().unwrap_or_default().to_string_lossy())
}

/// Ends what two renames began: what was in the place of `target` goes back there when nothing else is, and else goes.
fn settle(new: &Path, target: &Path) {
    let aside = beside(new, ASIDE);
    let _ = match fs::symlink_metadata(target) {
        Ok(_) => fs::remove_dir_all(&aside),
        Err(_) => fs::rename(&aside, target),
    };
}

/// Refuses a folder to write that holds something, or is a file.
///
/// # Errors
/// Name it.
pub fn check_free(out: &Path) -> Result<()> {
    let free = match fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => fs::symlink_metadata(out).is_err(),
    };
    match free {
        true => Ok(()),
        false => Err(Error::user("the output is there already and not empty; nothing was written")
            .at_file(out)
            .help("give another folder, or an empty one")),
    }
}

/// Puts the folder `new` in the place of `target`, in one step where the file system can; what was there then has the
/// name `new`. A `target` that is not there is a plain change of name.
///
/// # Errors
/// The old one is in its place then.
pub fn exchange(new: &Path, target: &Path) -> Result<()> {
    exchange_all(&[(new.to_owned(), target.to_owned())])
}

/// Puts several new files or folders in their places, all of them or none, and forces their names to the disk; what was
/// there then has the name of the new one.
///
/// # Errors
/// All old ones are in their places then.
pub fn exchange_all(pairs: &[(PathBuf, PathBuf)]) -> Result<()> {
    for (done, (new, target)) in pairs.iter().enumerate() {
        if let Err(e) = put(new, target) {
            take_back(&pairs[..done]);
            return Err(Error::io("put what is new in its place", target, e));
        }
    }
    let parents: BTreeSet<&Path> = pairs.iter().map(|(_, target)| target.parent().unwrap_or(target)).collect();
    let sync = |parent: &Path| at(Step::Sync, || File::open(parent)?.sync_all());
    let synced = parents.into_iter().try_for_each(|parent| sync(parent).map_err(|e| Error::io("write", parent, e)));
    synced.inspect_err(|_| take_back(pairs))
}

fn put(new: &Path, target: &Path) -> io::Result<()> {
    if fs::symlink_metadata(target).is_err() {
        return at(Step::Rename, || fs::rename(new, target));
    }
    match at(Step::Rename, || swap(new, target)) {
        // This file system cannot, or this system.
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            // Nobody who ends the program comes between the two.
            at(Step::Rename, || swap_by_renames(new, target))
        }
        swapped => swapped,
    }
}

/// The same by changes of names. What was there waits under a name that nothing else has.
fn swap_by_renames(new: &Path, target: &Path) -> io::Result<()> {
    let aside = beside(new, ASIDE);
    fs::rename(target, &aside)?;
    if let Err(e) = fs::rename(new, target) {
        let _ = fs::rename(&aside, target); // else the draft tries again when it goes
        return Err(e);
    }
    let _ = fs::rename(&aside, new); // else it goes with the draft under that name
    Ok(())
}

/// Undoes [`put`], last first, as far as the system lets it.
fn take_back(pairs: &[(PathBuf, PathBuf)]) {
    for (new, target) in pairs.iter().rev() {
        let _ = match new.exists() {
            true => put(new, target),
            false => fs::rename(target, new),
        };
    }
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn swap(new: &Path, target: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, new, CWD, target, RenameFlags::EXCHANGE) {
        Err(Errno::OPNOTSUPP) => Err(io::ErrorKind::Unsupported.into()),
        swapped => swapped.map_err(io::Error::from),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn swap(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_draft_takes_the_place_of_what_is_there_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out");
        for text in ["one", "two"] {
            let draft = Draft::beside(&target).unwrap();
            fs::write(draft.path().join("a"), text).unwrap();
            fs::write(draft.path().join(text), text).unwrap();
            draft.commit(Access::Private).unwrap();
            assert_eq!(fs::read_to_string(target.join("a")).unwrap(), text);
        }
        assert_eq!(names(&target), ["a", "two"], "nothing of the old folder is mixed in");
        drop(Draft::beside(&target).unwrap());
        assert_eq!(names(folder.path()), ["out"]);
    }

    #[test]
    fn what_killed_processes_left_goes_and_what_others_write_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let target = at("out");
        let other = Draft::beside(&target).unwrap();
        // A killed process leaves folder and lock.
        fs::create_dir(at(".out.new-killed")).unwrap();
        fs::write(at(".out.new-killed.lock"), "").unwrap();
        // The user's, some of them by names that a draft might have.
        let mine = ["out.new-x", ".other.new-x", "out-backup", ".out.new-ideas", ".out.new-sketch"];
        mine.iter().for_each(|name| fs::create_dir(at(name)).unwrap());
        drop(Draft::beside(&target).unwrap());
        assert!(other.path().is_dir());
        for gone in [".out.new-killed", ".out.new-killed.lock"] {
            assert!(!at(gone).exists(), "{gone}");
        }
        drop(other);
        assert_eq!(
            names(folder.path()),
            [".other.new-x", ".out.new-ideas", ".out.new-sketch", "out-backup", "out.new-x"]
        );
    }

    /// What somebody puts into the place of a result while it is made.
    #[test]
    fn what_comes_to_the_place_of_a_new_folder_while_it_is_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out");
        let theirs = |_: &Path| {
            fs::create_dir(&target).unwrap();
            fs::write(target.join("theirs"), "theirs").unwrap();
            Ok(())
        };
        let error = checked_folder(&target, Access::Private, check_free, theirs).unwrap_err().to_string();
        assert!(error.contains("not empty"), "{error}");
        assert_eq!((names(&target), names(folder.path())), (vec!["theirs".to_owned()], vec!["out".to_owned()]));
        fs::remove_file(target.join("theirs")).unwrap();
        checked_folder(&target, Access::Private, check_free, |new| {
            fs::write(new.join("a"), "").map_err(|e| Error::io("write", new, e))
        })
        .unwrap();
        assert_eq!(names(&target), ["a"]);
    }

    /// What file systems do that cannot exchange two folders.
    #[test]
    fn two_renames_use_no_name_of_others_and_a_kill_between_them_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let make = |name: &str, text: &str| {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("a"), text).unwrap();
        };
        let read = |name: &str| fs::read_to_string(at(name).join("a")).unwrap();
        ["out", ".out.old", "out.old"].iter().for_each(|name| make(name, name));
        let draft = Draft::beside(&at("out")).unwrap();
        fs::write(draft.path().join("a"), "new").unwrap();
        swap_by_renames(draft.path(), &at("out")).unwrap();
        assert_eq!(fs::read_to_string(draft.path().join("a")).unwrap(), "out");
        drop(draft);
        assert_eq!([read("out"), read(".out.old"), read("out.old")], ["new", ".out.old", "out.old"]);
        // Killed between them: the old result is back with the next draft. Killed after them: it goes.
        for (kept, text) in [(false, "old"), (true, "new")] {
            if !kept {
                fs::remove_dir_all(at("out")).unwrap();
            }
            make(".out.new-AbC123", "half");
            make(".out.new-AbC123.old", "old");
            fs::write(at(".out.new-AbC123.lock"), "").unwrap();
            drop(Draft::beside(&at("out")).unwrap());
            assert_eq!(read("out"), text);
            assert_eq!(names(folder.path()), [".out.old", "out", "out.old"]);
            fs::write(at("out").join("a"), "new").unwrap();
        }
    }

    #[test]
    fn a_folder_that_holds_something_is_not_free() {
        let folder = tempfile::tempdir().unwrap();
        check_free(folder.path()).unwrap();
        check_free(&folder.path().join("none")).unwrap();
        fs::write(folder.path().join("mine"), "").unwrap();
        for taken in [folder.path().to_owned(), folder.path().join("mine")] {
            assert!(check_free(&taken).unwrap_err().to_string().contains("not empty"), "{}", taken.display());
        }
    }

    #[test]
    fn several_results_take_their_places_together_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let fill = |names: &[&str]| names.iter().for_each(|name| fs::write(at(name), name).unwrap());
        fill(&["a", "a.new", "b.new"]);
        // The last has no folder to go to.
        let pairs = [(at("b.new"), at("b")), (at("a.new"), at("a")), (at("c.new"), at("none/c"))];
        let error = exchange_all(&pairs).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert_eq!(names(folder.path()), ["a", "a.new", "b.new"], "{error}");
        assert_eq!(fs::read_to_string(at("a")).unwrap(), "a");
        exchange_all(&pairs[..2]).unwrap();
        assert_eq!(names(folder.path()), ["a", "a.new", "b"]);
        assert_eq!(fs::read_to_string(at("a")).unwrap(), "a.new");
        assert_eq!(fs::read_to_string(at("a.new")).unwrap(), "a");
    }

    #[cfg(unix)]
    #[test]
    fn access_is_for_the_owner_unless_it_is_widened() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for (access, modes) in
            [(Access::Private, (0o700, 0o600)), (Access::Group, (0o750, 0o640)), (Access::All, (0o755, 0o644))]
        {
            let target = folder.path().join("deep/er/out");
            let draft = Draft::beside(&target).unwrap();
            super::super::write(&draft.path().join("a"), b"x").unwrap();
            draft.commit(access).unwrap();
            assert_eq!((mode(target.clone()), mode(target.join("a"))), modes, "{access:?}");
        }
        assert_eq!(mode(folder.path().join("deep")), 0o700);
    }
}
