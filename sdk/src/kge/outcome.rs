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
    /// The test triples, ranked by the model; `None` where there are none.
    pub test: Option<LinkMetrics>,
    /// The validation triples, where there are some and they were ranked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid: Option<LinkMetrics>,
    /// The test triples, ranked by a one-line baseline: whether training has the triple backwards, then how often the
    /// relation has the entity on that side.
    pub baseline: Option<LinkMetrics>,
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
        let mut row = |name: &str, metrics: Option<&RankMetrics>| {
            let _ = write!(text, "{name:first$}");
            for metric in names {
                let digits = if metric == "mr" { 0 } else { 4 };
                let shown = metrics.map_or("–".to_owned(), |metrics| format!("{:.digits$}", metrics.get(metric)));
                let _ = write!(text, "{shown:>10}");
            }
            text.push('\n');
        };
        row("backwards, or frequency", self.baseline.as_ref().map(|found| &found.both));
        row(&self.name, self.test.as_ref().map(|found| &found.both));
        row("  tails", self.test.as_ref().map(|found| &found.tail));
        row("  heads", self.test.as_ref().map(|found| &found.head));
        if let Some(valid) = &self.valid {
            row("  on valid", Some(&valid.both));
        }
        let _ = writeln!(text, "{rule}");
        if let Some([low, high]) = self.test.as_ref().and_then(|test| test.both.interval.get("mrr")) {
            let _ = writeln!(text, "95 % interval of mrr by resampling triples: {low:.4} to {high:.4}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_ranked_is_no_zero() {
        let found =
            |mrr: f64| LinkMetrics { both: RankMetrics { mrr, ..RankMetrics::default() }, ..LinkMetrics::default() };
        let none = KgeOutcome { name: "x".to_owned(), ..KgeOutcome::default() };
        let some = KgeOutcome { test: Some(found(0.25)), baseline: Some(found(0.125)), ..none.clone() };
        let cells = |outcome: &KgeOutcome, name: &str| -> Vec<String> {
            let table = outcome.table();
            let line = table.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().map(str::to_owned).collect()
        };
        for row in ["backwards, or frequency", "x ", "  tails", "  heads"] {
            assert_eq!(cells(&none, row), ["–"; 6], "{row}");
        }
        assert_eq!((&*cells(&some, "x ")[0], &*cells(&some, "backwards, or frequency")[0]), ("0.2500", "0.1250"));
        let written = serde_json::to_value(&none).unwrap();
        assert!(written["test"].is_null() && written["baseline"].is_null() && written.get("valid").is_none());
        assert_eq!(serde_json::from_value::<KgeOutcome>(written).unwrap(), none);
    }
}
