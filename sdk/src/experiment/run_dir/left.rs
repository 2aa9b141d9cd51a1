//! What runs leave in the folder of all runs, and what of their own folders is theirs.

use super::{IDENTITY, METRICS, RESULT, RESUME, RunDir, STATUS, UNFINISHED, last_checkpoint};
use crate::storage::is_own;
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
