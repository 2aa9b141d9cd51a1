//! The course of a run of stages, by its epochs.

use super::course::{Course, Curve};
use dualk_sdk::train::EpochRecord;

/// What is known of the epochs of a run.
pub struct Epochs {
    /// All so far.
    pub records: Vec<EpochRecord>,
    /// Stages with their epochs, those of one head where heads train in turn.
    pub planned: Vec<(String, usize)>,
}

impl Epochs {
    /// What there is to draw: the curves are those of the last stage.
    pub fn course(&self) -> Course {
        let (done, all) = self.progress();
        let last = self.records.last();
        let stage = last.map(|r| r.stage.clone()).unwrap_or_default();
        let records = || self.records.iter().filter(|r| r.stage == stage);
        let metric = last.and_then(shown);
        let value = |r: &EpochRecord| r.valid.iter().find(|(name, _)| Some(name) == metric.as_ref()).map(|(_, v)| *v);
        let loss = records().map(|r| (r.epoch as f64 + 1.0, r.train_loss)).collect();
        let valid = records().filter_map(|r| Some((r.epoch as f64 + 1.0, value(r)?))).collect();
        Course {
            unit: "epochs",
            done,
            all,
            doing: last.map(|r| format!("{} epoch {}", r.stage, r.epoch + 1)),
            pace: last.map(|r| 1.0 / r.seconds.max(1e-9)),
            seconds_left: self.seconds_left(),
            curves: [
                Curve { title: format!("{stage}: loss on train"), points: loss, missing: "" },
                Curve {
                    title: format!("{stage}: {} on valid", metric.as_deref().unwrap_or("")),
                    points: valid,
                    missing: "",
                },
            ],
            valid: last.and_then(value).and_then(|value| Some((metric.clone()?, value))),
        }
    }

    /// Epochs that are complete, and all.
    fn progress(&self) -> (usize, usize) {
        let mut all = 0;
        let mut done = 0;
        for (stage, epochs) in &self.planned {
            let of_stage = |r: &&EpochRecord| r.stage == *stage || r.stage.starts_with(&format!("{stage}:"));
            let records = self.records.iter().filter(of_stage).count();
            let mut heads: Vec<&str> = self.records.iter().filter(of_stage).map(|r| r.stage.as_str()).collect();
            heads.dedup();
            // Heads that train in turn have these epochs each; how many heads there are shows while they train.
            let all_of_stage = epochs * heads.len().max(1);
            done += records.min(all_of_stage);
            all += all_of_stage;
        }
        (done, all)
    }

    /// Seconds that are left: epochs that are missing at the mean pace of their stage, or of all that were seen.
    fn seconds_left(&self) -> Option<f64> {
        if self.records.is_empty() {
            return None;
        }
        let pace = |stage: &str| {
            let seconds: Vec<f64> =
                self.records.iter().filter(|r| r.stage.split(':').next() == Some(stage)).map(|r| r.seconds).collect();
            (!seconds.is_empty()).then(|| seconds.iter().sum::<f64>() / seconds.len() as f64)
        };
        let mean = self.records.iter().map(|r| r.seconds).sum::<f64>() / self.records.len() as f64;
        let current = self.records.last().map(|r| r.stage.split(':').next().unwrap_or_default().to_owned());
        let mut left = 0.0;
        for (stage, epochs) in &self.planned {
            let done = self.records.iter().filter(|r| r.stage.split(':').next() == Some(stage)).count();
            let begun = self.planned.iter().position(|(s, _)| Some(s) == current.as_ref()).unwrap_or(0);
            let over = self.planned.iter().position(|(s, _)| s == stage).is_some_and(|place| place < begun);
            let missing = if over { 0 } else { epochs.saturating_sub(done) };
            left += missing as f64 * pace(stage).unwrap_or(mean);
        }
        Some(left)
    }
}

/// The metric to show: recall at 10 where there is one, else the last.
fn shown(record: &EpochRecord) -> Option<String> {
    let names = || record.valid.iter().map(|(name, _)| name);
    names().find(|n| *n == "R@10").or_else(|| names().next_back()).cloned()
}
