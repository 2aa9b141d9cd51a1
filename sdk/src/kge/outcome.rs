//! Results of an embedding, and the table that a person reads.

use super::metrics::{LinkMetrics, RankMetrics};
use crate::error::counted;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// What `dualk kge train` yields: `result.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KgeOutcome {
    /// Name of the experiment.
    pub name: String,
    /// Name of the embedding model.
    pub model: String,
    /// Name of the device that computed.
    pub device: String,
    /// Threads that computed.
    pub threads: usize,
    /// Entities of the graph.
    pub entities: usize,
    /// Relations of the graph.
    pub relations: usize,
    /// Triples to train, to choose and to test on.
    pub triples: [usize; 3],
    /// Number of parameters.
    pub parameters: usize,
    /// How ties are ranked: `realistic` or `published`.
    pub ties: String,
    /// Seconds of training.
    pub train_seconds: f64,
    /// Seconds of ranking the test triples.
    pub test_seconds: f64,
    /// Seconds of all.
    pub seconds: f64,
    /// The test triples, ranked by the model.
    pub test: LinkMetrics,
    /// The validation triples, where they were ranked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid: Option<LinkMetrics>,
    /// The test triples, ranked by a one-line baseline: whether training has the triple backwards, then how often the
    /// relation has the entity on that side.
    pub baseline: LinkMetrics,
}

impl KgeOutcome {
    /// A table in plain text.
    pub fn table(&self) -> String {
        let mut text =
            format!("\nlink prediction · test, {}, both sides, filtered\n", counted(self.triples[2], "triple"));
        let names = RankMetrics::default().named().map(|(name, _)| name);
        let first = self.name.chars().count().max(24);
        let rule = "─".repeat(first + 10 * names.len());
        let head = names.iter().fold(" ".repeat(first), |line, name| format!("{line}{name:>10}"));
        let _ = writeln!(text, "{rule}\n{head}\n{rule}");
        let mut row = |name: &str, metrics: &RankMetrics| {
            let _ = write!(text, "{name:first$}");
            for (metric, value) in metrics.clone().named() {
                let digits = if metric == "mr" { 0 } else { 4 };
                let _ = write!(text, "{value:>10.digits$}");
            }
            text.push('\n');
        };
        row("backwards, or frequency", &self.baseline.both);
        row(&self.name, &self.test.both);
        row("  tails", &self.test.tail);
        row("  heads", &self.test.head);
        if let Some(valid) = &self.valid {
            row("  on valid", &valid.both);
        }
        let _ = writeln!(text, "{rule}");
        if let Some([low, high]) = self.test.both.interval.get("mrr") {
            let _ = writeln!(text, "95 % interval of mrr by resampling triples: {low:.4} to {high:.4}");
        }
        text
    }
}
