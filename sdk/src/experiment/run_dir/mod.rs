//! The folder of a run. It is written under a name of its own and exchanged for an earlier result when the run is
//! complete.
//!
//! A run in progress is `NAME-HASH.unfinished-XXXXXX`, whose `identity.json` is locked as long as its process lives. Killed,
//! stopped or failed, it keeps that name, its log and its checkpoints, and `status.json` says what happened; a run that goes
//! on with it takes it over. The hash covers everything that decides the results ([`Identity`]). What others put into a
//! folder is carried over to the one that takes its place.

mod left;

use super::identity::Identity;
use super::outcome::Outcome;
use crate::storage::{self, ASIDE, Access, exchange, folder_for, hold, is_own, new_folder, own_folder, sync_tree};
use crate::{Error, Progress, Result};
pub(super) use left::{EVENTS, EVENTS_OF_RUNS, is_events};
use left::{absorb, clear_states, is_begun, last_first, leftovers, prefix, remove, told};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The file of a run with a line an epoch.
pub(super) const METRICS: &str = "metrics.jsonl";
pub(super) const UNFINISHED: &str = ".unfinished-";
const STATUS: &str = "status.json";
const IDENTITY: &str = "identity.json";
const RESULT: &str = "result.json";
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
    /// Whether the folder of all runs is this process's.
    made_runs: bool,
    /// The lock of `identity.json`; `None` where the file system has no locks.
    _lock: Option<File>,
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
        let made_runs = !runs.exists();
        folder_for(runs, access)?;
        let target = runs.join(format!("{name}-{}", identity.short()));
        let path = new_folder(runs, &prefix(&target))?;
        let mut run = Self { path, writing: Some(Writing { target, access, made_runs, _lock: None }) };
        run.write_json(IDENTITY, identity)?;
        let identity = run.file(IDENTITY);
        // Whoever looks for runs that were left may hold it for a moment. None where the file system has no locks.
        let file = File::options().read(true).write(true).open(&identity);
        let file = file.map_err(|e| Error::io("open", &identity, e))?;
        let lock = file.lock().is_ok().then_some(file);
        if let Some(writing) = &mut run.writing {
            writing._lock = lock;
        }
        own_folder(&run.file("checkpoints"))?;
        run.write("manifest.toml", manifest.as_bytes())?;
        // Last: a run that has a state is locked, or left by its process.
        run.status("running", "")?;
        Ok(run)
    }

    /// Takes over an unfinished run of this identity that no process writes to: the last one that has a checkpoint. One
    /// that cannot be locked may have such a process, and is named.
    pub fn unfinished(
        runs: &Path,
        name: &str,
        identity: &Identity,
        access: Access,
        progress: &dyn Progress,
    ) -> Option<Self> {
        let target = runs.join(format!("{name}-{}", identity.short()));
        let prefix = prefix(&target);
        last_first(leftovers(runs, |name| is_own(name, &prefix))).into_iter().find_map(|path| {
            let lock = match hold(&path.join(IDENTITY)) {
                Ok(lock) => Some(lock),
                Err(TryLockError::WouldBlock) => {
                    progress.line(&format!("another process is at work on the same run: {}", path.display()));
                    return None;
                }
                Err(TryLockError::Error(e)) => {
                    progress.line(&format!("{} cannot be locked and is left alone: {e}", path.display()));
                    return None;
                }
            };
            // Whoever finished it meanwhile took it away.
            last_checkpoint(&path)?;
            let writing = Writing { target: target.clone(), access, made_runs: false, _lock: lock };
            Some(Self { path, writing: Some(writing) })
        })
    }

    /// Gives a run that was taken over the manifest and the identity that it goes on with, and the folder of its weights: what lay
    /// there may be gone, damaged or another since.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn go_on(&self, identity: &Identity, manifest: &str) -> Result<()> {
        own_folder(&self.file("checkpoints"))?;
        if self.identity().as_ref() != Some(identity) {
            // In its place: the lock is that of this file.
            self.write_json(IDENTITY, identity)?;
        }
        self.write("manifest.toml", manifest.as_bytes())
    }

    /// A finished run.
    ///
    /// # Errors
    /// When the folder is not one of a run.
    pub fn open(path: &Path) -> Result<Self> {
        let is_there = |name: &str| path.join(name).is_file();
        let status = read_status(path).filter(|status| status.state != FINISHED);
        if is_there("manifest.toml") && is_there(RESULT) && status.is_none() {
            return Ok(Self { path: path.to_owned(), writing: None });
        }
        if let Some(Status { state, reason }) = status {
            let message = match state.as_str() {
                "running" => "this run is not finished: it is in progress, or was killed".to_owned(),
                _ => format!("this run is not finished: it {state}: {reason}"),
            };
            let error = Error::user(message).at_file(path);
            return Err(match last_checkpoint(path) {
                Some(_) => error.help(
                    "`dualk run MANIFEST --resume` goes on with it, and of an embedding `dualk kge train MANIFEST --resume`",
                ),
                None => error.help("it has no checkpoint to go on from"),
            });
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
        let file = self.file(RESULT);
        let text = fs::read(&file).map_err(|e| Error::io("read", &file, e))?;
        serde_json::from_slice(&text).map_err(|e| {
            let found: Value = serde_json::from_slice(&text).unwrap_or_default();
            let error = match found["stages"].is_null() && found["triples"].is_array() {
                true => Error::user("this is a run of an embedding, of which there are no stages")
                    .help("`dualk kge eval` and `dualk kge curves` are for these"),
                false => Error::user(format!("this is no result: {e}")),
            };
            error.at_file(&file)
        })
    }

    /// What decided the results; `None` for runs of older versions, and where it cannot be read.
    pub fn identity(&self) -> Option<Identity> {
        self.read_identity().ok().flatten()
    }

    /// What decided the results; `None` where no file says it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn read_identity(&self) -> Result<Option<Identity>> {
        let file = self.file(IDENTITY);
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", file, e)),
        };
        let broken = |e: &dyn std::fmt::Display| {
            Error::user(format!("this does not say what the run was made from: {e}"))
                .at_file(&file)
                .help("put back what `dualk run` wrote, or remove the file to go on without knowing what has changed")
        };
        let identity: Identity = serde_json::from_slice(&text).map_err(|e| broken(&e))?;
        match identity.made_from.is_object() {
            true => Ok(Some(identity)),
            false => Err(broken(&"`made_from` is no object")),
        }
    }

    /// Says how the run stands, while it is not finished.
    pub(super) fn status(&self, state: &str, reason: &str) -> Result<()> {
        self.write_json(STATUS, &json!({ "state": state, "reason": reason, "process": std::process::id() }))
    }

    /// Keeps what there is of a run that ended with `error`, and says so in the error, with the command that goes on where that is
    /// known. Before the first epoch nothing is worth keeping, and nothing is kept.
    pub(crate) fn end_with(&self, error: Error, command: Option<&str>) -> Error {
        if self.writing.is_none() {
            return error;
        }
        if !is_worth_keeping(&self.path) {
            self.discard();
            return error;
        }
        let stopped = matches!(error.blame(), crate::error::Blame::Signal(_));
        let state = if stopped { "stopped" } else { "failed" };
        let text = error.to_string();
        let _ = self.status(state, text.lines().next().unwrap_or_default());
        let _ = self.append("log.txt", &format!("{state}: {text}"));
        let folder = self.path.display();
        let go_on = match command {
            Some(command) => format!("go on: {command}"),
            None => "go on with the same command and --resume".to_owned(),
        };
        match last_checkpoint(&self.path) {
            Some((_, last)) if stopped => error.help(format!("a checkpoint is saved: {}", last.display())).help(go_on),
            Some(_) => error.help(format!("kept with its checkpoints: {folder}")).help(go_on),
            None => error.help(format!("kept, without a checkpoint to go on from: {folder}")),
        }
    }

    /// Gives the run its name, in one step, in place of an earlier run of the same identity. Unfinished runs of that
    /// identity that no process writes to go: their result is there now. What others put into these folders is carried over.
    ///
    /// # Errors
    /// When the folder cannot be written; the run is kept and marked as failed then.
    pub fn finish(mut self) -> Result<Self> {
        let Some(Writing { target, access, .. }) = &self.writing else { return Ok(self) };
        let (target, access) = (target.clone(), *access);
        if let Err(error) = self.put_at(&target, access) {
            return Err(self.end_with(error, None));
        }
        let replaced = std::mem::replace(&mut self.path, target.clone());
        // Only now: a run that was killed before goes on from there.
        clear_states(&self.path);
        told(&self.file(STATUS), storage::remove(&self.file(STATUS)));
        let is_replaced = |left: &Path| left.file_name() == replaced.file_name();
        let (runs, prefix) = (target.parent().unwrap_or(Path::new(".")), prefix(&target));
        let mut left = leftovers(runs, |name| is_own(name.strip_suffix(ASIDE).unwrap_or(name), &prefix));
        left.sort_by_key(|left| !is_replaced(left));
        for left in left {
            let lock = hold(&left.join(IDENTITY));
            if is_replaced(&left) || lock.is_ok() && is_begun(&left) {
                absorb(&left, &target);
            }
        }
        self.writing = None;
        Ok(self)
    }

    /// Forces the run to the disk and exchanges it for what is at `target`.
    fn put_at(&self, target: &Path, access: Access) -> Result<()> {
        self.status(FINISHED, "")?;
        access.give(&self.path)?;
        sync_tree(&self.path)?;
        exchange(&self.path, target)
    }

    /// Removes a run, and the folder of all runs where this process made it and nothing is in it.
    fn discard(&self) {
        told(&self.path, remove(&self.path));
        if self.writing.as_ref().is_some_and(|writing| writing.made_runs) {
            let _ = self.path.parent().map(fs::remove_dir); // only when it is empty
        }
    }
}

/// Whether a run has learnt something: an epoch is recorded, or a checkpoint is there.
fn is_worth_keeping(run: &Path) -> bool {
    last_checkpoint(run).is_some() || fs::metadata(run.join(METRICS)).is_ok_and(|metrics| metrics.len() > 0)
}

/// When the last checkpoint of an unfinished run was written, and where it is.
fn last_checkpoint(run: &Path) -> Option<(SystemTime, PathBuf)> {
    let entries = fs::read_dir(run.join(RESUME)).ok()?.flatten();
    let whole = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    let written = |entry: fs::DirEntry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()));
    whole.filter_map(written).max()
}

fn read_status(run: &Path) -> Option<Status> {
    serde_json::from_slice(&fs::read(run.join(STATUS)).ok()?).ok()
}

impl Drop for RunDir {
    /// A run that neither finished nor ended with an error is kept like one that was killed; an
    /// empty-handed one goes.
    fn drop(&mut self) {
        if self.writing.is_some() && !is_worth_keeping(&self.path) {
            self.discard();
        }
    }
}

#[cfg(test)]
mod tests;
