//! A copy of a run that can be shown to others.

use super::embedding::VECTORS;
use super::few::leave_out_few;
use super::identity::Identity;
use super::manifest::names_triples;
use super::outcome::Outcome;
use super::report::Contents;
use super::run_dir::{METRICS, RunDir};
use crate::plugin::PluginsLock;
use crate::storage::{self, Access};
use crate::{Error, Result};
use serde_json::{Value, json};
use std::fmt::Display;
use std::fs;
use std::path::Path;
use toml::Table;

/// Copies results, curves and settings of a finished run to the folder `out`: without weights (unless `with_weights`),
/// logs, measures by patient and of few patients, fingerprints of data files and the folders of this machine, of whose paths
/// the last part remains. Nothing else that a run writes names patients, admissions or values of theirs; the settings and the number of
/// patients remain. Runs of knowledge graphs have no report.
///
/// # Errors
/// When the run is not finished, there is something at `out`, or a file cannot be read or written.
pub fn scrub(run: &RunDir, out: &Path, with_weights: bool) -> Result<()> {
    check_absent(out)?;
    let shared = Shared::of(run)?;
    let files = shared.files(run)?;
    storage::checked_folder(out, Access::Private, check_absent, |new| {
        files.iter().try_for_each(|(name, text)| storage::write(&new.join(name), text.as_bytes()))?;
        if let Some(contents) = shared.contents() {
            contents.compared(&RunDir::at(new), None).write(&RunDir::at(new))?;
        }
        match with_weights {
            true => copy_weights(run, new),
            false => Ok(()),
        }
    })
}

/// Whether what is in a folder is a copy by [`scrub`]: what it was made from is there, without the manifest.
pub fn is_scrubbed(run: &Path) -> bool {
    RunDir::at(run).identity().is_some_and(|identity| identity.made_from["manifest"].is_null())
}

/// Refuses a place at which there is something.
fn check_absent(out: &Path) -> Result<()> {
    match fs::symlink_metadata(out) {
        Ok(_) => Err(Error::user("there is something at this place already").at_file(out).help("choose another --out")),
        Err(_) => Ok(()),
    }
}

/// Settings and results of a run, without what is of this machine.
struct Shared {
    manifest: Table,
    result: Value,
    /// The same as what a report is made of; `None` of knowledge graphs, which have no report.
    outcome: Option<Outcome>,
    /// A line an epoch.
    epochs: String,
    environment: Value,
    plugins: Table,
}

impl Shared {
    fn of(run: &RunDir) -> Result<Self> {
        let manifest = hidden_table(run, "manifest.toml")?;
        let (result, outcome) = match names_triples(&manifest) {
            true => (json_of(run, "result.json")?, None),
            false => {
                let mut outcome = run.outcome()?;
                leave_out_few(&mut outcome);
                (serde_json::to_value(&outcome).map_err(|e| Error::program(e.to_string()))?, Some(outcome))
            }
        };
        let epochs = read(run, METRICS)?;
        let mut environment = json_of(run, "environment.json")?;
        hide_in_json(&mut environment);
        Ok(Self { manifest, result, outcome, epochs, environment, plugins: hidden_table(run, "plugins.lock")? })
    }

    /// Their texts, and those of manifests of embeddings, by the names of their files.
    fn files(&self, run: &RunDir) -> Result<Vec<(String, String)>> {
        let pretty = |value: &Value| format!("{value:#}\n");
        let mut files = vec![
            (METRICS.to_owned(), self.epochs.clone()),
            ("environment.json".to_owned(), pretty(&self.environment)),
            ("result.json".to_owned(), pretty(&self.result)),
            ("manifest.toml".to_owned(), text_of(&self.manifest)?),
            ("plugins.lock".to_owned(), text_of(&self.plugins)?),
        ];
        for name in kept_manifests(run)? {
            let text = text_of(&hidden_table(run, &name)?)?;
            files.push((name, text));
        }
        if let Some(Identity { sha256, made_from }) = run.identity() {
            let keys = ["sdk", "plugins", "device", "threads", "instructions"];
            let kept = keys.map(|key| (key.to_owned(), made_from[key].clone()));
            let kept: serde_json::Map<_, _> = kept.into_iter().collect();
            files.push(("identity.json".to_owned(), pretty(&json!({ "sha256": sha256, "made_from": kept }))));
        }
        Ok(files)
    }

    /// What the page says, but for the table of the run: nothing that the other files of the copy do not.
    fn contents(self) -> Option<Contents> {
        Some(Contents {
            outcome: self.outcome?,
            history: self.epochs.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
            manifest: self.manifest,
            environment: self.environment,
            plugins: PluginsLock::listed(self.plugins),
            changes: Vec::new(),
            fingerprint: None,
            flow: Vec::new(),
            compared: None,
        })
    }
}

/// The copies of manifests of embeddings.
fn kept_manifests(run: &RunDir) -> Result<Vec<String>> {
    let entries = fs::read_dir(run.path()).map_err(|e| Error::io("read", run.path(), e))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut kept: Vec<String> = names.filter(|name| name.starts_with(VECTORS) && name.ends_with(".toml")).collect();
    kept.sort();
    Ok(kept)
}

fn read(run: &RunDir, name: &str) -> Result<String> {
    let file = run.file(name);
    fs::read_to_string(&file).map_err(|e| Error::io("read", file, e))
}

/// A file of TOML without what is of this machine.
fn hidden_table(run: &RunDir, name: &str) -> Result<Table> {
    let mut table = read(run, name)?.parse::<Table>().map_err(|e| broken(run, name, &e))?;
    table.remove("output");
    table.iter_mut().for_each(|(_, value)| hide_in_toml(value));
    Ok(table)
}

fn text_of(table: &Table) -> Result<String> {
    toml::to_string(table).map_err(|e| Error::program(e.to_string()))
}

fn json_of(run: &RunDir, name: &str) -> Result<Value> {
    serde_json::from_str(&read(run, name)?).map_err(|e| broken(run, name, &e))
}

fn broken(run: &RunDir, name: &str, error: &dyn Display) -> Error {
    Error::user(format!("this is not what a run writes: {error}")).at_file(run.file(name))
}

/// Copies what was learnt from patients, at the end and in each stage.
fn copy_weights(run: &RunDir, to: &Path) -> Result<()> {
    let stages = run.weights_of_stages().map_err(|e| Error::io("read", run.path(), e))?;
    storage::own_folder(&to.join("checkpoints"))?;
    for name in std::iter::once("model.safetensors".to_owned()).chain(stages) {
        let from = run.file(&name);
        let bytes = fs::read(&from).map_err(|e| Error::io("read", &from, e))?;
        storage::write(&to.join(&name), &bytes)?;
    }
    Ok(())
}

/// The last part of a path that begins at the root, at home or at a drive.
fn hidden(text: &str) -> Option<String> {
    let drive = text.len() > 2 && text.as_bytes()[1] == b':' && matches!(text.as_bytes()[2], b'\\' | b'/');
    let is_path = text.starts_with(['/', '~', '\\']) || drive;
    is_path.then(|| text.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default().to_owned())
}

fn hide_in_toml(value: &mut toml::Value) {
    match value {
        toml::Value::String(text) => {
            if let Some(hidden) = hidden(text) {
                *text = hidden;
            }
        }
        toml::Value::Array(values) => values.iter_mut().for_each(hide_in_toml),
        toml::Value::Table(table) => table.iter_mut().for_each(|(_, value)| hide_in_toml(value)),
        _ => {}
    }
}

fn hide_in_json(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(hidden) = hidden(text) {
                *text = hidden;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hide_in_json),
        Value::Object(map) => map.values_mut().for_each(hide_in_json),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lose_their_folders() {
        assert_eq!(hidden("/home/ann/mimic/hosp/").as_deref(), Some("hosp"));
        assert_eq!(hidden("~/map.csv").as_deref(), Some("map.csv"));
        assert_eq!(hidden("C:\\data\\map.csv").as_deref(), Some("map.csv"));
        for kept in ["gat", "DIAGNOSIS//ICD//9//", "", "a/b"] {
            assert_eq!(hidden(kept), None, "{kept}");
        }
    }
}
