//! The members of a sweep that are waiting and at work.

use super::choice::{Choices, Fate, cannot_choose};
use super::describe::duration;
use super::memory::{Expected, free_bytes};
use super::plan::State;
use super::queue::{Room, Running, next};
use super::worker::Worker;
use super::{Finished, Member, Sweep, SweepRun};
use crate::error::are;
use crate::experiment::stop::name_of;
use crate::progress::Task;
use crate::{Error, Result};
use std::collections::VecDeque;
use std::time::Duration;

/// Between two looks at the members.
pub(super) const PAUSE: Duration = Duration::from_millis(150);

/// How much is at work at once.
pub(super) struct Limits {
    pub jobs: usize,
    /// Threads of each member.
    pub threads: usize,
    /// What members will hold.
    pub expected: Expected,
}

/// A sweep in progress. Members that are at work when it ends are killed.
pub(super) struct Work<'a> {
    run: &'a SweepRun<'a>,
    sweep: &'a Sweep,
    limits: Limits,
    waiting: VecDeque<&'a Member>,
    /// Those whose row has not chosen its setting yet.
    undecided: Vec<&'a Member>,
    choices: Choices,
    workers: Vec<Worker<'a>>,
    done: Finished,
    /// Most memory of a member so far.
    peak: Option<u64>,
    task: Box<dyn Task + 'a>,
}

impl<'a> Work<'a> {
    pub fn new(
        run: &'a SweepRun<'a>,
        sweep: &'a Sweep,
        choices: Choices,
        complete: usize,
        remaining: Vec<&'a Member>,
        limits: Limits,
    ) -> Self {
        let total: usize = remaining.iter().filter(|m| choices.counts(sweep, m)).map(|m| m.epochs()).sum();
        let task = run.progress.begin(&format!("sweep {}", sweep.name), "epochs", Some(total as u64));
        let done = Finished { before: complete, complete, ..Finished::default() };
        let (undecided, waiting): (Vec<&Member>, Vec<&Member>) =
            remaining.into_iter().partition(|m| choices.fate(m) == Fate::IfChosen);
        let waiting = VecDeque::from(waiting);
        let (workers, peak) = (Vec::new(), None);
        Self { run, sweep, limits, waiting, undecided, choices, workers, done, peak, task }
    }

    /// Trains what is waiting.
    pub fn run(mut self) -> Result<Finished> {
        while self.turn()? {}
        self.done.left += self.left() + self.workers.len();
        Ok(std::mem::take(&mut self.done))
    }

    /// Members that have not begun, with those that will train once their rows have chosen.
    fn left(&self) -> usize {
        self.waiting.len() + self.undecided.iter().filter(|m| self.choices.counts(self.sweep, m)).count()
    }

    /// Looks at the members and does what is to be done; false when nothing is left.
    fn turn(&mut self) -> Result<bool> {
        self.look()?;
        if self.run.fail_fast && !self.done.failed.is_empty() {
            return Ok(false);
        }
        if let Some(signal) = self.run.stop.requested() {
            return self.stop(signal).map(|()| true);
        }
        if let Some(member) = self.to_start().and_then(|place| self.waiting.remove(place)) {
            let expected = self.limits.expected.of(member);
            self.workers.push(Worker::start(self.run, member, self.limits.threads, expected)?);
            return Ok(true);
        }
        let titles: Vec<String> = self.workers.iter().map(Worker::title).collect();
        let (complete, all) = (self.done.complete, self.choices.to_train(self.sweep).count());
        self.task.message(&format!("{complete}/{all} members · {}", titles.join(" · ")));
        if self.workers.is_empty() && self.waiting.is_empty() {
            return Ok(false);
        }
        std::thread::sleep(PAUSE);
        Ok(true)
    }

    /// Lets the members save what they need to go on.
    fn stop(&mut self, signal: u8) -> Result<()> {
        // Their standard input closes: they save a checkpoint and end.
        self.workers.iter_mut().for_each(|worker| drop(worker.child.stdin.take()));
        if self.workers.is_empty() {
            let left = self.left() + self.done.left;
            let message = format!("stopped by {}: {} not complete", name_of(signal), are(left, "member"));
            let command = self.run.stop.command().map_or(String::new(), |command| format!(": {command}"));
            return Err(Error::stopped(signal, message)
                .help(format!(
                    "checkpoints of those that trained are saved in {}",
                    self.run.folder.join("runs").display()
                ))
                .help(format!("the same command goes on from their checkpoints{command}")));
        }
        self.task.message(&format!("waiting for {} members to save", self.workers.len()));
        std::thread::sleep(PAUSE);
        Ok(())
    }

    /// The place in the queue of the member that starts now, if any.
    fn to_start(&self) -> Option<usize> {
        let running: Vec<Running<'_>> = self.workers.iter().map(Worker::as_running).collect();
        let place = next(self.waiting.iter().map(|m| m.keys.as_slice()), &running)?;
        let room = Room { jobs: self.limits.jobs, free: free_bytes(), peak: self.peak };
        room.fits(&running, self.limits.expected.of(self.waiting.get(place)?)).then_some(place)
    }

    /// Looks how far the members are, and takes those out that have ended.
    fn look(&mut self) -> Result<()> {
        let mut place = 0;
        while let Some(worker) = self.workers.get_mut(place) {
            worker.look();
            self.peak = self.peak.max(worker.peak);
            let ended = worker.child.try_wait();
            let ended = ended.map_err(|e| Error::program(format!("cannot wait for a member: {e}")))?;
            let epochs = if ended.is_some() { worker.member.epochs() } else { worker.epochs_done() };
            self.task.advance(epochs.saturating_sub(worker.epochs) as u64);
            worker.epochs = worker.epochs.max(epochs);
            match ended {
                None => place += 1,
                Some(status) => {
                    let worker = self.workers.remove(place);
                    self.take_out(worker, status.success(), status.code())?;
                }
            }
        }
        Ok(())
    }

    /// Records how a member ended.
    fn take_out(&mut self, mut worker: Worker<'_>, success: bool, code: Option<i32>) -> Result<()> {
        worker.look();
        if !success && self.run.stop.requested().is_some() {
            self.done.left += 1; // it was asked to
            return Ok(());
        }
        let state = worker.state(self.run.folder, code);
        state.write(&worker.folder)?;
        let title = worker.member.title();
        match state {
            State::Finished { seconds, .. } => {
                self.done.complete += 1;
                self.run.progress.line(&format!("{title}: {}", duration(seconds)));
                self.choose(worker.member);
            }
            State::Failed { error, code } => {
                let user = code == Some(2) && (self.done.failed.is_empty() || self.done.code == 2);
                self.done.code = if user { 2 } else { 1 };
                let first = error.lines().next().unwrap_or_default();
                self.run.progress.line(&format!("{title}: FAILED: {first}"));
                self.done.failed.push((title, error, worker.folder.join("log.txt")));
            }
        }
        Ok(())
    }
}

impl<'a> Work<'a> {
    /// Lets those train that the row of a complete member waited for, if it can choose its setting now. One that cannot choose
    /// stops no other; the table of the sweep has the same error.
    fn choose(&mut self, member: &Member) {
        let row = member.name.as_str();
        match self.choices.look(self.sweep, self.run.folder, row) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                self.run.progress.line(&cannot_choose(row, &error));
                return;
            }
        }
        // With those of earlier times whose setting this is, and without others.
        self.done.complete = self.choices.complete(self.sweep, self.run.folder);
        let setting = self.choices.of_row(row).unwrap_or_default();
        self.run.progress.line(&format!("{row}: {setting} is best on valid, and trains with the other seeds"));
        let (decided, undecided): (Vec<&'a Member>, Vec<&'a Member>) =
            self.undecided.iter().partition(|m| m.name == row);
        self.undecided = undecided;
        self.waiting.extend(decided.into_iter().filter(|m| self.choices.fate(m) == Fate::Trains));
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.child.kill(); // it may have ended by itself
            let _ = worker.child.wait();
        }
    }
}
