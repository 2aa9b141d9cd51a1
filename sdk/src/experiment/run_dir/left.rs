//! What runs leave in the folder of all runs, and what of their own folders is theirs.

use super::{IDENTITY, METRICS, RESULT, RESUME, RunDir, STATUS, UNFINISHED, last_checkpoint};
use crate::experiment::identity::{Identity, SHORT};
use crate::progress::say;
use crate::storage::{self, hold, is_own, own_folder};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What runs write, beside what has the number of a stage or the name of an option in its name.
const OWN: [&str; 18] = [
    "manifest.toml",
    IDENTITY,
    STATUS,
    "environment.json",
    "plugins.lock",
    "data.json",
    "summary.json",
    "vocabulary.json",
    "changes.json",
    "log.txt",
    METRICS,
    "metrics.parquet",
    RESULT,
    "report.html",
    "model.safetensors",
    CHECKPOINTS,
    TENSORBOARD,
    RESUME,
];
/// Folders of a run, into which others may have put something, too.
const CHECKPOINTS: &str = "checkpoints";
const TENSORBOARD: &str = "tensorboard";
/// How names of event files begin, and what stands in those of runs between time and process.
pub const EVENTS: &str = "events.out.tfevents.";
pub const EVENTS_OF_RUNS: &str = ".dualk.";
/// How names of unfinished runs begin.
pub fn prefix(target: &Path) -> String {
    format!("{}{UNFINISHED}", target.file_name().unwrap_or_default().to_string_lossy())
}

impl RunDir {
    /// Why no run of this identity can be gone on with: none was interrupted, or something has changed since.
    pub(in crate::experiment) fn why_none_is_left(runs: &Path, name: &str, identity: &Identity) -> String {
        let changed = |run: Self| {
            let then = run.identity().filter(|then| then.has_manifest_of(identity))?;
            let what = then.difference(identity)?;
            Some(format!("not going on with {}, since which something changed: {what}", run.path().display()))
        };
        let changed = interrupted(runs, name).into_iter().find_map(changed);
        changed.unwrap_or_else(|| "no run of this experiment was interrupted".to_owned())
    }

    /// The weights of its stages, by their names in its folder, and nothing that others put beside them.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(in crate::experiment) fn weights_of_stages(&self) -> io::Result<Vec<String>> {
        let folder = self.file(CHECKPOINTS);
        let is_file = |name: &str| fs::symlink_metadata(folder.join(name)).is_ok_and(|about| about.is_file());
        let is_weights = |name: &String| !name.starts_with('.') && is_own_in(CHECKPOINTS, name) && is_file(name);
        let names = names_in(&folder)?.into_iter().filter_map(|name| name.into_string().ok());
        let mut names: Vec<String> = names.filter(is_weights).map(|name| format!("{CHECKPOINTS}/{name}")).collect();
        names.sort();
        Ok(names)
    }

    /// Whether runs write a file or folder of this name; every other one in their folders is somebody else's.
    pub fn is_own_name(name: &str) -> bool {
        is_own_in("", name)
    }
}

/// Whether runs write a file or folder of this name into one of their folders, or into the run's own, which is called nothing.
fn is_own_in(folder: &str, name: &str) -> bool {
    let between = |start: &str, end: &str| name.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
    // What a killed process was about to give its name: `.NAME.XXXXXX`.
    if let Some((own, _)) = name.strip_prefix('.').and_then(|rest| rest.rsplit_once('.'))
        && is_own(&name[1..], &format!("{own}."))
    {
        return is_own_in(folder, own);
    }
    match folder {
        CHECKPOINTS => between("", ".safetensors").is_some_and(is_stage),
        TENSORBOARD => is_events(name),
        RESUME => match name.strip_prefix('.') {
            // A state that a killed process was about to write, and the lock beside it: `.NAME.new-XXXXXX.lock`.
            Some(half) => half.split_once('.').is_some_and(|(name, _)| is_state(name)),
            None => is_state(name.strip_suffix(".damaged").unwrap_or(name)),
        },
        _ => {
            let of_patients = between("patients-", ".json").is_some_and(is_stage);
            of_patients || OWN.contains(&name) || between("", ".toml").is_some_and(is_vectors)
        }
    }
}

/// Whether a name is that of a stage: a number, and what it does.
fn is_stage(name: &str) -> bool {
    name.split_once('-').is_some_and(|(number, what)| is_number(number) && !what.is_empty())
}

/// Whether a name is that of vectors: of a part of the model, and of its option.
fn is_vectors(name: &str) -> bool {
    let of = name.strip_prefix("vectors-").and_then(|rest| rest.split_once('-'));
    let is_key = |key: &str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    of.is_some_and(|(part, option)| is_key(part) && is_key(option))
}

/// Whether a name is that of a state to go on from: a number, perhaps behind the name of vectors; or of vectors that are kept.
fn is_state(name: &str) -> bool {
    is_number(name) || is_vectors(name) || name.rsplit_once('-').is_some_and(|(of, n)| is_vectors(of) && is_number(n))
}

/// Whether a name is that of an event file of a run.
pub fn is_events(name: &str) -> bool {
    name.strip_prefix(EVENTS).is_some_and(|rest| rest.contains(EVENTS_OF_RUNS))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Unfinished runs of this name that have a checkpoint and that no process writes to, whatever their identity; the last
/// first.
fn interrupted(runs: &Path, name: &str) -> Vec<RunDir> {
    let of_name = |folder: &str| {
        let start = folder.rsplit_once(UNFINISHED).map(|(start, _)| start);
        let hash = start.and_then(|start| start.strip_prefix(name)?.strip_prefix('-'));
        hash.is_some_and(|hash| hash.len() == SHORT && is_own(folder, &format!("{name}-{hash}{UNFINISHED}")))
    };
    let mut left = leftovers(runs, of_name);
    left.retain(|path| hold(&path.join(IDENTITY)).is_ok());
    last_first(left).iter().map(|path| RunDir::at(path)).collect()
}

/// Folders of runs with such names: of unfinished ones, or of replaced results that nobody took away.
pub fn leftovers(runs: &Path, is_left: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(runs).into_iter().flatten().flatten();
    let named = entries.filter(|entry| is_left(&entry.file_name().to_string_lossy()));
    named.map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink()).collect()
}

/// Runs that have a checkpoint, the last written first.
pub fn last_first(runs: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut written: Vec<(SystemTime, PathBuf)> =
        runs.into_iter().filter_map(|path| Some((last_checkpoint(&path)?.0, path))).collect();
    written.sort();
    written.into_iter().rev().map(|(_, path)| path).collect()
}

/// Whether a folder is a run that was locked before: it has a state, or results.
pub fn is_begun(run: &Path) -> bool {
    [STATUS, RESULT].iter().any(|name| run.join(name).exists())
}

/// Moves what others put into `left`, and into the folders of a run in it, to `target`, which took its place, and removes the
/// rest. What `target` has by the same name stays where it is, and the whole of `left` with it.
pub fn absorb(left: &Path, target: &Path) {
    match carry(left, target, "") {
        0 => told(left, remove(left)),
        _ => say(format_args!(
            "warning: not removed: {}: what others put into it cannot be moved to {}",
            left.display(),
            target.display()
        )),
    }
}

/// Removes the folder of a run: first what could be gone on from, and last what tells that it is one that was begun and that no process
/// writes to. What is left of it, when something cannot be removed, goes with the next run of the same.
pub fn remove(run: &Path) -> io::Result<()> {
    const LAST: [&str; 3] = [IDENTITY, STATUS, RESULT];
    let mut names = names_in(run)?;
    names.sort_by_key(|name| name != RESUME);
    names.retain(|name| LAST.iter().all(|last| name != last));
    names.iter().try_for_each(|name| storage::remove(&run.join(name)))?;
    storage::remove_whole(run)
}

/// Says what could not be removed: the results are whole without. What is not there is removed.
pub fn told(path: &Path, removed: io::Result<()>) {
    if let Some(error) = removed.err().filter(|error| error.kind() != io::ErrorKind::NotFound) {
        say(format_args!("warning: not removed: {}: {error}", path.display()));
    }
}

/// Moves what others put into a folder of a run; how much of it stays.
fn carry(left: &Path, target: &Path, folder: &str) -> usize {
    let Ok(names) = names_in(left) else { return 1 };
    let stays = |name: &OsString| {
        let (from, place, text) = (left.join(name), target.join(name), name.to_string_lossy());
        if !is_own_in(folder, &text) {
            let is_moved = !is_there(&place) && own_folder(target).is_ok() && storage::rename(&from, &place).is_ok();
            return usize::from(!is_moved);
        }
        let is_shared = folder.is_empty() && [CHECKPOINTS, TENSORBOARD, RESUME].contains(&&*text);
        if is_shared && from.is_dir() && !from.is_symlink() { carry(&from, &place, &text) } else { 0 }
    };
    names.iter().map(stays).sum()
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Removes the states of a run that is complete, and their folder where others put nothing into it.
pub fn clear_states(run: &Path) {
    let folder = run.join(RESUME);
    for name in names_in(&folder).unwrap_or_default() {
        let path = folder.join(&name);
        if is_own_in(RESUME, &name.to_string_lossy()) {
            told(&path, storage::remove(&path));
        }
    }
    let _ = fs::remove_dir(folder); // only when it is empty
}

pub fn names_in(folder: &Path) -> io::Result<Vec<OsString>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
}
