//! A folder that is made beside its place and put there in one step.

use super::access::{Access, own_folder};
use super::fault::{Step, at};
use super::file::{renamed, sync_tree};
use super::live::{forget, remember};
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// A folder being written. Its name is its own, it is locked as long as its process lives, and it goes unless it is
/// [committed](Draft::commit). What a killed process leaves is recognised by its name and the missing lock, and goes with
/// the next draft for the same place.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    target: PathBuf,
    _lock: File,
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
        sweep(&parent, &prefix);
        let (path, lock) = lock_new(&parent, &prefix)?;
        remember(&path);
        Ok(Self { path, target, _lock: lock })
    }

    /// The folder to write to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Forces everything to the disk and puts the folder in its place; what was there goes afterwards.
    ///
    /// # Errors
    /// What was there, or the new folder, is there then.
    pub fn commit(self, access: Access) -> Result<()> {
        access.give(&self.path)?;
        sync_tree(&self.path)?;
        exchange(&self.path, &self.target)
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

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
        forget(&self.path);
    }
}

/// How names of drafts for `target` begin.
fn prefix(target: &Path) -> String {
    format!(".{}.new-", target.file_name().unwrap_or_default().to_string_lossy())
}

/// Creates a folder whose name begins with `prefix`, and locks it.
///
/// # Errors
/// When it cannot be created.
pub(crate) fn lock_new(parent: &Path, prefix: &str) -> Result<(PathBuf, File)> {
    let fail = |e| Error::io("create a folder", parent, e);
    // Somebody who sweeps may take the new folder for a left one, before it is locked.
    for _ in 0..100 {
        let path = at(Step::Create, || own_temporary(parent, prefix)).map_err(fail)?;
        if let Some(lock) = lock_folder(&path) {
            return Ok((path, lock));
        }
    }
    Err(Error::user("no folder can be locked here").at_file(parent).help("does the file system support locks?"))
}

fn own_temporary(parent: &Path, prefix: &str) -> io::Result<PathBuf> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o700));
    }
    Ok(builder.tempdir_in(parent)?.keep())
}

/// Locks a folder until the file is dropped, or its process ends in whatever way; `None` where somebody else has, or the
/// folder is gone.
pub fn lock_folder(path: &Path) -> Option<File> {
    let folder = File::open(path).ok()?;
    match folder.try_lock() {
        Err(TryLockError::WouldBlock) => None,
        // File systems without locks: nobody else can tell, either.
        Ok(()) | Err(TryLockError::Error(_)) => path.is_dir().then_some(folder),
    }
}

/// Removes folders whose names begin with `prefix` and that nobody has locked.
pub fn sweep(parent: &Path, prefix: &str) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let path = entry.path();
        let named = entry.file_name().to_string_lossy().starts_with(prefix);
        if named && path.is_dir() && !path.is_symlink() && lock_folder(&path).is_some() {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Puts the folder `new` in the place of `target`, in one step where the file system can; what was there then has the
/// name `new`. A `target` that is not there is a plain change of name.
///
/// # Errors
/// Either the old one or the new one is in its place then.
pub fn exchange(new: &Path, target: &Path) -> Result<()> {
    exchange_all(&[(new.to_owned(), target.to_owned())])
}

/// Puts several new files or folders in their places, all of them or none; what was there then has the name of the new
/// one.
///
/// # Errors
/// Either all old ones or all new ones are in their places then.
pub fn exchange_all(pairs: &[(PathBuf, PathBuf)]) -> Result<()> {
    for (done, (new, target)) in pairs.iter().enumerate() {
        if let Err(e) = put(new, target) {
            pairs[..done].iter().rev().for_each(|(new, target)| take_back(new, target));
            return Err(Error::io("put what is new in its place", target, e));
        }
    }
    let parents: BTreeSet<&Path> = pairs.iter().map(|(_, target)| target.parent().unwrap_or(target)).collect();
    let sync = |parent: &Path| at(Step::Sync, || File::open(parent)?.sync_all());
    parents.into_iter().try_for_each(|parent| sync(parent).map_err(|e| Error::io("write", parent, e)))
}

fn put(new: &Path, target: &Path) -> io::Result<()> {
    match at(Step::Rename, || swap(new, target))? {
        Swapped::Yes => Ok(()),
        Swapped::NothingThere => at(Step::Rename, || fs::rename(new, target)),
        Swapped::Unknown => {
            let aside = new.with_extension("old");
            at(Step::Rename, || fs::rename(target, &aside))?;
            if let Err(e) = at(Step::Rename, || fs::rename(new, target)) {
                let _ = fs::rename(&aside, target);
                return Err(e);
            }
            let _ = fs::rename(&aside, new); // else the next draft sweeps it
            Ok(())
        }
    }
}

/// Undoes [`put`], as far as the system lets it.
fn take_back(new: &Path, target: &Path) {
    let _ = match new.exists() {
        true => put(new, target),
        false => fs::rename(target, new),
    };
}

enum Swapped {
    Yes,
    NothingThere,
    /// This file system cannot.
    Unknown,
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn swap(new: &Path, target: &Path) -> io::Result<Swapped> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, new, CWD, target, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(Swapped::Yes),
        Err(Errno::NOENT) if !target.exists() => Ok(Swapped::NothingThere),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(Swapped::Unknown),
        Err(e) => Err(e.into()),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn swap(_: &Path, target: &Path) -> io::Result<Swapped> {
    Ok(if target.exists() { Swapped::Unknown } else { Swapped::NothingThere })
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
        let target = folder.path().join("out");
        let other = Draft::beside(&target).unwrap();
        fs::create_dir(folder.path().join(".out.new-killed")).unwrap();
        for mine in ["out.new-x", ".other.new-x", "out-backup"] {
            fs::create_dir(folder.path().join(mine)).unwrap();
        }
        drop(Draft::beside(&target).unwrap());
        assert!(other.path().is_dir());
        assert_eq!(names(folder.path()).len(), 4, "{:?}", names(folder.path()));
        assert!(!folder.path().join(".out.new-killed").exists());
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
