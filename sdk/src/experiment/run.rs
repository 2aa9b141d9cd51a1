//! Running a plan: the dataset, the stages, and the folder with their results.

use super::checkpoint::{Checkpoint, Inside};
use super::dataset::dataset;
use super::fingerprint::Fingerprint;
use super::identity::Identity;
use super::inputs::identity;
use super::made::is_begun;
use super::outcome::Outcome;
use super::plan::Plan;
use super::records::{create_run, taken_over};
use super::run_dir::RunDir;
use super::stop::Stop;
use super::underway::Underway;
use crate::boundary::guard;
use crate::cache::Cache;
use crate::{Error, Progress, Result};

/// Prepares the data, trains all stages and tests; with `resume` from the last checkpoint of a run of the same identity.
pub(super) fn run(
    plan: &Plan,
    cache: Option<&Cache>,
    stop: &Stop,
    resume: bool,
    progress: &dyn Progress,
) -> Result<(Outcome, RunDir)> {
    check_trainable(plan)?;
    plan.check_embeddings()?;
    let planned = identity(plan)?;
    let data = dataset(plan, cache, progress)?;
    check_unchanged(plan, &planned)?;
    let fingerprint = Fingerprint::of(&data);
    let identity = planned.with_prepared(fingerprint.prepared());
    let (left, checkpoint) = left(plan, &identity, resume, progress);
    let run = match left {
        Some(run) => taken_over(plan, &identity, run)?,
        None => create_run(plan, &identity)?,
    };
    let listening = stop.listen();
    let trained = guard::catch(|| {
        let data = (&data, fingerprint);
        let underway = Underway::open(plan, cache, stop, &run, checkpoint.as_ref(), data, progress)?;
        underway.train(checkpoint)
    });
    drop(listening);
    match trained {
        Ok(outcome) => Ok((outcome, run.finish()?)),
        Err(error) => Err(run.end_with(error, stop.command())),
    }
}

/// Refuses a plan that says nothing of training.
fn check_trainable(plan: &Plan) -> Result<()> {
    if plan.manifest.stage.is_empty() {
        return Err(Error::user("the manifest has no [[stage]]").help("`dualk prepare` needs none; `dualk run` does"));
    }
    if plan.manifest.evaluate_only {
        return Err(Error::user("this manifest describes imported weights, and not how they were trained")
            .at_key("evaluate_only")
            .help("`dualk eval RUN` evaluates them; to train, start from experiments/mimic4.toml"));
    }
    Ok(())
}

/// What the name and the record of the run say was read is what was read.
fn check_unchanged(plan: &Plan, before: &Identity) -> Result<()> {
    match before.differences(&identity(plan)?).first() {
        None => Ok(()),
        Some(what) => Err(Error::user(format!("a file changed while it was read: {what}"))
            .help("wait until whatever writes it is done, and begin again")),
    }
}

/// The run to go on with and its last whole checkpoint, said in one line.
fn left(
    plan: &Plan,
    identity: &Identity,
    resume: bool,
    progress: &dyn Progress,
) -> (Option<RunDir>, Option<Checkpoint>) {
    let output = &plan.manifest.output;
    let Some(run) = RunDir::unfinished(&output.runs, &plan.manifest.name, identity, output.access, progress) else {
        if resume {
            let why = RunDir::why_none_is_left(&output.runs, &plan.manifest.name, identity);
            progress.line(&format!("{why}: starting anew"));
        }
        return (None, None);
    };
    let folder = run.path().display().to_string();
    if !resume {
        progress.line(&format!("starting anew; --resume would go on with {folder}"));
        return (None, None);
    }
    match Checkpoint::last(&run, |line| progress.line(&line)) {
        Some(checkpoint) => {
            progress.line(&format!("going on with {folder}: {}", place_of(plan, &checkpoint)));
            (Some(run), Some(checkpoint))
        }
        None if is_begun(&run) => {
            progress.line(&format!("going on with {folder}: its vectors"));
            (Some(run), None)
        }
        None => {
            progress.line(&format!("no checkpoint in {folder} is whole: starting anew"));
            (None, None)
        }
    }
}

/// Where in the stages a checkpoint was written.
fn place_of(plan: &Plan, checkpoint: &Checkpoint) -> String {
    let state = &checkpoint.state;
    let stage = plan.manifest.stage[state.stage].name(state.stage);
    match &state.inside {
        Some(Inside { position, .. }) => {
            format!("stage {stage}, epoch {}, step {}", position.epoch + 1, position.step + 1)
        }
        None => format!("stage {stage}, its end"),
    }
}
