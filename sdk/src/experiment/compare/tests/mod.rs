//! Comparisons of runs that are written here, with values whose statistics SciPy has computed.

mod forms;
mod intervals;
mod rows;
mod tasks;
mod verdicts;

use super::resample::tests::columns;
use crate::experiment::outcome::{Outcome, Row, StageOutcome};
use crate::experiment::patients::PatientTable;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Writes a run of an encoder and a seed, whose patients have `values` in R@10.
fn write(folder: &Path, encoder: &str, seed: u64, values: &[f64], objective: &str) -> PathBuf {
    let path = folder.join(format!("{encoder}-{seed}"));
    fs::create_dir_all(&path).unwrap();
    let manifest = format!(
        "name = 'x'\nseed = {seed}\n[data]\nparser = {{ type = 'p' }}\nsplit = {{ type = 'random' }}\n[model]\n\
         graph_encoder = {{ type = '{encoder}' }}\n[[stage]]\ntype = 'finetune'\ntask = {{ type = '{objective}' }}\n"
    );
    fs::write(path.join("manifest.toml"), manifest).unwrap();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let metrics = |v: f64| vec![("F1-w".to_owned(), v / 2.0), ("R@10".to_owned(), v)];
    let row = |name: String, metrics| Row { name, metrics, ..Row::default() };
    let rows = vec![
        row("history".into(), metrics(0.2)),
        row(format!("x, epoch {}", seed + 3), metrics(mean)),
        row("oracle".into(), metrics(0.9)),
    ];
    let stage = StageOutcome {
        stage: "1-finetune".into(),
        objective: objective.into(),
        inputs: None,
        primary: None,
        examples: values.len(),
        patients: None,
        epoch: seed as usize + 2,
        caption: String::new(),
        rows,
    };
    let outcome = Outcome {
        name: "x".into(),
        device: "cpu".into(),
        parameters: 7,
        seconds: 1.0,
        vectors: Vec::new(),
        trained: Vec::new(),
        stages: vec![stage],
    };
    fs::write(path.join("result.json"), serde_json::to_string(&outcome).unwrap()).unwrap();
    let column = |v: &[f64]| BTreeMap::from([("R@10".to_owned(), v.iter().map(|v| Some(*v)).collect())]);
    let table = PatientTable {
        patients: (0..values.len()).map(|i| i.to_string()).collect(),
        persons: Vec::new(),
        rows: BTreeMap::from([
            (format!("x, epoch {}", seed + 3), column(values)),
            ("history".to_owned(), column(&vec![0.2; values.len()])),
        ]),
    };
    fs::write(path.join("patients-1-finetune.json"), serde_json::to_string(&table).unwrap()).unwrap();
    path
}

/// A run as [`write`] writes it, with its R@10 on valid.
fn write_with_valid(folder: &Path, name: &str, seed: u64, values: &[f64], valid: f64) -> PathBuf {
    let path = write(folder, name, seed, values, "diagnosis");
    let record = crate::train::EpochRecord {
        stage: "1-finetune".into(),
        epoch: seed as usize + 2,
        train_loss: 1.0,
        valid_loss: None,
        valid: vec![("R@10".into(), valid)],
        test: Vec::new(),
        lr: 0.1,
        seconds: 1.0,
    };
    fs::write(path.join("metrics.jsonl"), record.to_json().unwrap() + "\n").unwrap();
    path
}

/// Reads a file of a run, changes what it says, and writes it again.
fn change<T: Serialize + DeserializeOwned>(file: &Path, change: impl FnOnce(&mut T)) {
    let mut value: T = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    change(&mut value);
    fs::write(file, serde_json::to_string(&value).unwrap()).unwrap();
}

fn change_outcome(run: &Path, outcome: impl FnOnce(&mut Outcome)) {
    change(&run.join("result.json"), outcome);
}

fn change_patients(run: &Path, table: impl FnOnce(&mut PatientTable)) {
    change(&run.join("patients-1-finetune.json"), table);
}

fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected} ± {tolerance}");
}
