//! What decides the results of a run.

use crate::cache::Key;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Digits of the hash in the name of a run folder.
pub(super) const SHORT: usize = 16;

/// Everything that decides the results of a run, as `identity.json` has it: the manifest without the places of output,
/// the plugins and data files by content, the build of the SDK, device and threads; of a run also what came of the tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// SHA-256 of the rest, in hexadecimal.
    pub sha256: String,
    /// What it was made from.
    pub made_from: Value,
}

impl Identity {
    /// Of all that decides the results.
    pub(super) fn of(made_from: Value) -> Self {
        Self { sha256: Key::of(made_from.clone()).hex().to_owned(), made_from }
    }

    /// The same with digests of the cohort and the split that were prepared: no parser can forget to name these.
    pub(super) fn with_prepared(mut self, prepared: Value) -> Self {
        self.made_from["prepared"] = prepared;
        Self::of(self.made_from)
    }

    /// Whether this one, which was read from a file, has the manifest of another. Reading JSON may change the last digit.
    pub(super) fn has_manifest_of(&self, other: &Identity) -> bool {
        let written = other.made_from["manifest"].to_string();
        serde_json::from_str::<Value>(&written).is_ok_and(|manifest| self.made_from["manifest"] == manifest)
    }

    /// What differs in another one, in one line; `None` where nothing does.
    pub(super) fn difference(&self, other: &Identity) -> Option<String> {
        let all = self.differences(other);
        let (first, more) = all.split_first()?;
        Some(match more.len() {
            0 => first.clone(),
            n => format!("{first}; and {n} more"),
        })
    }

    /// The beginning of the hash, for names.
    pub fn short(&self) -> &str {
        &self.sha256[..SHORT.min(self.sha256.len())]
    }

    /// What differs in another one, a line each, without the manifest.
    pub fn differences(&self, other: &Identity) -> Vec<String> {
        let mut found = Vec::new();
        let (Some(ours), Some(theirs)) = (self.made_from.as_object(), other.made_from.as_object()) else {
            return found;
        };
        for (key, value) in ours.iter().filter(|(key, _)| *key != "manifest") {
            compare(key, value, theirs.get(key).unwrap_or(&Value::Null), &mut found);
        }
        found
    }
}

/// Goes down into objects; a line for each value that differs.
fn compare(place: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            for key in keys {
                let at = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
                compare(&format!("{place} {key}"), &at(a), &at(b), found);
            }
        }
        // One of them was read from a file, by which the last digit of a number may change.
        _ if ours == theirs || serde_json::from_str::<Value>(&theirs.to_string()).is_ok_and(|read| read == *ours) => {}
        _ => found.push(format!("{place}: then {}, now {}", shown(ours), shown(theirs))),
    }
}

/// A value on part of a line.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => return "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs_is_named() {
        let identity = |plugin: &str, threads: u32| Identity {
            sha256: "0".repeat(64),
            made_from: json!({ "manifest": plugin, "plugins": { "gat": plugin, "gcn": "x" }, "threads": threads }),
        };
        let (a, b) = (identity("aa", 2), identity("bb", 1));
        assert_eq!(a.differences(&b), ["plugins gat: then aa, now bb", "threads: then 2, now 1"]);
        assert_eq!(a.difference(&b).unwrap(), "plugins gat: then aa, now bb; and 1 more");
        assert!(a.differences(&a).is_empty() && a.difference(&a).is_none());
        assert_eq!(a.short().len(), SHORT);
    }
}
