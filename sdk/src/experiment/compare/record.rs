//! A finished run as comparisons read it.

use super::facets::Facets;
use crate::experiment::fingerprint::Fingerprint;
use crate::experiment::outcome::{Outcome, StageOutcome};
use crate::experiment::patients::{PatientTable, patient_table};
use crate::experiment::run_dir::RunDir;
use crate::train::{EpochRecord, Metrics};
use crate::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};
use toml::Table;

/// Options of objectives that say what a model sees, for runs whose `result.json` has no `inputs`, as it has since 27 November
/// 2026. They are read and compared as others are, for what came into that file later may be missing, and until then the shipped
/// tasks had such options by these names alone. Without the names, two of these runs would be refused as of different tasks where
/// other items enter or other visits are learnt from. For runs that have `inputs` nothing goes by this list.
const INPUTS: [&str; 3] = ["head", "labs", "all_visits"];

/// What to do about two runs of which one names no folders.
const FOLDERS: &str = "they differ in folders, of which the last part alone is shown; a scrubbed run has no more of them: \
                       `dualk scrub` those that are not, and compare the copies";

/// A finished run.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its folder.
    pub path: PathBuf,
    /// What the manifest of its sweep calls its row, where somebody asked.
    pub row: Option<String>,
    /// Its resolved manifest.
    pub manifest: Table,
    /// What of it can differ from others.
    pub facets: Facets,
    /// Its results.
    pub outcome: Outcome,
    /// What it was trained and tested on; `None` for runs of older versions.
    pub fingerprint: Option<Fingerprint>,
    /// Metrics by patient of the last tested stage, where they were kept.
    pub patients: Option<PatientTable>,
    /// Metrics on valid of the epoch that was tested.
    pub valid: Metrics,
    /// After how many epochs test was looked at while it trained, as a published code does.
    pub watched: usize,
}

impl Record {
    /// Reads a run.
    ///
    /// # Errors
    /// When the folder is no run, or a file of it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        Self::of(&RunDir::open(path)?)
    }

    /// Of a run that has its results, but perhaps not its name yet.
    ///
    /// # Errors
    /// When a file of it cannot be read.
    pub fn of(run: &RunDir) -> Result<Self> {
        let outcome = run.outcome()?;
        let file = run.file("manifest.toml");
        let text = fs::read_to_string(&file).map_err(|e| Error::io("read", &file, e))?;
        let manifest: Table = toml::from_str(&text)
            .map_err(|e| Error::user(format!("this is no manifest: {}", e.message())).at_file(&file))?;
        let tested = outcome.stages.last();
        let patients = tested.map(|tested| patient_table(run, &tested.stage)).transpose()?.flatten();
        let lines = fs::read_to_string(run.file("metrics.jsonl")).unwrap_or_default();
        let epochs = lines.lines().filter_map(|line| serde_json::from_str::<EpochRecord>(line).ok());
        Self::new(run.path(), manifest, outcome, Fingerprint::read(run)?, patients, epochs)
    }

    /// The record of what is in the files of a run.
    pub(in crate::experiment) fn new(
        path: &Path,
        manifest: Table,
        outcome: Outcome,
        fingerprint: Option<Fingerprint>,
        patients: Option<PatientTable>,
        epochs: impl Iterator<Item = EpochRecord>,
    ) -> Result<Self> {
        let Some(tested) = outcome.stages.last().filter(|stage| model_row(stage).is_some()) else {
            return Err(Error::user("no stage of this run was tested")
                .at_file(path)
                .help("stages with test = true in the manifest are tested"));
        };
        let epochs: Vec<EpochRecord> = epochs.collect();
        let watched = epochs.iter().filter(|epoch| !epoch.test.is_empty()).count();
        let (path, facets, valid) = (path.to_owned(), Facets::of(&manifest), valid_of(epochs.into_iter(), tested));
        Ok(Self { path, row: None, manifest, facets, outcome, fingerprint, patients, valid, watched })
    }

    /// The seed of training.
    pub fn seed(&self) -> i64 {
        self.manifest.get("seed").and_then(toml::Value::as_integer).unwrap_or(0)
    }

    /// Digests of its cohort and split; `None` for runs of older versions.
    pub(super) fn patients_in(&self) -> Option<[&str; 2]> {
        self.fingerprint.as_ref().map(|print| [print.cohort.as_str(), print.split.as_str()])
    }

    /// The last tested stage.
    pub fn tested(&self) -> &StageOutcome {
        // `read` refuses runs without one.
        &self.outcome.stages[self.outcome.stages.len() - 1]
    }

    /// What the model was asked, whatever it sees.
    fn task(&self) -> String {
        match &self.tested().inputs {
            Some(inputs) => self.facets.task(&inputs.iter().map(String::as_str).collect::<Vec<_>>()),
            None => self.facets.task(&INPUTS),
        }
    }

    /// Metrics of the trained model.
    pub fn model(&self) -> &Metrics {
        let tested = self.tested();
        &tested.rows[model_row(tested).unwrap_or(tested.rows.len() - 1)].metrics
    }

    /// Rows to compare a model with: name and metrics, first those below it, then those that know the truth.
    pub fn references(&self) -> impl Iterator<Item = (&str, &Metrics)> {
        let tested = self.tested();
        let model = model_row(tested);
        let others = tested.rows.iter().enumerate().filter(move |(i, row)| Some(*i) != model && !is_trained(&row.name));
        others.map(|(_, row)| (row.name.as_str(), &row.metrics))
    }
}

/// The row of the trained model: the last that is no oracle.
pub fn model_row(stage: &StageOutcome) -> Option<usize> {
    stage.rows.iter().rposition(|row| !is_oracle(&row.name))
}

/// Whether a row knows more than any model can.
pub fn is_oracle(name: &str) -> bool {
    name.starts_with("oracle")
}

/// Whether a row is of this very run's training.
fn is_trained(name: &str) -> bool {
    name.rsplit_once(", epoch ").is_some_and(|(_, n)| n.parse::<usize>().is_ok())
}

/// Metrics on valid of the epoch whose weights were tested.
fn valid_of(mut epochs: impl DoubleEndedIterator<Item = EpochRecord>, tested: &StageOutcome) -> Metrics {
    let of_epoch = |r: &EpochRecord| r.stage == tested.stage && r.epoch == tested.epoch;
    epochs.rfind(of_epoch).map(|r| r.valid).unwrap_or_default()
}

/// Refuses runs that cannot be compared, saying what differs.
///
/// # Errors
/// Names both runs.
pub fn comparable(first: &Record, other: &Record) -> Result<()> {
    same_question(first, other)?;
    same_patients(first, other)
}

/// The refusal of two runs that differ in `what`.
fn different(first: &Record, other: &Record, what: &str, [a, b]: [String; 2]) -> Result<()> {
    Err(Error::user(format!("these runs have different {what}: {a} and {b}"))
        .at_file(&first.path)
        .at_file(&other.path)
        .help("means and differences would be over different patients or questions"))
}

/// Refuses runs that were asked something else.
pub(super) fn same_question(first: &Record, other: &Record) -> Result<()> {
    let objectives = [first, other].map(|r| r.tested().objective.clone());
    if objectives[0] != objectives[1] {
        return different(first, other, "tasks", objectives);
    }
    let tasks = [first, other].map(Record::task);
    if tasks[0] != tasks[1] { different(first, other, "tasks", tasks) } else { Ok(()) }
}

/// Refuses runs on other patients.
fn same_patients(first: &Record, other: &Record) -> Result<()> {
    let refuse = |what, texts| different(first, other, what, texts);
    match first.fingerprint.as_ref().zip(other.fingerprint.as_ref()) {
        Some((x, y)) if x.cohort != y.cohort => return refuse("cohorts", [x, y].map(Fingerprint::cohort_text)),
        Some((x, y)) if x.split != y.split => return refuse("splits", [x, y].map(Fingerprint::split_text)),
        Some(_) => {}
        // Runs of older versions: by what their manifests say.
        None => {
            for (path, what) in [("data.parser", "cohorts"), ("data.split", "splits")] {
                if !first.facets.differing(&other.facets, &[path]).is_empty() {
                    let texts = [first, other].map(|r| r.facets.text(path));
                    let is_said_alike = texts[0] == texts[1];
                    return refuse(what, texts).map_err(|e| if is_said_alike { e.help(FOLDERS) } else { e });
                }
            }
        }
    }
    let (a, b) = (first.tested().examples, other.tested().examples);
    if a != b {
        return refuse("splits", [format!("{a} test examples"), b.to_string()]);
    }
    match (&first.patients, &other.patients) {
        (Some(x), Some(y)) if x.patients != y.patients => {
            refuse("splits", ["the test patients of one".into(), "those of the other".into()])
        }
        _ => Ok(()),
    }
}
