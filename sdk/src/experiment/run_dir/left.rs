//! What runs leave in the folder of all runs, and what of their own folders is theirs.

use super::{IDENTITY, METRICS, RESULT, RESUME, RunDir, STATUS, UNFINISHED, last_checkpoint};
use crate::experiment::identity::{Identity, SHORT};
use crate::storage::{hold, is_own};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What runs write.
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
    "checkpoints",
    "tensorboard",
    RESUME,
];
/// How names begin of which runs write several.
const OWN_PREFIXES: [&str; 2] = ["patients-", "vectors-"];
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

    /// Whether runs write a file or folder of this name; every other one in their folders is somebody else's.
    pub fn is_own_name(name: &str) -> bool {
        let named = |name: &str| OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        match name.strip_prefix('.') {
            // What a killed process was about to give its name: `.NAME.XXXXXX`.
            Some(rest) => named(rest) || OWN.iter().any(|own| is_own(rest, &format!("{own}."))),
            None => named(name) || OWN.contains(&name),
        }
    }
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

/// Those that have a checkpoint, the last written first.
pub fn last_first(runs: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut written: Vec<(SystemTime, PathBuf)> =
        runs.into_iter().filter_map(|path| Some((last_checkpoint(&path)?, path))).collect();
    written.sort();
    written.into_iter().rev().map(|(_, path)| path).collect()
}

/// Whether a folder is a run that was locked before: it has a state, or results.
pub fn is_begun(run: &Path) -> bool {
    [STATUS, RESULT].iter().any(|name| run.join(name).exists())
}

/// Moves what others put into `left` to `target`, which took its place, and removes the rest. What `target` has by the
/// same name stays where it is.
pub fn absorb(left: &Path, target: &Path) {
    let Ok(names) = names_in(left) else { return };
    let others = names.iter().filter(|name| !RunDir::is_own_name(&name.to_string_lossy()));
    let stays = |name: &&OsString| {
        let place = target.join(name);
        place.exists() || fs::rename(left.join(name), place).is_err()
    };
    if others.filter(stays).count() == 0 {
        let _ = fs::remove_dir_all(left);
    }
}

pub fn names_in(folder: &Path) -> io::Result<Vec<OsString>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
}
