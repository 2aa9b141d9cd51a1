//! Training the members of a sweep, several at once, each in a process of its own.

use super::changed::Changed;
use super::choice::{Choices, Fate};
use super::describe::{at_once, describe};
use super::plan::{Plan, State, check_free, finished_run, lock, member_folder};
use super::work::{Limits, PAUSE, Work};
use super::worker::Worker;
use super::{Costs, Member, Sweep};
use crate::error::are;
use crate::experiment::plan::to_toml;
use crate::experiment::stop::{Stop, name_of};
use crate::{Error, Progress, Result, device, storage};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How a sweep runs.
pub struct SweepRun<'a> {
    /// The sweep's folder.
    pub folder: &'a Path,
    /// Its manifest, for the record.
    pub manifest: &'a Path,
    /// Maximum number of members at once; as many as there are cores, or one on a GPU, when absent.
    pub jobs: Option<usize>,
    /// Threads of each member; when absent those of the last time, else the cores divided among the members at once.
    pub threads: Option<usize>,
    /// End at the first failure.
    pub fail_fast: bool,
    /// What becomes of complete members that were trained with other plugins, data, SDK, device or threads.
    pub changed: Changed,
    /// Makes the command that trains the member of a folder, which holds its `manifest.toml`.
    pub launch: &'a dyn Fn(&Path) -> Command,
    /// Makes the command that says what each stage of the same will hold, as `dualk check` does.
    pub estimate: &'a dyn Fn(&Path) -> Command,
    /// The wish to stop: members then save what they need to go on, and are waited for.
    pub stop: Stop,
    /// Where progress is shown.
    pub progress: &'a dyn Progress,
}

/// How a sweep ended.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Finished {
    /// Members that are complete, those of earlier times included.
    pub complete: usize,
    /// Complete members of earlier times.
    pub before: usize,
    /// Members that failed: title, last lines of the log, and where it is.
    pub failed: Vec<(String, String, PathBuf)>,
    /// Members that were not tried.
    pub left: usize,
    /// The exit code for the failures: 2 when all are the user's.
    pub code: u8,
}

impl SweepRun<'_> {
    /// Trains every member that is not complete yet.
    ///
    /// # Errors
    /// When the folder cannot be written, has other things in it and no sweep, or another sweep is at work in it; when complete
    /// members were trained with something else and it was not said what becomes of them; or when it is asked to stop. A failed
    /// member is no error of the sweep, nor is a row without metrics on valid that waits to choose its setting: it leaves members.
    pub fn run(&self, sweep: &Sweep) -> Result<Finished> {
        check_free(self.folder)?;
        let lock = lock(self.folder, sweep.access())?;
        let listening = self.stop.listen();
        let (jobs, threads) = self.jobs_and_threads(sweep)?;
        self.settle(sweep, threads)?;
        Plan::of(sweep, self.manifest, threads).write(self.folder)?;
        let choices = Choices::as_far_as_known(sweep, self.folder, |why| self.progress.line(why));
        let wanted = sweep.members.iter().filter(|m| choices.fate(m) != Fate::NotChosen);
        let (complete, remaining): (Vec<&Member>, Vec<&Member>) =
            wanted.partition(|m| finished_run(self.folder, &m.id).is_some());
        let (done, all) = (choices.complete(sweep, self.folder), choices.to_train(sweep).count());
        if done > 0 {
            self.progress.line(&format!("{done} of {} complete already", are(all, "member")));
        }
        self.progress.line(&at_once(jobs, threads));
        let expected = self.expected(&complete, &remaining, jobs, threads)?;
        let limits = Limits { jobs, threads, expected };
        let finished = Work::new(self, sweep, choices, done, remaining, limits).run();
        drop((listening, lock));
        finished
    }

    /// Trains one epoch of each stage of each row, one after the other, to know how long they take.
    ///
    /// # Errors
    /// When a row cannot be trained, or when it is asked to stop.
    pub fn measure(&self, sweep: &Sweep) -> Result<Costs> {
        let (_, threads) = self.jobs_and_threads(sweep)?;
        let folder = storage::Scratch::new("dualk-measure")?;
        let _listening = self.stop.listen();
        let mut costs = Costs::of(self.folder);
        let rows = sweep.rows();
        let mut task = self.progress.begin("measuring", "rows", Some(rows.len() as u64));
        for row in rows {
            let Some(member) = sweep.members.iter().find(|m| m.name == row) else { continue };
            let mut short = member.clone();
            short.manifest.output.cache = None;
            short.manifest.stage.iter_mut().for_each(|stage| stage.epochs = Some(1));
            let trial = SweepRun { folder: folder.path(), stop: self.stop.clone(), ..*self };
            match trial.train_alone(&short, threads)? {
                State::Finished { run, .. } => costs.add(&row, &folder.path().join(run)),
                State::Failed { error, .. } => return Err(Error::user(format!("{row} cannot be trained: {error}"))),
            }
            task.advance(1);
        }
        task.finish("");
        Ok(costs)
    }

    /// Trains a member and waits for it; how it ended.
    fn train_alone(&self, member: &Member, threads: usize) -> Result<State> {
        let mut worker = Worker::start(self, member, threads, None)?;
        loop {
            // `Child::wait` would close its standard input, at which members end.
            let ended = worker.child.try_wait();
            let ended = ended.map_err(|e| Error::program(format!("cannot wait for a member: {e}")))?;
            worker.look();
            if let Some(status) = ended {
                return Ok(worker.state(self.folder, status.code()));
            }
            if let Some(signal) = self.stop.requested() {
                let _ = worker.child.kill(); // it may have ended by itself
                let _ = worker.child.wait();
                return Err(Error::stopped(signal, format!("stopped by {}: nothing was measured", name_of(signal))));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// What the members will take, a line each, without running any.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn describe(&self, sweep: &Sweep, measured: Option<Costs>) -> Result<String> {
        let (jobs, threads) = self.jobs_and_threads(sweep)?;
        let costs = measured.unwrap_or_else(|| Costs::of(self.folder));
        let choices = Choices::of(sweep, self.folder)?;
        Ok(describe(sweep, &choices, self.folder, &costs, jobs, threads) + &self.said_of_changed(sweep, threads))
    }

    fn jobs_and_threads(&self, sweep: &Sweep) -> Result<(usize, usize)> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let devices: BTreeSet<&str> = sweep.members.iter().map(|m| m.manifest.backend.device.as_str()).collect();
        // `auto` may be a GPU, which members would share.
        let is_cpu = |device: &&str| *device == "cpu" || device::open(device).is_ok_and(|found| found.name == "cpu");
        let most = if devices.iter().all(is_cpu) { cores } else { 1 };
        let jobs = self.jobs.unwrap_or_else(|| most.min(sweep.members.len())).max(1);
        let before = Plan::read(self.folder)?.map(|plan| plan.threads);
        let threads = self.threads.or(before).unwrap_or_else(|| cores / jobs).max(1);
        Ok((jobs, threads))
    }

    /// Writes the manifest of a member to its folder, without passwords.
    pub(super) fn write_member(&self, member: &Member) -> Result<PathBuf> {
        let folder = member_folder(self.folder, &member.id);
        storage::own_folder(&folder)?;
        let mut manifest = member.manifest.without_password();
        let runs = self.folder.join("runs");
        manifest.output.runs = std::path::absolute(&runs).unwrap_or(runs);
        let file = folder.join("manifest.toml");
        storage::write(&file, to_toml(&manifest)?.as_bytes())?;
        Ok(folder)
    }
}
