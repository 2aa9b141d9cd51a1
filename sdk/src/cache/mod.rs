//! Results of expensive stages, kept by the content that they were made from.
//!
//! An entry is a folder `<kind>-<key>`, where the key is the SHA-256 of everything that determines the result
//! ([`Key`]). It is written under a temporary name, synchronised to disk and renamed, so that an entry is whole or not
//! there: two runs that make the same entry at once both succeed, and a run that is killed leaves only a temporary
//! folder, which [`Cache::collect`] removes. Nothing else in the folder is ever touched: one that has other things in
//! it is refused, and nothing is removed from one without the marker of a cache. `entry.json` has the size and SHA-256
//! of every file; they are compared whenever an entry is read, and an entry that does not fit is made anew.

mod contents;
mod entries;
mod key;
mod root;

pub use contents::State;
pub(crate) use contents::sha256_of;
pub use entries::Entry;
pub use key::{Key, fingerprint, fingerprint_in_place};

use crate::storage::{self, Temporary};
use crate::{Error, Progress, Result};
use contents::{Contents, compared, file_contents, read_contents};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const MANIFEST: &str = "entry.json";
const UNFINISHED: &str = ".unfinished-";

/// A folder of cached results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The cache in a folder, which need not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The cache of the user: `$DUALK_CACHE`, else `dualk/stages` in `$XDG_CACHE_HOME` or `~/.cache`; `None` where
    /// `DUALK_CACHE` is `off` or there is no home folder.
    pub fn of_user() -> Option<Self> {
        let folder = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        match folder("DUALK_CACHE") {
            Some(off) if off.as_os_str() == "off" => None,
            Some(root) => Some(Self::at(root)),
            None => {
                let base = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")))?;
                Some(Self::at(base.join("dualk/stages")))
            }
        }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, kind: &str, key: &Key) -> PathBuf {
        self.root.join(format!("{kind}-{}", &key.hex()[..32]))
    }

    /// The folder of an entry whose files are as they were written; `None` when there is none. A damaged one is taken
    /// out of the way first, unless the folder is not marked as a cache; one that cannot be read is left alone.
    pub fn get(&self, kind: &str, key: &Key) -> Option<PathBuf> {
        let path = self.path(kind, key);
        let contents = match read_contents(&path) {
            Ok(contents) if contents.key == key.hex() => contents,
            Err(State::Damaged(_)) => return self.without(&path),
            _ => return None,
        };
        match compared(&path, &contents) {
            State::Complete => {
                // The time of its last use; of no consequence where the folder is read-only.
                let _ = File::options()
                    .append(true)
                    .open(path.join(MANIFEST))
                    .and_then(|f| f.set_modified(SystemTime::now()));
                Some(path)
            }
            State::Damaged(_) => self.without(&path),
            State::Unfinished | State::Unreadable(_) => None,
        }
    }

    /// Nothing in the place of a damaged entry, which is taken away from a folder that is marked as a cache.
    fn without(&self, path: &Path) -> Option<PathBuf> {
        let _ = root::check_marked(&self.root).and_then(|()| self.take_away(path));
        None
    }

    /// Takes an entry away under the name of an unfinished one, so that nobody finds half of it, and removes it. That needs no
    /// room on the disk.
    fn take_away(&self, path: &Path) -> Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let aside = match name.starts_with(UNFINISHED) {
            true => path.to_owned(),
            false => self.root.join(format!("{UNFINISHED}{name}")),
        };
        // Others may remove the same.
        let gone = |done: io::Result<()>| match done {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("remove from the cache", path, e)),
            _ => Ok(()),
        };
        if aside != path {
            // Of somebody who was killed here.
            gone(storage::remove_folder(&aside))?;
            gone(storage::rename(path, &aside))?;
        }
        gone(storage::remove_folder(&aside))
    }

    /// Adds an entry, as [`Cache::put`]. A cache that cannot be written (a full disk, a read-only folder) is no reason to lose
    /// the result: the reader is told.
    pub fn keep(
        &self,
        kind: &str,
        key: &Key,
        about: &str,
        write: impl FnOnce(&Path) -> Result<()>,
        progress: &dyn Progress,
    ) {
        if let Err(error) = self.put(kind, key, about, write) {
            let (text, root) = (error.to_string(), self.root.display());
            progress.line(&format!("warning: not cached in {root}: {}", text.lines().next().unwrap_or_default()));
        }
    }

    /// Adds an entry: `write` fills the folder it is given. Does nothing when another run was faster.
    ///
    /// # Errors
    /// When the folder has other things in it or cannot be written, or a folder that is no such entry is in its place; nothing of the
    /// entry is left then.
    pub fn put(&self, kind: &str, key: &Key, about: &str, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let target = self.path(kind, key);
        root::claim(&self.root)?;
        let draft = Temporary::new(&self.root, UNFINISHED)?;
        let folder = draft.path();
        write(folder)?;
        let fail = |e| Error::io("write to the cache", folder, e);
        let mut files = BTreeMap::new();
        for file in fs::read_dir(folder).map_err(fail)? {
            let file = file.map_err(fail)?;
            let contents = file_contents(&file.path()).map_err(fail)?;
            files.insert(file.file_name().to_string_lossy().into_owned(), contents);
        }
        let contents = Contents {
            kind: kind.to_owned(),
            key: key.hex().to_owned(),
            about: about.to_owned(),
            made_from: key.made_from().clone(),
            files,
        };
        let text = serde_json::to_string_pretty(&contents)
            .map_err(|e| Error::program(format!("cannot write the entry of the cache: {e}")))?;
        storage::write(&folder.join(MANIFEST), text.as_bytes())?;
        storage::sync_tree(folder)?;
        match storage::rename(folder, &target) {
            Ok(()) => storage::sync_folder(&self.root).map_err(|e| Error::io("write to the cache", &self.root, e)),
            Err(_) if target.is_dir() => self.is_found(&target, key),
            Err(e) => Err(fail(e)),
        }
    }

    /// Says that nobody can read what is in the place of an entry, for which it is made again and again: nothing else does.
    fn is_found(&self, target: &Path, key: &Key) -> Result<()> {
        let why = match read_contents(target) {
            Ok(contents) if contents.key != key.hex() => format!("{MANIFEST} is that of another entry"),
            Ok(contents) => match compared(target, &contents) {
                State::Unreadable(why) => why,
                // Who found it damaged could not take it away.
                State::Damaged(why) if target.exists() => why,
                // Of another run, which was faster.
                State::Complete | State::Unfinished | State::Damaged(_) => return Ok(()),
            },
            // Somebody took it away meanwhile.
            Err(_) if !target.exists() => return Ok(()),
            Err(State::Damaged(why) | State::Unreadable(why)) => why,
            Err(State::Complete | State::Unfinished) => return Ok(()),
        };
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        Err(Error::user(format!("an entry that cannot be read or taken away is in its place: {name}: {why}"))
            .at_file(target)
            .help("look at it, and remove it"))
    }
}

#[cfg(test)]
mod tests;
