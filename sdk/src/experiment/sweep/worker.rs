//! A member of a sweep at work, in a process of its own.

use super::member::{self, Position};
use super::plan::State;
use super::queue::Running;
use super::{Member, SweepRun};
use crate::experiment::tracking::ADDRESS;
use crate::{Error, Result, memory, storage};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Instant;

/// A member at work.
pub(super) struct Worker<'a> {
    pub member: &'a Member,
    pub folder: PathBuf,
    pub child: Child,
    /// Bytes that its member is expected to hold, where that is known.
    expected: Option<u64>,
    start: Instant,
    position: Position,
    pub peak: Option<u64>,
    /// Epochs that were told of.
    pub epochs: usize,
}

impl<'a> Worker<'a> {
    /// Starts the process of a member.
    pub fn start(run: &SweepRun<'_>, member: &'a Member, threads: usize, expected: Option<u64>) -> Result<Self> {
        let folder = run.write_member(member)?;
        member::forget(&folder)?;
        State::forget(&folder)?;
        let log = folder.join("log.txt");
        let out = storage::blank(&log)?;
        let errors = out.try_clone().map_err(|e| Error::io("write", &log, e))?;
        let child = (run.launch)(&folder)
            .env("RAYON_NUM_THREADS", threads.to_string())
            .envs(member.manifest.output.mlflow.iter().map(|address| (ADDRESS, address)))
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(errors)
            .spawn()
            .map_err(|e| Error::user(format!("cannot start a member: {e}")).because(e))?;
        let position = Position::default();
        Ok(Self { member, folder, child, expected, start: Instant::now(), position, peak: None, epochs: 0 })
    }

    /// Looks how far it is.
    pub fn look(&mut self) {
        self.position = member::position(&self.folder);
        self.peak = self.peak.max(memory::peak_of(self.child.id()));
    }

    pub fn as_running(&self) -> Running<'_> {
        let complete = if self.position.begun { self.member.embeddings + self.position.stages } else { 0 };
        Running {
            keys: &self.member.keys,
            complete,
            bytes: memory::held_by(self.child.id()),
            expected: self.expected,
            trains: self.position.stages > 0 || self.position.epochs > 0,
        }
    }

    pub fn epochs_done(&self) -> usize {
        let before: usize = self.member.stages.iter().take(self.position.stages).map(|(_, epochs)| epochs).sum();
        before + self.position.epochs
    }

    pub fn title(&self) -> String {
        format!("{} {}", self.member.title(), self.position.doing)
    }

    /// How it ended.
    pub fn state(&self, sweep: &Path, code: Option<i32>) -> State {
        let absolute = std::path::absolute(sweep).unwrap_or_else(|_| sweep.to_owned());
        match (&self.position.run, code) {
            (Some(run), Some(0)) => State::Finished {
                run: run.strip_prefix(&absolute).unwrap_or(run).to_owned(),
                seconds: self.start.elapsed().as_secs_f64(),
                peak_bytes: self.peak,
            },
            _ => State::Failed { error: ended(code, &last_error(&self.folder.join("log.txt"))), code },
        }
    }
}

/// What is said of a member that failed, whose log ends with `said`.
fn ended(code: Option<i32>, said: &str) -> String {
    match code {
        Some(_) => said.to_owned(),
        // The log of a process that a signal ends knows nothing of it.
        None => format!("it was killed, as the system does where memory runs out; its log ends with:\n{said}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_was_killed_is_said_to_be() {
        let said = ended(None, "1-lab epoch 7: loss 0.1");
        assert!(said.lines().next().unwrap().contains("it was killed") && said.ends_with("loss 0.1"), "{said}");
        assert_eq!(ended(Some(2), "error: no"), "error: no");
    }
}
