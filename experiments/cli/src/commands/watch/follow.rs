//! What a run's folder says while the run goes on.

use super::course::Course;
use super::epochs::Epochs;
use super::steps;
use dualk_sdk::experiment::embedding::KgeManifest;
use dualk_sdk::experiment::{Manifest, is_scrubbed};
use dualk_sdk::memory;
use dualk_sdk::serde_json;
use dualk_sdk::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A run that is followed.
pub struct Follow {
    given: PathBuf,
}

/// How it stands.
pub struct Standing {
    /// Name of its folder.
    pub title: String,
    /// How far it is, and its curves.
    pub course: Course,
    /// The last lines of the log.
    pub log: Vec<String>,
    /// Whether it is complete.
    pub finished: bool,
    /// Bytes that it holds.
    pub memory: Option<u64>,
    /// Since its last epoch.
    pub quiet: Option<Duration>,
}

impl Follow {
    /// Follows a run, or the latest of a folder of runs.
    ///
    /// # Errors
    /// When there is no such run.
    pub fn of(given: &Path) -> Result<Self> {
        let follow = Self { given: given.to_owned() };
        match follow.folder() {
            Some(_) => Ok(follow),
            None => {
                Err(Error::user("there is no run here").at_file(given).help("`dualk run` writes to the folder `runs`"))
            }
        }
    }

    /// Where the run is now: it changes its name when it is complete.
    fn folder(&self) -> Option<PathBuf> {
        let is_run = |p: &Path| p.join("manifest.toml").is_file();
        if is_run(&self.given) {
            return Some(self.given.clone());
        }
        let wanted = self.given.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let latest = |folder: &Path, wanted: Option<&str>| {
            let entries = fs::read_dir(folder).ok()?.flatten().map(|e| e.path()).filter(|p| is_run(p));
            let named = |p: &PathBuf| {
                let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                wanted.is_none_or(|wanted| name.trim_start_matches('.').starts_with(wanted))
            };
            // A copy is written after its run.
            entries.filter(named).max_by_key(|p| (!is_scrubbed(p), changed(p)))
        };
        latest(&self.given, None)
            .or_else(|| latest(self.given.parent()?, Some(&wanted).filter(|w| !w.is_empty()).map(|w| w.as_str())))
    }

    /// Looks again.
    ///
    /// # Errors
    /// When the run is gone.
    pub fn look(&mut self) -> Result<Standing> {
        let folder = self.folder();
        let folder = folder.ok_or_else(|| {
            Error::user("the run is gone")
                .at_file(&self.given)
                .help("a run that fails before its first epoch leaves no folder")
        })?;
        let text = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
        let log: Vec<String> = text("log.txt").lines().rev().take(200).map(str::to_owned).collect();
        let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let unfinished = name.starts_with('.') || name.contains(".unfinished-");
        // The process of a run in progress: in its state, or at the end of its temporary name.
        let state: serde_json::Value = serde_json::from_str(&text("status.json")).unwrap_or_default();
        let process = state["process"].as_u64().and_then(|p| u32::try_from(p).ok());
        let process = process.or_else(|| name.rsplit('.').next()?.parse().ok()).filter(|_| unfinished);
        Ok(Standing {
            title: name.trim_start_matches('.').to_owned(),
            course: course(&text("manifest.toml"), &text("metrics.jsonl")),
            log: log.into_iter().rev().collect(),
            finished: folder.join("result.json").is_file() && !unfinished,
            memory: process.and_then(memory::held_by),
            quiet: changed(&folder).and_then(|t| SystemTime::now().duration_since(t).ok()),
        })
    }
}

/// How far a run is, by its manifest and its metrics: of stages or of an embedding.
fn course(manifest: &str, metrics: &str) -> Course {
    if let Ok((embedding, _)) = KgeManifest::parse(manifest, &[]) {
        return steps::course(metrics, embedding.train.steps as usize, embedding.train.validate_every);
    }
    // The last line may be half written.
    let records = metrics.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let planned = Manifest::parse(manifest, &[]).map(|(manifest, _)| manifest.stage_epochs()).unwrap_or_default();
    Epochs { records, planned }.course()
}

fn changed(folder: &Path) -> Option<SystemTime> {
    let of = |file: &str| fs::metadata(folder.join(file)).and_then(|m| m.modified()).ok();
    of("metrics.jsonl").or_else(|| of("manifest.toml"))
}
