//! The folder of a run. It is written under a name of its own and exchanged for an earlier result when the run is
//! complete.
//!
//! A run in progress is `NAME-HASH.unfinished-XXXXXX`, locked as long as its process lives. Killed, stopped or failed, it
//! keeps that name, its log and its checkpoints, and `status.json` says what happened; a run that goes on with it takes
//! it over. The hash covers everything that decides the results ([`Identity`]).

use super::identity::Identity;
use super::outcome::Outcome;
use crate::storage::{self, Access, exchange, lock_folder, lock_new, own_folder, sync_tree};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const UNFINISHED: &str = ".unfinished-";
const STATUS: &str = "status.json";
/// State of a run that is complete, but for its name.
const FINISHED: &str = "finished";
/// What only an unfinished run has: checkpoints to go on from.
pub(crate) const RESUME: &str = "resume";

/// A run being written, or a finished one.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    writing: Option<Writing>,
}

#[derive(Debug)]
struct Writing {
    target: PathBuf,
    access: Access,
    _lock: File,
}

/// How a run that is not finished stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// `running`, which a killed run stays for good; `stopped` by a signal; or `failed`.
    pub state: String,
    /// Why, for people.
    pub reason: String,
}

impl RunDir {
    /// Starts a run in `runs`. Its name carries the hash of its identity, so that a run of anything else never
    /// overwrites it.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn create(runs: &Path, name: &str, identity: &Identity, manifest: &str, access: Access) -> Result<Self> {
        own_folder(runs)?;
        let target = runs.join(format!("{name}-{}", identity.short()));
        let (path, lock) = lock_new(runs, &prefix(&target))?;
        let run = Self { path, writing: Some(Writing { target, access, _lock: lock }) };
        own_folder(&run.file("checkpoints"))?;
        run.write("manifest.toml", manifest.as_bytes())?;
        run.write_json("identity.json", identity)?;
        run.status("running", "")?;
        Ok(run)
    }

    /// Takes over an unfinished run of this identity that no process writes to: the last one that has a checkpoint.
    pub fn unfinished(runs: &Path, name: &str, identity: &Identity, access: Access) -> Option<Self> {
        let target = runs.join(format!("{name}-{}", identity.short()));
        last_first(leftovers(runs, &prefix(&target))).into_iter().find_map(|path| {
            let lock = lock_folder(&path)?;
            // Whoever finished it meanwhile took it away.
            last_checkpoint(&path)?;
            Some(Self { path, writing: Some(Writing { target: target.clone(), access, _lock: lock }) })
        })
    }

    /// Unfinished runs of this name that have a checkpoint and that no process writes to, whatever their identity; the last
    /// first.
    pub(super) fn interrupted(runs: &Path, name: &str) -> Vec<Self> {
        let mut left = leftovers(runs, &format!("{name}-"));
        left.retain(|path| path.to_string_lossy().contains(UNFINISHED) && lock_folder(path).is_some());
        last_first(left).iter().map(|path| Self::at(path)).collect()
    }

    /// A finished run.
    ///
    /// # Errors
    /// When the folder is none.
    pub fn open(path: &Path) -> Result<Self> {
        let is_there = |name: &str| path.join(name).is_file();
        let status = read_status(path).filter(|status| status.state != FINISHED);
        if is_there("manifest.toml") && is_there("result.json") && status.is_none() {
            return Ok(Self { path: path.to_owned(), writing: None });
        }
        if let Some(Status { state, reason }) = status {
            let message = match state.as_str() {
                "running" => "this run is not finished: it is in progress, or was killed".to_owned(),
                _ => format!("this run is not finished: it {state}: {reason}"),
            };
            return Err(Error::user(message).at_file(path).help("`dualk run MANIFEST --resume` goes on with it"));
        }
        Err(Error::user("this is no run folder: it lacks manifest.toml or result.json")
            .at_file(path)
            .help("`dualk run` prints the folder of its run"))
    }

    /// What is in a folder, whatever its state.
    pub(super) fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), writing: None }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file of the run.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<()> {
        storage::write(&self.file(name), contents)
    }

    /// Writes a file of JSON.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let text =
            serde_json::to_string_pretty(value).map_err(|e| Error::program(format!("cannot write {name}: {e}")))?;
        self.write(name, text.as_bytes())
    }

    /// Adds a line to a file.
    pub fn append(&self, name: &str, line: &str) -> Result<()> {
        storage::append(&self.file(name), line)
    }

    /// The results of a finished run.
    pub fn outcome(&self) -> Result<Outcome> {
        let file = self.file("result.json");
        let text = fs::read(&file).map_err(|e| Error::io("read", &file, e))?;
        serde_json::from_slice(&text).map_err(|e| Error::user(format!("this is no result: {e}")).at_file(file))
    }

    /// What decided the results; `None` for runs of older versions.
    pub fn identity(&self) -> Option<Identity> {
        serde_json::from_slice(&fs::read(self.file("identity.json")).ok()?).ok()
    }

    /// Says how the run stands, while it is not finished.
    pub(super) fn status(&self, state: &str, reason: &str) -> Result<()> {
        self.write_json(STATUS, &json!({ "state": state, "reason": reason, "process": std::process::id() }))
    }

    /// Keeps what there is of a run that ended with `error`, and says so in the error; without a checkpoint nothing is
    /// worth keeping, and nothing is kept.
    pub(crate) fn end_with(&self, error: Error) -> Error {
        if self.writing.is_none() {
            return error;
        }
        if last_checkpoint(&self.path).is_none() {
            let _ = fs::remove_dir_all(&self.path);
            let _ = self.path.parent().map(fs::remove_dir); // only when it is empty
            return error;
        }
        let state = if matches!(error.blame(), crate::error::Blame::Signal(_)) { "stopped" } else { "failed" };
        let text = error.to_string();
        let _ = self.status(state, text.lines().next().unwrap_or_default());
        let _ = self.append("log.txt", &format!("{state}: {text}"));
        error
            .help(format!("kept with its checkpoints: {}", self.path.display()))
            .help("go on with the same command and --resume")
    }

    /// Gives the run its name, in one step, in place of an earlier run of the same identity. Unfinished runs of that
    /// identity that no process writes to go: their result is there now.
    ///
    /// # Errors
    /// When the folder cannot be written; the run then stays under its temporary name.
    pub fn finish(mut self) -> Result<Self> {
        let Some(Writing { target, access, .. }) = &self.writing else { return Ok(self) };
        let target = target.clone();
        self.status(FINISHED, "")?;
        access.give(&self.path)?;
        sync_tree(&self.path)?;
        exchange(&self.path, &target)?;
        self.path = target.clone();
        self.writing = None;
        // Only now: a run that was killed before goes on from there.
        let _ = fs::remove_dir_all(self.file(RESUME));
        let _ = fs::remove_file(self.file(STATUS));
        for left in leftovers(target.parent().unwrap_or(Path::new(".")), &prefix(&target)) {
            if lock_folder(&left).is_some() {
                let _ = fs::remove_dir_all(&left);
            }
        }
        Ok(self)
    }
}

/// How names of unfinished runs begin.
fn prefix(target: &Path) -> String {
    format!("{}{UNFINISHED}", target.file_name().unwrap_or_default().to_string_lossy())
}

/// Folders of runs whose names begin so: of unfinished ones, or of replaced results that nobody took away.
fn leftovers(runs: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(runs).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    named.map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink()).collect()
}

/// Those that have a checkpoint, the last written first.
fn last_first(runs: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut written: Vec<(SystemTime, PathBuf)> =
        runs.into_iter().filter_map(|path| Some((last_checkpoint(&path)?, path))).collect();
    written.sort();
    written.into_iter().rev().map(|(_, path)| path).collect()
}

/// When the last checkpoint of an unfinished run was written.
fn last_checkpoint(run: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(run.join(RESUME)).ok()?.flatten();
    let whole = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    whole.filter_map(|entry| entry.metadata().and_then(|meta| meta.modified()).ok()).max()
}

fn read_status(run: &Path) -> Option<Status> {
    serde_json::from_slice(&fs::read(run.join(STATUS)).ok()?).ok()
}

impl Drop for RunDir {
    /// A run that neither finished nor ended with an error is kept like one that was killed; an
    /// empty-handed one goes.
    fn drop(&mut self) {
        if self.writing.is_some() && last_checkpoint(&self.path).is_none() {
            let _ = fs::remove_dir_all(&self.path);
            let _ = self.path.parent().map(fs::remove_dir); // only when it is empty
        }
    }
}
