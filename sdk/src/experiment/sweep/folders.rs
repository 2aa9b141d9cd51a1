//! Which runs are meant by folders that people name.

use super::plan::{Plan, PlannedMember, finished_run};
use crate::experiment::compare::NamedRun;
use crate::experiment::manifest::names_triples;
use crate::experiment::run_dir::UNFINISHED;
use crate::experiment::scrub::is_scrubbed;
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The run folders that are meant: runs themselves, the members of sweeps, or the runs in a folder of runs, but for those of
/// embeddings, and for scrubbed copies beside runs that are none.
///
/// # Errors
/// When a folder is neither.
pub fn run_folders(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for path in paths {
        if is_run(path) {
            folders.push(path.clone());
        } else if let Some(sweep) = Plan::read(path)? {
            folders.extend(sweep.finished(path));
        } else {
            folders.extend(runs_in(path)?);
        }
    }
    let mut seen = BTreeSet::new();
    folders.retain(|f| seen.insert(fs::canonicalize(f).unwrap_or_else(|_| f.clone())));
    Ok(folders)
}

/// The same, with the names that the manifests of their sweeps give rows.
///
/// # Errors
/// As of [`run_folders`].
pub fn named_runs(paths: &[PathBuf]) -> Result<Vec<NamedRun>> {
    let mut sweeps: BTreeMap<PathBuf, BTreeMap<PathBuf, String>> = BTreeMap::new();
    let mut row = |folder: &Path| {
        let run = fs::canonicalize(folder).ok()?;
        // `runs` is a folder of the sweep.
        let sweep = run.parent()?.parent()?;
        sweeps.entry(sweep.to_owned()).or_insert_with(|| rows_of(sweep)).get(&run).cloned()
    };
    Ok(run_folders(paths)?.into_iter().map(|folder| NamedRun { row: row(&folder), folder }).collect())
}

/// Of the runs of a sweep those whose rows have a name in its manifest.
fn rows_of(sweep: &Path) -> BTreeMap<PathBuf, String> {
    let Ok(Some(plan)) = Plan::read(sweep) else { return BTreeMap::new() };
    let run = |member: &PlannedMember| {
        let run = finished_run(sweep, &member.id)?;
        Some((fs::canonicalize(run).ok()?, member.name.clone()))
    };
    plan.members.iter().filter(|member| member.named).filter_map(run).collect()
}

fn is_run(path: &Path) -> bool {
    path.join("result.json").is_file() && path.join("manifest.toml").is_file()
}

/// The finished runs in a folder of runs, in order.
fn runs_in(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(path).map_err(|e| Error::io("read the folder", path, e))?;
    let mut runs: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| is_run(p)).collect();
    let is_left = |name: &str| name.starts_with('.') || name.contains(UNFINISHED);
    runs.retain(|p| !is_embedding(p));
    runs.retain(|p| !p.file_name().is_some_and(|name| is_left(&name.to_string_lossy())));
    runs.sort();
    let (copies, whole): (Vec<PathBuf>, Vec<PathBuf>) = runs.into_iter().partition(|run| is_scrubbed(run));
    // A folder of copies alone is what somebody was given.
    let runs = if whole.is_empty() { copies } else { whole };
    match runs.is_empty() {
        true => Err(Error::user("this is no run, no sweep and no folder of finished runs")
            .at_file(path)
            .help("`dualk run` and `dualk sweep` print the folder of their results")),
        false => Ok(runs),
    }
}

/// Whether a run is that of an embedding of a knowledge graph, which shares the folder of runs.
fn is_embedding(run: &Path) -> bool {
    let text = fs::read_to_string(run.join("manifest.toml")).unwrap_or_default();
    toml::from_str(&text).is_ok_and(|manifest| names_triples(&manifest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embeddings_among_runs_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        for (name, data) in [("gat-1", "parser = 'synthetic'"), ("kge-1", "triples = 'wn18rr'")] {
            let run = folder.path().join(name);
            fs::create_dir(&run).unwrap();
            fs::write(run.join("result.json"), "{}").unwrap();
            fs::write(run.join("manifest.toml"), format!("[data]\n{data}\n")).unwrap();
        }
        assert_eq!(run_folders(&[folder.path().to_owned()]).unwrap(), [folder.path().join("gat-1")]);
    }

    /// They were compared with their runs.
    #[test]
    fn scrubbed_copies_beside_runs_are_passed_over_unless_they_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, made_from: &str| {
            let run = folder.path().join(name);
            fs::create_dir(&run).unwrap();
            fs::write(run.join("result.json"), "{}").unwrap();
            fs::write(run.join("manifest.toml"), "[data]\nparser = 'synthetic'\n").unwrap();
            let identity = format!("{{ \"sha256\": \"0\", \"made_from\": {{ {made_from} }} }}");
            fs::write(run.join("identity.json"), identity).unwrap();
            run
        };
        let all = || run_folders(&[folder.path().to_owned()]).unwrap();
        let copy = write("gat-1-shareable", "\"sdk\": \"1\"");
        assert_eq!(all(), std::slice::from_ref(&copy), "a folder of copies alone");
        let run = write("gat-1", "\"sdk\": \"1\", \"manifest\": {}");
        assert_eq!(all(), std::slice::from_ref(&run));
        assert_eq!(run_folders(&[copy.clone(), folder.path().to_owned()]).unwrap(), [copy, run]);
    }
}
