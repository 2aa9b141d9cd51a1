//! Training the members of a sweep, several at once, each in a process of its own.

use super::member::{self, Position};
use super::memory::{Expected, free_bytes, memory_of};
use super::plan::{Plan, State, finished_run, lock, member_folder};
use super::queue::{Room, Running, next};
use super::{Costs, Member, Sweep};
use crate::experiment::plan::to_toml;
use crate::experiment::stop::Stop;
use crate::progress::Task;
use crate::{Error, Progress, Result, storage};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(150);

/// How a sweep runs.
pub struct SweepRun<'a> {
    /// The sweep's folder.
    pub folder: &'a Path,
    /// Its manifest, for the record.
    pub manifest: &'a Path,
    /// Most members at once; as many as there are cores, or one on a GPU, when absent.
    pub jobs: Option<usize>,
    /// Threads of each member; when absent those of the last time, else the cores divided among the members at once.
    pub threads: Option<usize>,
    /// End at the first failure.
    pub fail_fast: bool,
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
    /// Of these, those of earlier times.
    pub before: usize,
    /// Members that failed: title, last lines of the log, and where it is.
    pub failed: Vec<(String, String, PathBuf)>,
    /// Members that were not tried.
    pub left: usize,
    /// The exit code for the failures: 2 when all are the user's.
    pub code: u8,
}

/// A member at work.
struct Worker<'a> {
    member: &'a Member,
    folder: PathBuf,
    child: Child,
    /// What it will hold, where that is known.
    expected: Option<u64>,
    start: Instant,
    position: Position,
    peak: Option<u64>,
    epochs: usize,
}

impl SweepRun<'_> {
    /// Trains every member that is not complete yet.
    ///
    /// # Errors
    /// When the folder cannot be written, another sweep is at work in it, or it is asked to stop. A failed member is no
    /// error of the sweep.
    pub fn run(&self, sweep: &Sweep) -> Result<Finished> {
        let lock = lock(self.folder)?;
        let listening = self.stop.listen();
        let (jobs, threads) = self.jobs_and_threads(sweep)?;
        Plan::of(sweep, self.manifest, threads).write(self.folder)?;
        let mut done = Finished::default();
        let mut waiting: VecDeque<&Member> = VecDeque::new();
        for member in &sweep.members {
            match finished_run(self.folder, &member.id) {
                Some(_) => done.before += 1,
                None => waiting.push_back(member),
            }
        }
        done.complete = done.before;
        if done.before > 0 {
            self.progress.line(&format!("{} of {} members are complete already", done.before, sweep.members.len()));
        }
        self.progress.line(&format!("at most {jobs} at once, {threads} threads each"));
        let (complete, ahead): (Vec<&Member>, Vec<&Member>) =
            sweep.members.iter().partition(|m| waiting.iter().all(|w| w.id != m.id));
        let expected = self.expected(&complete, &ahead, jobs, threads)?;
        let total: usize = waiting.iter().map(|m| m.epochs()).sum();
        let mut task = self.progress.begin(&format!("sweep {}", sweep.name), "epochs", Some(total as u64));
        let mut workers: Vec<Worker<'_>> = Vec::new();
        let mut peak = None;
        let outcome = loop {
            if let Err(e) = self.look_at(&mut workers, &mut done, &mut peak, task.as_mut()) {
                break Err(e);
            }
            if self.fail_fast && !done.failed.is_empty() {
                break Ok(());
            }
            if let Some(signal) = self.stop.requested() {
                // Their standard input closes: they save a checkpoint and end.
                workers.iter_mut().for_each(|worker| drop(worker.child.stdin.take()));
                if workers.is_empty() {
                    break Err(self.stopped(signal, waiting.len() + done.left));
                }
                task.message(&format!("waiting for {} members to save", workers.len()));
                std::thread::sleep(PAUSE);
                continue;
            }
            if let Some(member) = self.to_start(&waiting, &workers, jobs, peak, &expected) {
                let Some(member) = waiting.remove(member) else { continue };
                match self.start(member, threads, expected.of(member)) {
                    Ok(worker) => workers.push(worker),
                    Err(e) => break Err(e),
                }
                continue;
            }
            if workers.is_empty() && waiting.is_empty() {
                break Ok(());
            }
            let titles: Vec<String> = workers.iter().map(Worker::title).collect();
            task.message(&format!("{}/{} members · {}", done.complete, sweep.members.len(), titles.join(" · ")));
            std::thread::sleep(PAUSE);
        };
        for worker in &mut workers {
            let _ = worker.child.kill(); // it may have ended by itself
            let _ = worker.child.wait();
        }
        task.finish("");
        drop((listening, lock));
        outcome?;
        done.left += waiting.len() + workers.len();
        Ok(done)
    }

    /// The place in the queue of the member that starts now, if any.
    fn to_start(
        &self,
        waiting: &VecDeque<&Member>,
        workers: &[Worker<'_>],
        jobs: usize,
        peak: Option<u64>,
        expected: &Expected,
    ) -> Option<usize> {
        let running: Vec<Running<'_>> = workers.iter().map(Worker::as_running).collect();
        let place = next(waiting.iter().map(|m| m.keys.as_slice()), &running)?;
        let room = Room { jobs, free: free_bytes(), peak };
        room.fits(&running, expected.of(waiting.get(place)?)).then_some(place)
    }

    /// The end of a sweep that was asked to stop.
    fn stopped(&self, signal: u8, left: usize) -> Error {
        Error::stopped(signal, format!("stopped: {left} members are not complete"))
            .help("the same command goes on from their checkpoints")
    }

    /// Trains one epoch of each stage of each row, one after the other, to know how long they take.
    ///
    /// # Errors
    /// When a row cannot be trained.
    pub fn measure(&self, sweep: &Sweep) -> Result<Costs> {
        let (_, threads) = self.jobs_and_threads(sweep)?;
        let folder = tempfile::tempdir().map_err(|e| Error::io("create a folder in", std::env::temp_dir(), e))?;
        let mut costs = Costs::of(self.folder);
        let rows = sweep.rows();
        let mut task = self.progress.begin("measuring", "rows", Some(rows.len() as u64));
        for row in rows {
            let Some(member) = sweep.members.iter().find(|m| m.name == row) else { continue };
            let mut short = member.clone();
            short.manifest.output.cache = None;
            short.manifest.stage.iter_mut().for_each(|stage| stage.epochs = Some(1));
            let trial = SweepRun { folder: folder.path(), stop: self.stop.clone(), ..*self };
            let mut worker = trial.start(&short, threads, None)?;
            let status = worker.child.wait().map_err(|e| Error::program(format!("cannot wait for a member: {e}")))?;
            worker.look();
            match worker.state(folder.path(), status.code()) {
                State::Finished { run, .. } => costs.add(&row, &folder.path().join(run)),
                State::Failed { error, .. } => return Err(Error::user(format!("{row} cannot be trained: {error}"))),
            }
            task.advance(1);
        }
        task.finish("");
        Ok(costs)
    }

    /// What the members will take, a line each, without running any.
    pub fn describe(&self, sweep: &Sweep, measured: Option<Costs>) -> Result<String> {
        let (jobs, threads) = self.jobs_and_threads(sweep)?;
        let costs = measured.unwrap_or_else(|| Costs::of(self.folder));
        let mut text = String::new();
        let width = sweep.members.iter().map(|m| m.name.chars().count()).max().unwrap_or(0).max(6);
        text += &format!("{:12}  {:width$}  {:>6}  {:>6}  {:>8}  state\n", "member", "row", "seed", "epochs", "time");
        let mut trained = std::collections::BTreeSet::new();
        let (mut ahead, mut unknown) = (0.0, 0);
        for member in &sweep.members {
            let complete = finished_run(self.folder, &member.id).is_some();
            let seconds = costs.of_member(member, |key| trained.contains(key));
            trained.extend(member.keys.iter().map(String::as_str));
            let state = match (complete, State::read(&member_folder(self.folder, &member.id))) {
                (true, _) => "complete",
                (false, Some(State::Failed { .. })) => "failed, to be tried again",
                (false, _) => "to run",
            };
            match (complete, seconds) {
                (true, _) => {}
                (false, Some(seconds)) => ahead += seconds,
                (false, None) => unknown += 1,
            }
            let time = seconds.map_or("?".to_owned(), duration);
            text += &format!(
                "{:12}  {:width$}  {:>6}  {:>6}  {time:>8}  {state}\n",
                member.id,
                member.name,
                member.seed,
                member.epochs()
            );
        }
        let (all, shared) = sweep.trainings();
        text += &format!("\n{} members, {all} stages", sweep.members.len());
        text += &match all - shared {
            0 => ", none of them shared\n".to_owned(),
            n => format!("; {n} of them are shared and come from the cache\n"),
        };
        text += &format!("at most {jobs} at once, {threads} threads each\n");
        text += &match unknown {
            0 => format!("expected time: {}, by the epochs of complete members\n", duration(ahead / jobs as f64)),
            _ => "expected time: unknown until one member of each kind is complete; `--measure` trains one epoch of each \
                  stage to find out\n"
                .to_owned(),
        };
        sweep.notes.iter().for_each(|note| text += &format!("{note}\n"));
        Ok(text)
    }

    fn jobs_and_threads(&self, sweep: &Sweep) -> Result<(usize, usize)> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let on_cpu = |m: &Member| matches!(m.manifest.backend.device.as_str(), "cpu" | "auto");
        let most = if sweep.members.iter().all(on_cpu) { cores } else { 1 };
        let jobs = self.jobs.unwrap_or_else(|| most.min(sweep.members.len())).max(1);
        let before = Plan::read(self.folder)?.map(|plan| plan.threads);
        let threads = self.threads.or(before).unwrap_or_else(|| cores / jobs).max(1);
        Ok((jobs, threads))
    }

    /// Writes the manifest of a member to its folder.
    pub(super) fn write_member(&self, member: &Member) -> Result<PathBuf> {
        let folder = member_folder(self.folder, &member.id);
        storage::own_folder(&folder)?;
        let mut manifest = member.manifest.clone();
        let runs = self.folder.join("runs");
        manifest.output.runs = std::path::absolute(&runs).unwrap_or(runs);
        let file = folder.join("manifest.toml");
        storage::write(&file, to_toml(&manifest)?.as_bytes())?;
        Ok(folder)
    }

    fn start<'a>(&self, member: &'a Member, threads: usize, expected: Option<u64>) -> Result<Worker<'a>> {
        let folder = self.write_member(member)?;
        member::forget(&folder);
        State::forget(&folder);
        let log = folder.join("log.txt");
        let out = File::create(&log).map_err(|e| Error::io("write", &log, e))?;
        let errors = out.try_clone().map_err(|e| Error::io("write", &log, e))?;
        let child = (self.launch)(&folder)
            .env("RAYON_NUM_THREADS", threads.to_string())
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(errors)
            .spawn()
            .map_err(|e| Error::user(format!("cannot start a member: {e}")).because(e))?;
        let position = Position::default();
        Ok(Worker { member, folder, child, expected, start: Instant::now(), position, peak: None, epochs: 0 })
    }

    /// Looks how far the members are, and takes those out that have ended.
    fn look_at(
        &self,
        workers: &mut Vec<Worker<'_>>,
        done: &mut Finished,
        peak: &mut Option<u64>,
        task: &mut dyn Task,
    ) -> Result<()> {
        let mut place = 0;
        while let Some(worker) = workers.get_mut(place) {
            worker.look();
            *peak = (*peak).max(worker.peak);
            let ended = worker.child.try_wait();
            let ended = ended.map_err(|e| Error::program(format!("cannot wait for a member: {e}")))?;
            let epochs = if ended.is_some() { worker.member.epochs() } else { worker.epochs_done() };
            task.advance(epochs.saturating_sub(worker.epochs) as u64);
            worker.epochs = worker.epochs.max(epochs);
            let Some(status) = ended else {
                place += 1;
                continue;
            };
            let mut worker = workers.remove(place);
            worker.look();
            if !status.success() && self.stop.requested().is_some() {
                done.left += 1; // it was asked to
                continue;
            }
            let state = worker.state(self.folder, status.code());
            state.write(&worker.folder)?;
            let title = worker.member.title();
            match &state {
                State::Finished { seconds, .. } => {
                    done.complete += 1;
                    self.progress.line(&format!("{title}: {}", duration(*seconds)));
                }
                State::Failed { error, code } => {
                    let user = *code == Some(2) && (done.failed.is_empty() || done.code == 2);
                    done.code = if user { 2 } else { 1 };
                    let first = error.lines().next().unwrap_or_default();
                    self.progress.line(&format!("{title}: FAILED: {first}"));
                    done.failed.push((title, error.clone(), worker.folder.join("log.txt")));
                }
            }
        }
        Ok(())
    }
}

impl Worker<'_> {
    fn look(&mut self) {
        self.position = member::position(&self.folder);
        self.peak = self.peak.max(memory_of(self.child.id(), "VmHWM:"));
    }

    fn as_running(&self) -> Running<'_> {
        Running {
            keys: &self.member.keys,
            complete: self.position.stages,
            bytes: memory_of(self.child.id(), "VmRSS:"),
            expected: self.expected,
            trains: self.position.stages > 0 || self.position.epochs > 0,
        }
    }

    fn epochs_done(&self) -> usize {
        let before: usize = self.member.stages.iter().take(self.position.stages).map(|(_, epochs)| epochs).sum();
        before + self.position.epochs
    }

    fn title(&self) -> String {
        format!("{} {}", self.member.title(), self.position.doing)
    }

    fn state(&self, sweep: &Path, code: Option<i32>) -> State {
        let absolute = std::path::absolute(sweep).unwrap_or_else(|_| sweep.to_owned());
        match (&self.position.run, code) {
            (Some(run), Some(0)) => State::Finished {
                run: run.strip_prefix(&absolute).unwrap_or(run).to_owned(),
                seconds: self.start.elapsed().as_secs_f64(),
                peak_bytes: self.peak,
            },
            _ => State::Failed { error: last_error(&self.folder.join("log.txt")), code },
        }
    }
}

/// The error that a log ends with.
fn last_error(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.iter().rposition(|line| line.starts_with("error: ")).unwrap_or(lines.len().saturating_sub(3));
    match lines.get(from..).map(|lines| lines.join("\n")) {
        Some(text) if !text.is_empty() => text,
        _ => "it ended without a word".to_owned(),
    }
}

/// Seconds for a reader.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..=99 => format!("{seconds:.0} s"),
        100..=5999 => format!("{} min", (seconds / 60.0).round()),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}
