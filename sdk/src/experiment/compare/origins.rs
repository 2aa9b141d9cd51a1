//! Runs of one table that were not trained with the same.

use super::groups::Group;
use super::record::Record;
use crate::experiment::run_dir::RunDir;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What runs of a table have in common, whatever their manifests say.
const OF_ALL: [&str; 6] = ["sdk", "plugins", "data", "device", "threads", "instructions"];
/// What runs of one manifest have in common beside it: the files that its options name.
const OF_ROW: [&str; 1] = ["files"];

/// A line that names what of plugins, data, SDK and the like differs between runs that have it; `None` where nothing does.
pub(super) fn note(records: &[Record], groups: &[Group<'_>]) -> Option<String> {
    let all: Vec<&Record> = records.iter().collect();
    let of_rows = groups.iter().flat_map(|group| differing(&group.runs, &OF_ROW));
    let names: BTreeSet<String> = differing(&all, &OF_ALL).into_iter().chain(of_rows).collect();
    let names: Vec<String> = names.into_iter().collect();
    (!names.is_empty()).then(|| format!("these runs were not all trained with the same: {}", names.join(", ")))
}

/// Names of what differs between runs, of those that say it, below keys of their identities.
fn differing(runs: &[&Record], keys: &[&str]) -> Vec<String> {
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for identity in runs.iter().filter_map(|run| RunDir::at(&run.path).identity()) {
        for key in keys {
            match &identity.made_from[*key] {
                Value::Null => {}
                Value::Object(parts) => parts.iter().for_each(|(part, value)| {
                    values.entry(format!("{key} {part}")).or_default().insert(value.to_string());
                }),
                value => {
                    values.entry((*key).to_owned()).or_default().insert(value.to_string());
                }
            }
        }
    }
    values.into_iter().filter(|(_, found)| found.len() > 1).map(|(name, _)| name).collect()
}
