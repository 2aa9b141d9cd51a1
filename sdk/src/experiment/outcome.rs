//! Results, and the table that a person reads.

use crate::train::Metrics;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// One row of a results table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What was evaluated, such as `code frequency`.
    pub name: String,
    /// Its metrics on test.
    pub metrics: Metrics,
}

/// The results of a stage that was tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageOutcome {
    /// The stage, such as `3-finetune`.
    pub stage: String,
    /// What it learnt.
    pub objective: String,
    /// Number of test examples.
    pub examples: usize,
    /// The epoch whose weights were tested, from 0.
    pub epoch: usize,
    /// Baseline first.
    pub rows: Vec<Row>,
}

/// A stage that was trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedStage {
    /// The stage, such as `3-finetune`.
    pub stage: String,
    /// The epoch whose weights were kept, from 0.
    pub epoch: usize,
    /// Wall time of its training in seconds, when it was trained.
    pub seconds: f64,
    /// Largest memory of the process in its training, in bytes, where the system tells.
    pub peak_memory: Option<u64>,
    /// Whether it came from the cache; time and memory are those of the run that trained it.
    pub from_cache: bool,
}

impl TrainedStage {
    /// A line for logs.
    pub fn line(&self) -> String {
        let memory = self.peak_memory.map_or(String::new(), |bytes| format!(", {:.2} GB", bytes as f64 / 1e9));
        let (stage, seconds, epoch) = (&self.stage, self.seconds, self.epoch + 1);
        match self.from_cache {
            true => format!("{stage}: from the cache, kept epoch {epoch} (trained in {seconds:.1} s{memory})"),
            false => format!("{stage}: {seconds:.1} s{memory}, kept epoch {epoch}"),
        }
    }
}

/// What a run yields: `result.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Name of the experiment.
    pub name: String,
    /// Device, such as `cpu`.
    pub device: String,
    /// Number of parameters of the model.
    pub parameters: usize,
    /// Wall time in seconds.
    pub seconds: f64,
    /// All stages, tested or not, in their order.
    #[serde(default)]
    pub trained: Vec<TrainedStage>,
    /// Tested stages, the last one being the experiment's result.
    pub stages: Vec<StageOutcome>,
}

impl Outcome {
    /// Metrics of the trained model in the last tested stage.
    pub fn test(&self) -> Option<&Metrics> {
        self.stages.last().and_then(|s| s.rows.last()).map(|r| &r.metrics)
    }

    /// A table a tested stage, in plain text.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for stage in &self.stages {
            let _ = writeln!(text, "\n{} · test, {} patients", stage.objective, stage.examples);
            let names: Vec<&str> =
                stage.rows.first().map(|r| r.metrics.iter().map(|m| m.0.as_str()).collect()).unwrap_or_default();
            let first = stage.rows.iter().map(|r| r.name.chars().count()).max().unwrap_or(0).max(8);
            let width = |name: &str| name.len().max(6) + 2;
            let rule = "─".repeat(first + names.iter().map(|n| width(n)).sum::<usize>());
            let _ = writeln!(text, "{rule}");
            let head = names.iter().fold(" ".repeat(first), |line, n| format!("{line}{n:>w$}", w = width(n)));
            let _ = writeln!(text, "{head}\n{rule}");
            for row in &stage.rows {
                let _ = write!(text, "{:first$}", row.name);
                for (name, value) in &row.metrics {
                    let _ = write!(text, "{value:>w$.4}", w = width(name));
                }
                let _ = writeln!(text);
            }
            let _ = writeln!(text, "{rule}");
        }
        text
    }
}
