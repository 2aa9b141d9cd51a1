//! Tables as values of a type, and where the mistake is in one that is none.

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};
use toml::{Table, Value};

/// What serde refuses.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The dotted key of the innermost value that is wrong; empty for the whole table.
    pub key: String,
    /// The key that serde names: that of a table around it, where it takes that in one piece.
    pub around: String,
    /// What serde says.
    pub message: String,
}

/// Reads a table as a value of a type.
///
/// # Errors
/// What serde says of the first mistake. A table whose `type` says what else is in it is taken in one piece, and where in it the
/// mistake is gets lost: of such a table less is tried until the mistake is not in it.
pub(crate) fn read<T: DeserializeOwned>(table: Table) -> Result<T, Refused> {
    let whole = Value::Table(table);
    let (path, message) = match attempt::<T>(whole.clone()) {
        Ok(read) => return Ok(read),
        Err(refusal) => refusal,
    };
    let is_same = |inner: Value| {
        let mut changed = whole.clone();
        let Some(at) = value_at(&mut changed, &path) else { return false };
        *at = inner;
        attempt::<T>(changed).is_err_and(|(other, says)| says == message && other.to_string() == path.to_string())
    };
    let is_of_all = ["missing field", "invalid length"].iter().any(|begin| message.starts_with(begin));
    let mut whole_again = whole.clone();
    let inside = match value_at(&mut whole_again, &path) {
        Some(value) if value.is_table() && !is_of_all => key_inside(value, &is_same),
        _ => String::new(),
    };
    let around = path.to_string();
    let around = if around == "." { String::new() } else { around };
    let key = format!("{around}{inside}").trim_start_matches('.').to_owned();
    Err(Refused { key, around, message })
}

/// The value, or where serde refuses it, and what it says.
fn attempt<T: DeserializeOwned>(value: Value) -> Result<T, (Path, String)> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| (error.path().clone(), error.inner().message().trim().to_owned()))
}

/// The value that a path leads to.
fn value_at<'a>(root: &'a mut Value, path: &Path) -> Option<&'a mut Value> {
    path.iter().try_fold(root, |at, segment| match segment {
        Segment::Map { key } => at.get_mut(key.as_str()),
        Segment::Seq { index } => at.get_mut(*index),
        Segment::Enum { .. } | Segment::Unknown => None,
    })
}

/// Where the mistake is inside of a value, as the end of a key: behind the fewest of its parts, in their order, of which the same is
/// said. Empty where that is none of them: it is the value itself.
fn key_inside(value: &Value, is_same: &dyn Fn(Value) -> bool) -> String {
    match value {
        Value::Table(table) => {
            let mut parts: Vec<(&String, &Value)> = table.iter().collect();
            // It says what the others are.
            parts.sort_by_key(|(name, _)| *name != "type");
            let first = |count: usize| -> Table {
                parts[..count].iter().map(|(name, part)| ((*name).clone(), (*part).clone())).collect()
            };
            let Some(before) = last_of_fewest(parts.len(), |count| is_same(first(count).into())) else {
                return String::new();
            };
            let (name, part) = parts[before];
            let with = |inner: Value| {
                let mut table = first(before);
                table.insert(name.clone(), inner);
                is_same(table.into())
            };
            let inside = if name == "type" { String::new() } else { key_inside(part, &with) };
            format!(".{name}{inside}")
        }
        Value::Array(items) => {
            let first = |count: usize| items[..count].to_vec();
            let Some(before) = last_of_fewest(items.len(), |count| is_same(first(count).into())) else {
                return String::new();
            };
            let with = |inner: Value| is_same([first(before), vec![inner]].concat().into());
            format!("[{before}]{}", key_inside(&items[before], &with))
        }
        _ => String::new(),
    }
}

/// The place of the last of the fewest parts that are enough; nothing where no part is needed, or all are not enough.
fn last_of_fewest(parts: usize, is_enough: impl Fn(usize) -> bool) -> Option<usize> {
    (0..=parts).find(|&count| is_enough(count))?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Drawing {
        #[serde(default)]
        width: f64,
        shapes: Vec<Shape>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
    enum Shape {
        Disc {
            radius: f64,
            #[serde(default)]
            holes: Vec<f64>,
        },
        Marks {
            names: BTreeMap<String, Vec<String>>,
            #[serde(default)]
            below: Option<Box<Shape>>,
        },
    }

    fn of(text: &str) -> Result<Drawing, Refused> {
        read(toml::from_str(text).unwrap())
    }

    #[test]
    fn what_is_right_is_read() {
        let disc = Shape::Disc { radius: 1.0, holes: vec![0.5] };
        let drawing = of("shapes = [{ holes = [0.5], type = 'disc', radius = 1 }]").unwrap();
        assert_eq!(drawing, Drawing { width: 0.0, shapes: vec![disc] });
    }

    #[test]
    fn the_innermost_key_is_named_inside_of_tables_with_a_type() {
        for (shape, key) in [
            ("{ type = 'disc', radius = 'x' }", ".radius"),
            ("{ radius = 'x', holes = [1], type = 'disc' }", ".radius"),
            // The same is wrong with both.
            ("{ type = 'disc', radius = 'x', holes = ['x'] }", ".radius"),
            ("{ type = 'disc', holes = [0.5, 1, 'x', 'x'], radius = 'x' }", ".holes[2]"),
            ("{ type = 'disc', holes = 3, radius = 1 }", ".holes"),
            ("{ type = 'disc', radius = { type = 'x' } }", ".radius"),
            ("{ type = 'disc', radius = 1, hole = 2 }", ".hole"),
            ("{ radius = 1, type = 'disk' }", ".type"),
            ("{ type = 'marks', names = { a = ['b'], c = ['d', 3] } }", ".names.c[1]"),
            ("{ type = 'marks', names = {}, below = { type = 'disc', radius = [] } }", ".below.radius"),
            // These say nothing of one of its keys.
            ("{ type = 'disc' }", ""),
            ("{ radius = 1 }", ""),
            ("3", ""),
        ] {
            let refused = of(&format!("shapes = [{{ type = 'disc', radius = 1 }}, {shape}]")).unwrap_err();
            assert_eq!(refused.key, format!("shapes[1]{key}"), "{shape}: {refused:?}");
            assert!(refused.around.starts_with("shapes[1]"), "{shape}: {refused:?}");
        }
    }

    #[test]
    fn elsewhere_serde_knows_the_key() {
        for (text, key) in [("width = 'x'\nshapes = []", "width"), ("shapes = 3", "shapes"), ("width = 1", "")] {
            let refused = of(text).unwrap_err();
            assert_eq!((refused.key.as_str(), refused.around.as_str()), (key, key), "{text}: {refused:?}");
        }
    }
}
