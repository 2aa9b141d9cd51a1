//! The entries as listings show them, and which of them are removed.

use super::contents::{State, compared, read_contents};
use super::{Cache, MANIFEST, UNFINISHED, root};
use crate::storage::{is_held, sweep_locks};
use crate::{Error, Result};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// After that time, an unfinished entry belongs to no run that is still writing it.
const ABANDONED: Duration = Duration::from_secs(3600);

/// An entry as listings show it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its folder.
    pub path: PathBuf,
    /// What it holds, such as `cohort`; empty when unfinished or damaged beyond that.
    pub kind: String,
    /// One line for a reader.
    pub about: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// When it was made or last read.
    pub used: SystemTime,
    /// Its state.
    pub state: State,
}

impl Cache {
    /// Every entry, the last used first.
    ///
    /// # Errors
    /// When the folder cannot be read or has other things in it; an absent one is an empty cache.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let fail = |e| Error::io("read the cache", &self.root, e);
        if !self.root.exists() {
            return Ok(Vec::new());
        }
        root::check(&self.root)?;
        let mut entries = Vec::new();
        for folder in fs::read_dir(&self.root).map_err(fail)? {
            let path = folder.map_err(fail)?.path();
            if path.is_dir() {
                entries.push(entry(path));
            }
        }
        entries.retain(|entry| !root::is_gone(&entry.path));
        entries.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.path.cmp(&b.path)));
        Ok(entries)
    }

    /// Compares every file with what was written; entries in the same order as [`Cache::entries`].
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn verify(&self) -> Result<Vec<Entry>> {
        self.entries().map(verified)
    }

    /// Removes entries not used for `unused`, then the longest unused until the rest takes at most `bytes`, and what
    /// killed runs left. Returns what was removed.
    ///
    /// # Errors
    /// When the folder carries no marker of the cache, has other things in it, cannot be read, or an entry cannot be
    /// removed.
    pub fn collect(&self, unused: Option<Duration>, bytes: Option<u64>) -> Result<Vec<Entry>> {
        let fail = |e| Error::io("read the cache", &self.root, e);
        if !self.root.exists() || fs::read_dir(&self.root).map_err(fail)?.next().is_none() {
            return Ok(Vec::new());
        }
        root::check_marked(&self.root)?;
        let now = SystemTime::now();
        let age = |entry: &Entry| now.duration_since(entry.used).unwrap_or_default();
        let mut left = 0;
        let (_, removed): (Vec<Entry>, Vec<Entry>) = self.entries()?.into_iter().partition(|entry| match entry.state {
            State::Complete => {
                let keep = unused.is_none_or(|limit| age(entry) < limit)
                    && bytes.is_none_or(|limit| left + entry.bytes <= limit);
                left += if keep { entry.bytes } else { 0 };
                keep
            }
            State::Unfinished if root::is_taken_away(&entry.path) => false,
            State::Unfinished => age(entry) < ABANDONED || is_held(&entry.path),
            State::Damaged(_) => false,
            State::Unreadable(_) => true,
        });
        removed.iter().try_for_each(|entry| self.remove(entry))?;
        sweep_locks(&self.root, UNFINISHED);
        Ok(removed)
    }

    /// Removes an entry.
    ///
    /// # Errors
    /// When it cannot be removed, or cannot be read.
    pub fn remove(&self, entry: &Entry) -> Result<()> {
        if let State::Unreadable(what) = &entry.state {
            return Err(Error::user(format!("this cannot be read and is left alone: {what}")).at_file(&entry.path));
        }
        if entry.path.parent() != Some(&self.root) || !root::is_own(&entry.path) {
            return Err(Error::program("this is no entry of the cache").at_file(&entry.path));
        }
        root::check_marked(&self.root)?;
        self.take_away(&entry.path)
    }
}

/// The entries with what comparing their files says. What another process takes away meanwhile is neither damaged nor unreadable.
pub(super) fn verified(mut entries: Vec<Entry>) -> Vec<Entry> {
    for entry in entries.iter_mut().filter(|entry| entry.state == State::Complete) {
        let contents = read_contents(&entry.path);
        entry.state = contents.map_or_else(|state| state, |contents| compared(&entry.path, &contents));
    }
    entries.retain(|entry| !root::is_gone(&entry.path));
    entries
}

fn entry(path: PathBuf) -> Entry {
    let unfinished = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED));
    let files = fs::read_dir(&path).into_iter().flatten().flatten();
    let bytes = files.filter_map(|file| file.metadata().ok()).map(|m| m.len()).sum();
    let used = [path.join(MANIFEST), path.clone()].iter().find_map(|p| fs::metadata(p).and_then(|m| m.modified()).ok());
    let (kind, about, state) = match read_contents(&path) {
        _ if unfinished => (String::new(), String::new(), State::Unfinished),
        Ok(contents) => (contents.kind, contents.about, State::Complete),
        Err(state) => (String::new(), String::new(), state),
    };
    // What cannot be asked for its time is not known to be old.
    Entry { path, kind, about, bytes, used: used.unwrap_or_else(SystemTime::now), state }
}
