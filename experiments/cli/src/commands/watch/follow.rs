//! What a run's folder says while the run goes on.

use dualk_sdk::experiment::Manifest;
use dualk_sdk::memory;
use dualk_sdk::serde_json;
use dualk_sdk::train::EpochRecord;
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
    /// All epochs so far.
    pub records: Vec<EpochRecord>,
    /// Stages with their epochs, those of one head where heads train in turn.
    pub planned: Vec<(String, usize)>,
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
            entries.filter(named).max_by_key(|p| changed(p))
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
        // The last line may be half written.
        let records = text("metrics.jsonl").lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let manifest = Manifest::parse(&text("manifest.toml"), &[]).ok().map(|(manifest, _)| manifest);
        let planned = manifest.map(|m| m.stage_epochs()).unwrap_or_default();
        let log: Vec<String> = text("log.txt").lines().rev().take(200).map(str::to_owned).collect();
        let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let unfinished = name.starts_with('.') || name.contains(".unfinished-");
        // The process of a run in progress: in its state, or at the end of its temporary name.
        let state: serde_json::Value = serde_json::from_str(&text("status.json")).unwrap_or_default();
        let process = state["process"].as_u64().and_then(|p| u32::try_from(p).ok());
        let process = process.or_else(|| name.rsplit('.').next()?.parse().ok()).filter(|_| unfinished);
        Ok(Standing {
            title: name.trim_start_matches('.').to_owned(),
            records,
            planned,
            log: log.into_iter().rev().collect(),
            finished: folder.join("result.json").is_file() && !unfinished,
            memory: process.and_then(memory::held_by),
            quiet: changed(&folder).and_then(|t| SystemTime::now().duration_since(t).ok()),
        })
    }
}

impl Standing {
    /// Epochs that are complete, and all.
    pub fn progress(&self) -> (usize, usize) {
        let mut all = 0;
        let mut done = 0;
        for (stage, epochs) in &self.planned {
            let of_stage = |r: &&EpochRecord| r.stage == *stage || r.stage.starts_with(&format!("{stage}:"));
            let records = self.records.iter().filter(of_stage).count();
            let mut heads: Vec<&str> = self.records.iter().filter(of_stage).map(|r| r.stage.as_str()).collect();
            heads.dedup();
            // Heads that train in turn have these epochs each; how many heads there are shows while they train.
            let all_of_stage = epochs * heads.len().max(1);
            done += records.min(all_of_stage);
            all += all_of_stage;
        }
        (done, all)
    }

    /// Seconds that are left: epochs that are missing at the mean pace of their stage, or of all that were seen.
    pub fn seconds_left(&self) -> Option<f64> {
        if self.records.is_empty() {
            return None;
        }
        let pace = |stage: &str| {
            let seconds: Vec<f64> =
                self.records.iter().filter(|r| r.stage.split(':').next() == Some(stage)).map(|r| r.seconds).collect();
            (!seconds.is_empty()).then(|| seconds.iter().sum::<f64>() / seconds.len() as f64)
        };
        let mean = self.records.iter().map(|r| r.seconds).sum::<f64>() / self.records.len() as f64;
        let current = self.records.last().map(|r| r.stage.split(':').next().unwrap_or_default().to_owned());
        let mut left = 0.0;
        for (stage, epochs) in &self.planned {
            let done = self.records.iter().filter(|r| r.stage.split(':').next() == Some(stage)).count();
            let begun = self.planned.iter().position(|(s, _)| Some(s) == current.as_ref()).unwrap_or(0);
            let over = self.planned.iter().position(|(s, _)| s == stage).is_some_and(|place| place < begun);
            let missing = if over { 0 } else { epochs.saturating_sub(done) };
            left += missing as f64 * pace(stage).unwrap_or(mean);
        }
        Some(left)
    }
}

fn changed(folder: &Path) -> Option<SystemTime> {
    let of = |file: &str| fs::metadata(folder.join(file)).and_then(|m| m.modified()).ok();
    of("metrics.jsonl").or_else(|| of("manifest.toml"))
}
