//! What every run has beside what it learnt: its folder, what it ran on and with, and what is known of its data.

use super::components::sdk;
use super::identity::Identity;
use super::made::keep_manifests;
use super::outcome::Outcome;
use super::plan::Plan;
use super::report::Contents;
use super::run_dir::RunDir;
use crate::Result;
use crate::data::Dataset;
use crate::model::{Model, parameters};
use crate::plugin::{LockedPlugin, PluginsLock};
use serde_json::{Value, json};

/// A new folder for a run.
pub(super) fn create_run(plan: &Plan, identity: &Identity) -> Result<RunDir> {
    let output = &plan.manifest.output;
    let run = RunDir::create(&output.runs, &plan.manifest.name, identity, &plan.text()?, output.access)?;
    keep_manifests(plan, &run)?;
    Ok(run)
}

/// A run that goes on says of itself what it goes on with.
pub(super) fn taken_over(plan: &Plan, identity: &Identity, run: RunDir) -> Result<RunDir> {
    run.go_on(identity, &plan.text()?)?;
    keep_manifests(plan, &run)?;
    Ok(run)
}

/// What a run ran on and with: `environment.json`, which is returned, and `plugins.lock`.
pub(super) fn write_environment(run: &RunDir, plan: &Plan) -> Result<Value> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let environment = json!({ "sdk": sdk(), "device": plan.device.name, "threads": threads });
    run.write_json("environment.json", &environment)?;
    run.write("plugins.lock", PluginsLock::text(locked(plan))?.as_bytes())?;
    Ok(environment)
}

fn locked(plan: &Plan) -> Vec<LockedPlugin> {
    plan.registry.plugins().iter().map(LockedPlugin::from).collect()
}

/// What the page of a run says, but for its training and the table of its test patients.
pub(super) fn contents(plan: &Plan, data: &Dataset, environment: Value, outcome: Outcome) -> Result<Contents> {
    Ok(Contents {
        outcome,
        manifest: plan.table()?,
        flow: data.cohort.flow.clone(),
        environment,
        plugins: locked(plan),
        history: Vec::new(),
        changes: Vec::new(),
        fingerprint: None,
        compared: None,
    })
}

/// What is known of the data: its sizes, what was left out, and the vocabulary with the names of codes.
pub(super) fn write_data(run: &RunDir, data: &Dataset) -> Result<()> {
    run.write_json("summary.json", &data.summary())?;
    run.write_json("vocabulary.json", &data.names())
}

/// The number of parameters of a model.
pub(super) fn count_parameters(model: &Model) -> usize {
    parameters(model).iter().map(|p| p.shape.iter().product::<usize>()).sum()
}
