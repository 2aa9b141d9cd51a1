//! Folders of one process, by names that no other has, and the locks that tell whether it lives.

use super::access::private_folder;
use super::fault::{Step, at};
use super::live::{forget, remember};
use crate::{Error, Result};
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Letters and digits at the end of a name that is its process's own.
const RANDOM: usize = 6;
/// Ends the name of the lock beside a temporary folder.
pub(crate) const LOCK: &str = ".lock";

/// A folder that goes when this does. The file `NAME.lock` beside it is locked as long as the process lives: what a killed
/// one leaves is known by a lock that nobody holds, and nothing else is.
#[derive(Debug)]
pub(crate) struct Temporary {
    path: PathBuf,
    lock: PathBuf,
    _file: File,
}

impl Temporary {
    /// An empty folder whose name begins with `prefix`.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn new(parent: &Path, prefix: &str) -> Result<Self> {
        // Somebody who sweeps may take the new lock for a left one, before it is locked.
        for _ in 0..100 {
            let made = at(Step::Create, || Self::create(parent, prefix));
            if let Some(made) = made.map_err(|e| Error::io("create a folder", parent, e))? {
                return Ok(made);
            }
        }
        Err(Error::user("no folder can be locked here").at_file(parent).help("does the file system support locks?"))
    }

    fn create(parent: &Path, prefix: &str) -> io::Result<Option<Self>> {
        let lock = tempfile::Builder::new().prefix(prefix).suffix(LOCK).rand_bytes(RANDOM).tempfile_in(parent)?;
        // Where the file system has no locks nobody can have one, and nobody sweeps.
        if matches!(lock.as_file().try_lock(), Err(TryLockError::WouldBlock)) || !lock.path().exists() {
            return Ok(None);
        }
        let path = lock.path().with_extension("");
        private_folder(&path)?;
        remember(&path);
        let (file, lock) = lock.keep().map_err(|e| e.error)?;
        remember(&lock);
        Ok(Some(Self { path, lock, _file: file }))
    }

    /// What a process that no longer lives has left of the folder `path`; it goes when this does.
    fn left(path: PathBuf) -> Option<Self> {
        let lock = beside(&path, LOCK);
        let file = hold(&lock).ok()?;
        Some(Self { path, lock, _file: file })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A folder for this user alone among the system's temporary ones, which goes when this does. What killed processes left of the same
/// name goes with the next.
#[derive(Debug)]
pub struct Scratch(Temporary);

impl Scratch {
    /// An empty folder whose name begins with a dot and `name`.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn new(name: &str) -> Result<Self> {
        Self::within(&std::env::temp_dir(), name)
    }

    /// The same in a folder, which others may write to as well: no name is known before, so that nobody can have put a link there.
    fn within(parent: &Path, name: &str) -> Result<Self> {
        let prefix = format!(".{name}.");
        sweep(parent, &prefix, |_| ());
        Temporary::new(parent, &prefix).map(Self)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
        forget(&self.path);
        // By the lock the next one finds a folder that does not go.
        if fs::symlink_metadata(&self.path).is_err() {
            let _ = fs::remove_file(&self.lock);
        }
        forget(&self.lock);
    }
}

/// Removes temporary folders whose names begin with `prefix` and whose processes no longer live; each is given to `first`
/// before.
pub(crate) fn sweep(parent: &Path, prefix: &str, first: impl Fn(&Path)) {
    for left in locked(parent, prefix).filter_map(Temporary::left) {
        first(left.path());
    }
}

/// Removes locks of processes that no longer live whose folders are gone.
pub(crate) fn sweep_locks(parent: &Path, prefix: &str) {
    for path in locked(parent, prefix).filter(|path| fs::symlink_metadata(path).is_err()) {
        drop(Temporary::left(path));
    }
}

/// Temporary folders whose names begin with `prefix`, by the locks beside them.
fn locked(parent: &Path, prefix: &str) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let folder = name.strip_suffix(LOCK).filter(|folder| is_own(folder, prefix))?;
        Some(parent.join(folder))
    })
}

/// Whether a process lives that writes to the temporary folder `path`. Where the lock cannot be tried, one may.
pub(crate) fn is_held(path: &Path) -> bool {
    let lock = beside(path, LOCK);
    lock.exists() && hold(&lock).is_err()
}

/// Whether a name is `prefix` and the random letters and digits that [`Temporary`] and [`new_folder`] give.
pub(crate) fn is_own(name: &str, prefix: &str) -> bool {
    let random = name.strip_prefix(prefix);
    random.is_some_and(|random| random.len() == RANDOM && random.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Creates a folder whose name begins with `prefix`, which stays.
///
/// # Errors
/// When it cannot be created.
pub(crate) fn new_folder(parent: &Path, prefix: &str) -> Result<PathBuf> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).rand_bytes(RANDOM);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o700));
    }
    let made = at(Step::Create, || Ok(builder.tempdir_in(parent)?.keep()));
    made.map_err(|e| Error::io("create a folder", parent, e))
}

/// Locks a file until what is returned is dropped, or its process ends in whatever way.
///
/// # Errors
/// When somebody else has, or the file is gone, or it cannot be locked.
pub(crate) fn hold(file: &Path) -> Result<File, TryLockError> {
    // For writing: file systems of networks lock nothing else exclusively.
    let held = File::options().read(true).write(true).open(file).map_err(TryLockError::Error)?;
    held.try_lock()?;
    match file.exists() {
        true => Ok(held),
        false => Err(TryLockError::WouldBlock),
    }
}

/// The path with something at the end of its name.
pub(crate) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_names_end_as_random_ones_do() {
        for (name, own) in [
            (".out.new-AbC123", true),
            (".out.new-ideas", false),
            (".out.new-AbC12-", false),
            ("x.out.new-AbC123", false),
        ] {
            assert_eq!(is_own(name, ".out.new-"), own, "{name}");
        }
        assert!(!is_own("a.unfinished-AbC123-backup", "a.unfinished-"));
        let folder = tempfile::tempdir().unwrap();
        let stays = new_folder(folder.path(), "a-").unwrap();
        let goes = Temporary::new(folder.path(), "b-").unwrap();
        for (path, prefix) in [(stays.as_path(), "a-"), (goes.path(), "b-")] {
            assert!(
                path.is_dir() && is_own(&path.file_name().unwrap().to_string_lossy(), prefix),
                "{}",
                path.display()
            );
        }
        drop(goes);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(stays.is_dir());
    }

    #[cfg(unix)]
    #[test]
    fn nobody_leads_what_is_for_a_moment_to_a_folder_of_theirs() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let (shared, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(theirs.path().join("inner")).unwrap();
        symlink(theirs.path().join("inner"), shared.path().join("work")).unwrap();
        fs::create_dir(shared.path().join(".work.AbC123")).unwrap();
        fs::write(shared.path().join(".work.AbC123.lock"), "").unwrap();
        let scratch = Scratch::within(shared.path(), "work").unwrap();
        assert_eq!(scratch.path().parent(), Some(shared.path()));
        assert_eq!(fs::metadata(scratch.path()).unwrap().permissions().mode() & 0o777, 0o700);
        drop(scratch);
        assert_eq!(fs::read_dir(shared.path()).unwrap().count(), 1, "the link, and nothing that a killed process left");
        assert_eq!(fs::read_dir(theirs.path()).unwrap().count(), 1);
    }

    /// A file that cannot be locked, as on a file system without locks, is nobody's to take.
    #[test]
    fn without_a_true_lock_nothing_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("a-AbC123");
        fs::create_dir(&left).unwrap();
        // It cannot be opened for writing.
        fs::create_dir(beside(&left, LOCK)).unwrap();
        sweep(folder.path(), "a-", |_| panic!("no lock"));
        assert!(left.is_dir() && is_held(&left));
        let lives = Temporary::new(folder.path(), "a-").unwrap();
        sweep(folder.path(), "a-", |_| panic!("it is locked"));
        assert!(lives.path().is_dir() && is_held(lives.path()));
        fs::remove_dir(beside(&left, LOCK)).unwrap();
        fs::write(beside(&left, LOCK), "").unwrap();
        assert!(!is_held(&left));
        sweep(folder.path(), "a-", |_| ());
        assert!(!left.exists() && !beside(&left, LOCK).exists());
    }
}
