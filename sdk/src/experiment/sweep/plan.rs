//! The folder of a sweep: `sweep.json`, and a folder a member with its manifest, log and state.

use super::{Member, Sweep};
use crate::experiment::compare::{CompareOptions, Comparison, PlannedRun};
use crate::storage::{self, Access};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

const FILE: &str = "sweep.json";
const STATE: &str = "state.json";
/// Keeps other sweeps out of a folder. It is empty.
const LOCK: &str = ".lock";
/// What is told of other things in a folder at most.
const NAMED: usize = 5;

/// What a sweep consists of, as its folder says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Name of the experiment.
    pub name: String,
    /// The manifest, as it was given.
    pub manifest: PathBuf,
    /// The row that the others are compared with.
    pub baseline: Option<String>,
    /// Threads of each member; part of what makes its digits.
    pub threads: usize,
    /// The members, in the order of the manifest.
    pub members: Vec<PlannedMember>,
}

/// A member of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedMember {
    /// Name of its folder below `members`.
    pub id: String,
    /// Its row in the table.
    pub name: String,
    /// Whether the manifest gives the row this name.
    #[serde(default)]
    pub named: bool,
    /// What the row is tuned to in it; `None` where nothing is tuned.
    #[serde(default)]
    pub setting: Option<String>,
    /// Its seed.
    pub seed: u64,
    /// Whether it trains only where its setting is the one that its row chose with other seeds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaits_choice: bool,
}

/// How far a member is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum State {
    /// Its run is complete.
    Finished {
        /// The run's folder, from the sweep's.
        run: PathBuf,
        /// Wall time in seconds.
        seconds: f64,
        /// Most memory it held, in bytes, where the system tells.
        peak_bytes: Option<u64>,
    },
    /// The member ended with an error.
    Failed {
        /// The error.
        error: String,
        /// The exit code; `None` when it was killed.
        code: Option<i32>,
    },
}

impl Plan {
    /// The plan of a sweep that is about to run.
    pub fn of(sweep: &Sweep, manifest: &Path, threads: usize) -> Self {
        Self {
            name: sweep.name.clone(),
            manifest: std::path::absolute(manifest).unwrap_or_else(|_| manifest.to_owned()),
            baseline: sweep.baseline.clone(),
            threads,
            members: sweep.members.iter().map(PlannedMember::of).collect(),
        }
    }

    /// Of a folder; `None` when that is no sweep.
    ///
    /// # Errors
    /// When the plan cannot be read.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let file = folder.join(FILE);
        match fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|e| Error::user(format!("this is no plan of a sweep: {e}")).at_file(file)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("read", file, e)),
        }
    }

    /// Writes the plan to `sweep.json` in the sweep's folder.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        write_json(&folder.join(FILE), self)
    }

    /// How many of its members are trained when it is complete: with seeds that await the choice of a setting, one setting a row.
    pub fn to_train(&self) -> usize {
        self.members.iter().filter(|m| !m.awaits_choice || self.is_first_setting(m)).count()
    }

    /// How many of these are complete: of a row that has chosen its setting those of that, and none of settings that it has not chosen.
    ///
    /// # Errors
    /// When a run cannot be read, or one that decides has no metrics on valid.
    pub fn complete(&self, folder: &Path) -> Result<usize> {
        let mut rows: BTreeMap<&str, Vec<&PlannedMember>> = BTreeMap::new();
        self.members.iter().for_each(|member| rows.entry(&member.name).or_default().push(member));
        let of_row = |row: Vec<&PlannedMember>| -> Result<usize> {
            let chosen = chosen_setting(folder, &row)?.or_else(|| row.first()?.setting.clone());
            let trains = row.iter().filter(|member| !member.awaits_choice || member.setting == chosen);
            Ok(trains.filter(|member| finished_run(folder, &member.id).is_some()).count())
        };
        rows.into_values().map(of_row).sum()
    }

    fn is_first_setting(&self, member: &PlannedMember) -> bool {
        let first = self.members.iter().find(|other| other.name == member.name);
        first.is_some_and(|first| first.setting == member.setting)
    }

    /// Folders of the runs that are complete, in the order of the plan.
    pub fn finished(&self, folder: &Path) -> Vec<PathBuf> {
        self.members.iter().filter_map(|m| finished_run(folder, &m.id)).collect()
    }

    /// The table of the runs that are complete.
    ///
    /// # Errors
    /// As of [`Comparison::of_planned`].
    pub fn compare(&self, folder: &Path, options: &CompareOptions) -> Result<Comparison> {
        let runs = self.members.iter().filter_map(|member| member.run(folder));
        Comparison::of_planned(&runs.collect::<Vec<_>>(), options)
    }

    /// Members whose last try ended with an error, with it.
    pub fn failed(&self, folder: &Path) -> Vec<(&PlannedMember, String)> {
        let state = |m: &PlannedMember| State::read(&member_folder(folder, &m.id));
        let failed = self.members.iter().filter_map(|m| match state(m) {
            Some(State::Failed { error, .. }) => Some((m, error)),
            _ => None,
        });
        failed.collect()
    }
}

impl PlannedMember {
    /// What a plan says of a member.
    pub(super) fn of(member: &Member) -> Self {
        Self {
            id: member.id.clone(),
            name: member.name.clone(),
            named: member.named,
            setting: member.setting.clone(),
            seed: member.seed,
            awaits_choice: member.awaits_choice,
        }
    }

    /// The member whose folder this is; `None` where it is that of no sweep.
    pub fn of_folder(member: &Path) -> Option<Self> {
        let plan = Plan::read(member.parent()?.parent()?).ok()??;
        plan.members.into_iter().find(|planned| member.file_name().is_some_and(|id| id == planned.id.as_str()))
    }

    /// Its run in the folder of its sweep, where that is complete.
    fn run(&self, sweep: &Path) -> Option<PlannedRun> {
        let (row, setting, decides) = (self.name.clone(), self.setting.clone(), !self.awaits_choice);
        finished_run(sweep, &self.id).map(|folder| PlannedRun { folder, row, setting, decides })
    }
}

/// The setting that a row of these members chooses; `None` before those that decide are complete, and where none waits for it.
///
/// # Errors
/// When a run cannot be read, or has no metrics on valid.
pub(super) fn chosen_setting(sweep: &Path, row: &[&PlannedMember]) -> Result<Option<String>> {
    if !row.iter().any(|member| member.awaits_choice) {
        return Ok(None);
    }
    let deciding = row.iter().filter(|member| !member.awaits_choice);
    let runs: Option<Vec<PlannedRun>> = deciding.map(|member| member.run(sweep)).collect();
    runs.map_or(Ok(None), |runs| Comparison::chosen_setting(&runs))
}

impl State {
    /// Reads the state in a member's folder; `None` when the member has not ended yet.
    pub fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(STATE)).ok()?).ok()
    }

    /// Writes the state to `state.json` in the member's folder.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        write_json(&folder.join(STATE), self)
    }

    /// Removes the state of a member's folder, where there is one, so that the member is tried again.
    ///
    /// # Errors
    /// When it cannot be removed: it would be taken for that of the next try.
    pub fn forget(folder: &Path) -> Result<()> {
        let state = folder.join(STATE);
        storage::remove(&state).map_err(|e| Error::io("remove the state of an earlier try", &state, e))
    }
}

/// Refuses a folder that holds something and no sweep, whose files might take the place of others.
///
/// # Errors
/// Name what there is.
pub(super) fn check_free(folder: &Path) -> Result<()> {
    if Plan::read(folder)?.is_some() {
        return Ok(());
    }
    // What a sweep leaves that was killed before it had a plan.
    let is_own = |entry: &fs::DirEntry, name: &str| {
        let is_empty = entry.metadata().is_ok_and(|about| about.is_file() && about.len() == 0);
        name == LOCK && is_empty || name.starts_with(&format!(".{FILE}."))
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry));
    let mut others: Vec<String> = named.filter(|(name, entry)| !is_own(entry, name)).map(|(name, _)| name).collect();
    others.sort();
    match others.is_empty() {
        true => Ok(()),
        false => {
            let more = if others.len() > NAMED { " and more" } else { "" };
            others.truncate(NAMED);
            Err(Error::user("this folder has other things in it, and no sweep; nothing was written")
                .at_file(folder)
                .help(format!("found: {}{more}", others.join(", ")))
                .help("give another folder with --out"))
        }
    }
}

/// Keeps other sweeps out of a folder, which is made for those whom `access` names, until the file is dropped.
///
/// # Errors
/// When another is at work in it, or it cannot be written.
pub(super) fn lock(folder: &Path, access: Access) -> Result<File> {
    storage::folder_for(folder, access)?;
    let file = storage::blank(&folder.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::user("another sweep is at work in this folder")
            .at_file(folder)
            .help("wait for it, or give another folder with --out")),
        Err(fs::TryLockError::Error(e)) => Err(Error::io("lock the folder of the sweep", folder, e)),
    }
}

/// The folder of a member.
pub fn member_folder(sweep: &Path, id: &str) -> PathBuf {
    sweep.join("members").join(id)
}

/// The run of a member that is complete.
pub fn finished_run(sweep: &Path, id: &str) -> Option<PathBuf> {
    match State::read(&member_folder(sweep, id))? {
        State::Finished { run, .. } => Some(sweep.join(run)).filter(|run| run.join("result.json").is_file()),
        State::Failed { .. } => None,
    }
}

/// Writes a file that a reader never sees half of.
fn write_json(file: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Error::program(format!("cannot write {}: {e}", file.display())))?;
    storage::replace(file, |new| storage::write(new, text.as_bytes()))
}
