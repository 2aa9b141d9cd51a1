//! The side of a member: telling the sweep how far it is, and ending when the sweep does.

use crate::experiment::stop::Stop;
use crate::progress::Task;
use crate::{Error, Progress, Result, storage};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

const STATUS: &str = "status.jsonl";

/// What a member says of itself, a line of `status.jsonl` each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Said {
    /// A pass over examples begins, such as `4-finetune 3/40`.
    Began { task: String, seconds: f64 },
    /// The run is complete.
    Run(PathBuf),
}

/// Shows progress as another does, and writes it to the member's folder.
pub struct MemberProgress<P> {
    inner: P,
    status: Mutex<PathBuf>,
    start: Instant,
}

impl<P: Progress> MemberProgress<P> {
    /// Progress of the member in a folder.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn new(folder: &Path, inner: P) -> Result<Self> {
        let file = folder.join(STATUS);
        storage::blank(&file)?;
        Ok(Self { inner, status: Mutex::new(file), start: Instant::now() })
    }

    /// Says where the complete run is.
    pub fn finished(&self, run: &Path) {
        self.say(&Said::Run(std::path::absolute(run).unwrap_or_else(|_| run.to_owned())));
    }

    fn say(&self, what: &Said) {
        // The run goes on when its sweep cannot be told.
        if let Ok(line) = serde_json::to_string(what) {
            let _ = storage::append(&self.status.lock().unwrap_or_else(PoisonError::into_inner), &line);
        }
    }
}

impl<P: Progress> Progress for MemberProgress<P> {
    fn begin(&self, what: &str, unit: &str, total: Option<u64>) -> Box<dyn Task> {
        self.say(&Said::Began { task: what.to_owned(), seconds: self.start.elapsed().as_secs_f64() });
        self.inner.begin(what, unit, total)
    }

    fn line(&self, text: &str) {
        self.inner.line(text);
    }
}

/// Stops this process when the other end of its standard input closes, which happens when the sweep is gone: training
/// saves a checkpoint first.
pub fn exit_with_parent(stop: Stop) {
    std::thread::spawn(move || {
        let mut byte = [0];
        while std::io::stdin().read(&mut byte).is_ok_and(|n| n > 0) {}
        match stop.is_listened() {
            true => stop.request(15),
            false => std::process::exit(143),
        }
    });
}

/// How far a member is.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Position {
    /// Whether a stage has begun: what is made before the stages is there.
    pub begun: bool,
    /// Stages that are complete.
    pub stages: usize,
    /// Epochs of the stage that trains which are complete.
    pub epochs: usize,
    /// What it does, such as `4-finetune 3/40`.
    pub doing: String,
    /// Where its complete run is.
    pub run: Option<PathBuf>,
}

/// Removes the status of an earlier try, where there is one.
///
/// # Errors
/// When it cannot be removed: it would be taken for that of the next try.
pub(super) fn forget(folder: &Path) -> Result<()> {
    let status = folder.join(STATUS);
    storage::remove(&status).map_err(|e| Error::io("remove the status of an earlier try", &status, e))
}

/// What the member of a folder has said.
pub(super) fn position(folder: &Path) -> Position {
    let text = fs::read_to_string(folder.join(STATUS)).unwrap_or_default();
    let mut position = Position::default();
    // The last line may be half written.
    for said in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
        match said {
            Said::Run(run) => position.run = Some(run),
            Said::Began { task, .. } => {
                if let Some((stage, epochs)) = of_task(&task) {
                    (position.begun, position.stages, position.epochs) = (true, stage, epochs);
                }
                position.doing = task;
            }
        }
    }
    position
}

/// Of `4-finetune 3/40`: three stages and two epochs are complete. Where heads train in turn, the epochs are those of one head.
fn of_task(task: &str) -> Option<(usize, usize)> {
    let (stage, epoch) = task.rsplit_once(' ')?;
    let number: usize = stage.split('-').next()?.parse().ok()?;
    let (epoch, _) = epoch.split_once('/')?;
    Some((number.checked_sub(1)?, epoch.parse::<usize>().ok()?.checked_sub(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn what_a_member_says_is_understood() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(position(folder.path()), Position::default());
        let progress = MemberProgress::new(folder.path(), Silent).unwrap();
        progress.begin("labevents", "rows", None);
        progress.begin("vectors graph", "steps", Some(3));
        assert_eq!((position(folder.path()).begun, position(folder.path()).stages), (false, 0));
        progress.begin("3-pretrain-individual:blood gas 2/5", "examples", Some(3));
        let doing = "3-pretrain-individual:blood gas 2/5".to_owned();
        let expected = Position { begun: true, stages: 2, epochs: 1, doing, run: None };
        assert_eq!(position(folder.path()), expected);
        progress.finished(Path::new("/runs/x"));
        assert_eq!(position(folder.path()).run, Some("/runs/x".into()));
        (0..2).for_each(|_| forget(folder.path()).unwrap());
        assert_eq!(position(folder.path()), Position::default());
        // What cannot be removed is told: this would be the place of the next try.
        fs::write(folder.path().join("none"), "").unwrap();
        assert!(forget(&folder.path().join("none")).is_err());
    }
}
