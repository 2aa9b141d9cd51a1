//! Results of expensive stages, kept by the content that they were made from.
//!
//! An entry is a folder `<kind>-<key>`, where the key is the SHA-256 of everything that determines the result
//! ([`Key`]). It is written under a temporary name, synchronised to disk and renamed, so that an entry is whole or not
//! there: two runs that make the same entry at once both succeed, and a run that is killed leaves only a temporary
//! folder, which [`Cache::collect`] removes. Nothing else in the folder is ever touched: one that has other things in
//! it is refused. `entry.json` has the size and SHA-256 of every file; they are compared
//! whenever an entry is read, and an entry that does not fit is made anew.

mod key;
mod root;

pub use key::{Key, fingerprint};

use crate::storage::{self, lock_folder, lock_new};
use crate::{Error, Progress, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const MANIFEST: &str = "entry.json";
const UNFINISHED: &str = ".unfinished-";
/// After that time, an unfinished entry belongs to no run that is still writing it.
const ABANDONED: Duration = Duration::from_secs(3600);

/// A folder of cached results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
}

/// What is in an entry, and what it was made from.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Contents {
    kind: String,
    key: String,
    about: String,
    made_from: Value,
    files: BTreeMap<String, FileContents>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FileContents {
    bytes: u64,
    sha256: String,
}

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

/// Whether an entry can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is complete; its files were not compared.
    Complete,
    /// Being written, or left by a run that was killed.
    Unfinished,
    /// A file is missing or differs from what was written, as the text says.
    Damaged(String),
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
    /// out of the way first; one that cannot be read is left alone.
    pub fn get(&self, kind: &str, key: &Key) -> Option<PathBuf> {
        let path = self.path(kind, key);
        let contents = match read_contents(&path) {
            Ok(contents) if contents.key == key.hex() => contents,
            _ => return None,
        };
        match damage(&path, &contents) {
            Ok(None) => {
                // The time of its last use; of no consequence where the folder is read-only.
                let _ = File::options()
                    .append(true)
                    .open(path.join(MANIFEST))
                    .and_then(|f| f.set_modified(SystemTime::now()));
                Some(path)
            }
            Ok(Some(_)) => {
                self.set_aside(&path);
                None
            }
            Err(_) => None,
        }
    }

    /// Takes an entry away under another name, so that nobody finds half of it, and removes it.
    fn set_aside(&self, path: &Path) {
        let Ok((aside, _lock)) = lock_new(&self.root, UNFINISHED) else { return };
        // Over the empty folder.
        let _ = storage::rename(path, &aside);
        let _ = fs::remove_dir_all(aside);
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
            progress.line(&format!("warning: not cached: {}", error.to_string().lines().next().unwrap_or_default()));
        }
    }

    /// Adds an entry: `write` fills the folder it is given. Does nothing when another run was faster.
    ///
    /// # Errors
    /// When the folder has other things in it or cannot be written; nothing of the entry is left then.
    pub fn put(&self, kind: &str, key: &Key, about: &str, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let target = self.path(kind, key);
        root::claim(&self.root)?;
        let draft = Unfinished::new(&self.root)?;
        let folder = &draft.path;
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
            Err(_) if target.is_dir() => Ok(()),
            Err(e) => Err(fail(e)),
        }
    }

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
        entries.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.path.cmp(&b.path)));
        Ok(entries)
    }

    /// Compares every file with what was written; entries in the same order as [`Cache::entries`].
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn verify(&self) -> Result<Vec<Entry>> {
        let mut entries = self.entries()?;
        for entry in entries.iter_mut().filter(|entry| entry.state == State::Complete) {
            let found = read_contents(&entry.path).and_then(|contents| damage(&entry.path, &contents));
            if let Some(what) = found.unwrap_or_else(Some) {
                entry.state = State::Damaged(what);
            }
        }
        Ok(entries)
    }

    /// Removes entries not used for `unused`, then the longest unused until the rest takes at most `bytes`, and what
    /// killed runs left. Returns what was removed.
    ///
    /// # Errors
    /// When the folder carries no marker of the cache, has other things in it, cannot be read, or an entry cannot be
    /// removed.
    pub fn collect(&self, unused: Option<Duration>, bytes: Option<u64>) -> Result<Vec<Entry>> {
        if self.root.exists() {
            // Caches of older versions have no marker yet.
            root::claim(&self.root)?;
        }
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
            State::Unfinished => age(entry) < ABANDONED || lock_folder(&entry.path).is_none(),
            State::Damaged(_) => false,
        });
        removed.iter().try_for_each(|entry| self.remove(entry))?;
        Ok(removed)
    }

    /// Removes an entry.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, entry: &Entry) -> Result<()> {
        let name = entry.path.file_name().unwrap_or_default().to_string_lossy();
        if entry.path.parent() != Some(&self.root) || !root::is_own(&name) {
            return Err(Error::program("this is no entry of the cache").at_file(&entry.path));
        }
        root::claim(&self.root)?;
        fs::remove_dir_all(&entry.path).map_err(|e| Error::io("remove from the cache", &entry.path, e))
    }
}

/// An entry being written, which goes unless it got its name.
struct Unfinished {
    path: PathBuf,
    _lock: File,
}

impl Unfinished {
    fn new(root: &Path) -> Result<Self> {
        let (path, lock) = lock_new(root, UNFINISHED)?;
        storage::remember(&path);
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
        storage::forget(&self.path);
    }
}

fn entry(path: PathBuf) -> Entry {
    let contents = read_contents(&path);
    let unfinished = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED));
    let files = fs::read_dir(&path).into_iter().flatten().flatten();
    let bytes = files.filter_map(|file| file.metadata().ok()).map(|m| m.len()).sum();
    let used = [path.join(MANIFEST), path.clone()].iter().find_map(|p| fs::metadata(p).and_then(|m| m.modified()).ok());
    let state = match &contents {
        _ if unfinished => State::Unfinished,
        Ok(_) => State::Complete,
        Err(what) => State::Damaged(what.clone()),
    };
    let (kind, about) = contents.map(|c| (c.kind, c.about)).unwrap_or_default();
    Entry { path, kind, about, bytes, used: used.unwrap_or(SystemTime::UNIX_EPOCH), state }
}

fn read_contents(path: &Path) -> std::result::Result<Contents, String> {
    let text = fs::read(path.join(MANIFEST)).map_err(|e| format!("{MANIFEST}: {e}"))?;
    serde_json::from_slice(&text).map_err(|e| format!("{MANIFEST}: {e}"))
}

/// The first file that is not as it was written, or is gone.
///
/// # Errors
/// Names the first file that cannot be read.
fn damage(path: &Path, contents: &Contents) -> std::result::Result<Option<String>, String> {
    for (name, written) in &contents.files {
        match file_contents(&path.join(name)) {
            Ok(found) if found == *written => {}
            Ok(_) => return Ok(Some(format!("{name} differs from what was written"))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Some(format!("{name} is missing"))),
            Err(e) => return Err(format!("{name}: {e}")),
        }
    }
    Ok(None)
}

/// SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256_of(path: &Path) -> std::io::Result<String> {
    file_contents(path).map(|contents| contents.sha256)
}

fn file_contents(path: &Path) -> std::io::Result<FileContents> {
    let (mut file, mut hash, mut bytes) = (File::open(path)?, Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(FileContents { bytes, sha256: key::hex(&hash.finalize()) }),
            n => {
                hash.update(&buffer[..n]);
                bytes += n as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
        let killed = folder.path().join(format!("{UNFINISHED}abc"));
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
}
