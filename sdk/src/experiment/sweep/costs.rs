//! How long members take, by what runs of the same sweep took.

use super::{Member, Plan};
use crate::train::EpochRecord;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Seconds an epoch by stage, measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Costs {
    /// Seconds and epochs by row and stage.
    of_row: BTreeMap<(String, String), (f64, f64)>,
    of_stage: BTreeMap<String, (f64, f64)>,
}

impl Costs {
    /// What the complete runs of a sweep's folder took.
    pub fn of(folder: &Path) -> Self {
        let mut costs = Self::default();
        let Ok(Some(plan)) = Plan::read(folder) else { return costs };
        for member in &plan.members {
            if let Some(run) = super::plan::finished_run(folder, &member.id) {
                costs.add(&member.name, &run);
            }
        }
        costs
    }

    /// Adds a complete run of a row.
    pub fn add(&mut self, row: &str, run: &Path) {
        let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
        let records = text.lines().filter_map(|line| serde_json::from_str::<EpochRecord>(line).ok());
        let mut stages: BTreeMap<String, (f64, usize)> = BTreeMap::new();
        for record in records {
            // Heads that train in turn are one stage.
            let stage = record.stage.split(':').next().unwrap_or_default().to_owned();
            let entry = stages.entry(stage).or_default();
            *entry = (entry.0 + record.seconds, entry.1.max(record.epoch + 1));
        }
        for (stage, (seconds, epochs)) in stages {
            let add = |entry: &mut (f64, f64)| *entry = (entry.0 + seconds, entry.1 + epochs as f64);
            add(self.of_row.entry((row.to_owned(), stage.clone())).or_default());
            add(self.of_stage.entry(stage).or_default());
        }
    }

    /// Seconds of a member without what `done` says is in the cache; `None` while nothing like it was measured.
    pub fn of_member(&self, member: &Member, done: impl Fn(&str) -> bool) -> Option<f64> {
        let stage = |(i, (name, epochs)): (usize, &(String, usize))| {
            if member.stage_keys().get(i).is_some_and(|key| done(key)) {
                return Some(0.0);
            }
            let row = self.of_row.get(&(member.name.clone(), name.clone()));
            let (seconds, measured) = row.or_else(|| self.of_stage.get(name))?;
            Some(seconds / measured * *epochs as f64)
        };
        member.stages.iter().enumerate().map(stage).sum()
    }
}
