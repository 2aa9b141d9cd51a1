//! What decides the results of a run.

use crate::cache::Key;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

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
    /// The identity of all that decides the results.
    pub(super) fn of(made_from: Value) -> Self {
        Self { sha256: Key::of(made_from.clone()).hex().to_owned(), made_from }
    }

    /// The same with digests of the cohort and the split that were prepared: no parser can forget to name these.
    pub(super) fn with_prepared(mut self, prepared: Value) -> Self {
        self.made_from["prepared"] = prepared;
        Self::of(self.made_from)
    }

    /// Whether this one has the manifest of another.
    pub(super) fn has_manifest_of(&self, other: &Identity) -> bool {
        are_same(&self.made_from["manifest"], &other.made_from["manifest"])
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
        _ if are_same(ours, theirs) => {}
        _ => found.push(format!("{place}: then {}, now {}", shown(ours), shown(theirs))),
    }
}

/// Whether two values are the same, one of which may have been read from a file.
fn are_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || are_close(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| are_same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| are_same(a, b)))
        }
        _ => a == b,
    }
}

/// Whether two numbers with a fraction differ by no more than reading JSON may change them: by some units in the last place,
/// each at most 2.3e-16 of the number.
fn are_close(a: &Number, b: &Number) -> bool {
    let fraction = |number: &Number| number.as_f64().filter(|_| number.is_f64());
    fraction(a).zip(fraction(b)).is_some_and(|(a, b)| (a - b).abs() <= 1e-15 * a.abs().max(b.abs()))
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

    #[test]
    fn what_reading_changes_in_the_last_place_is_the_same() {
        let identity = |number: Value| Identity {
            sha256: "0".repeat(64),
            made_from: json!({ "manifest": { "stage": [{ "lr": number }] }, "files": { "weight": number } }),
        };
        let same = |a: &Identity, b: &Identity| (a.has_manifest_of(b), a.difference(b).is_none());
        for number in (1..1000).map(|n| f64::from(n) / 997.0) {
            let now = identity(json!(number));
            let read: Identity = serde_json::from_str(&serde_json::to_string(&now).unwrap()).unwrap();
            let next = identity(json!(f64::from_bits(number.to_bits() + 1)));
            assert_eq!([same(&read, &now), same(&now, &read), same(&next, &now)], [(true, true); 3], "{number}");
            // As near as anybody writes it.
            assert_eq!(same(&identity(json!(number + 1e-12)), &now), (false, false), "{number}");
        }
        let differ =
            [(json!(1), json!(1.0)), (json!(1), json!(2)), (json!(0.5), json!("0.5")), (json!([0.5]), json!([]))];
        for (a, b) in differ {
            assert_eq!(same(&identity(a.clone()), &identity(b.clone())), (false, false), "{a} {b}");
        }
    }
}
