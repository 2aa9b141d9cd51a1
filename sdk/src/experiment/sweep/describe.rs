//! What a sweep will take, for a reader.

use super::choice::{Choices, Fate};
use super::plan::{State, finished_run, member_folder};
use super::{Costs, Member, Sweep};
use crate::error::counted;
use std::collections::BTreeSet;
use std::path::Path;

/// A line a member, and what all of them take.
pub(super) fn describe(
    sweep: &Sweep,
    choices: &Choices,
    folder: &Path,
    costs: &Costs,
    jobs: usize,
    threads: usize,
) -> String {
    let width = sweep.members.iter().map(|m| m.on_patients().chars().count()).max().unwrap_or(0).max(6);
    let mut text = format!("{:12}  {:width$}  {:>6}  {:>6}  {:>8}  state\n", "member", "row", "seed", "epochs", "time");
    let mut trained = BTreeSet::new();
    let (mut remaining, mut unknown) = (0.0, 0);
    for member in &sweep.members {
        let seconds = costs.of_member(member, |key| trained.contains(key));
        let (state, counts) = (state_of(member, choices, folder), choices.counts(sweep, member));
        if counts {
            trained.extend(member.stage_keys().iter().map(String::as_str));
        }
        match (state, seconds) {
            (COMPLETE, _) => {}
            _ if !counts => {}
            (_, Some(seconds)) => remaining += seconds,
            (_, None) => unknown += 1,
        }
        let time = seconds.map_or("?".to_owned(), duration);
        let (id, name, seed, epochs) = (&member.id, member.on_patients(), member.seed, member.epochs());
        text += &format!("{id:12}  {name:width$}  {seed:>6}  {epochs:>6}  {time:>8}  {state}\n");
    }
    text += &shared(sweep);
    let train = choices.to_train(sweep).count();
    if train < sweep.members.len() {
        text += &format!("{train} of them train: the others only where their setting is chosen\n");
    }
    text += &(at_once(jobs, threads) + "\n");
    text += &match unknown {
        0 => format!("expected time: {}, by the epochs of complete members\n", duration(remaining / jobs as f64)),
        _ => "expected time: unknown until one member of each kind is complete; `--measure` trains one epoch of each \
              stage to find out\n"
            .to_owned(),
    };
    if sweep.members.iter().any(|member| member.embeddings > 0) {
        text += "vectors that are trained first are not in these times\n";
    }
    sweep.notes.iter().for_each(|note| text += &format!("{note}\n"));
    text
}

/// How many members train at once, and with how many threads.
pub(super) fn at_once(jobs: usize, threads: usize) -> String {
    match threads {
        1 => format!("at most {jobs} at once, 1 thread each"),
        _ => format!("at most {jobs} at once, {threads} threads each"),
    }
}

const COMPLETE: &str = "complete";

fn state_of(member: &Member, choices: &Choices, folder: &Path) -> &'static str {
    if finished_run(folder, &member.id).is_some() {
        return COMPLETE;
    }
    let failed = matches!(State::read(&member_folder(folder, &member.id)), Some(State::Failed { .. }));
    match (choices.fate(member), failed) {
        (Fate::Trains, false) => "to run",
        (Fate::Trains, true) => "failed, to be tried again",
        (Fate::IfChosen, false) => "if chosen",
        (Fate::IfChosen, true) => "failed, to be tried again if chosen",
        (Fate::NotChosen, _) => "not chosen",
    }
}

/// How many stages there are, and how many of them are trained once for several members.
fn shared(sweep: &Sweep) -> String {
    let (all, trained) = sweep.trainings();
    let shared = match all - trained {
        0 => ", none of them shared".to_owned(),
        n => format!("; {n} of them are shared and come from the cache"),
    };
    format!("\n{}, {}{shared}\n", counted(sweep.members.len(), "member"), counted(all, "stage"))
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

#[cfg(test)]
mod tests {
    use super::at_once;

    #[test]
    fn one_thread_is_no_threads() {
        assert_eq!(
            [at_once(2, 1), at_once(1, 4)],
            ["at most 2 at once, 1 thread each", "at most 1 at once, 4 threads each"]
        );
    }
}
