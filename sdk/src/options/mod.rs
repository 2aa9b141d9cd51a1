//! Options of components: typed, documented, with defaults.

use crate::{Error, Result};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// Declares the options of a component: a struct with a default for every field, refused when a manifest has other
/// keys. Derives serde and JSON Schema through the SDK, so that a plugin needs neither as a dependency.
///
/// ```
/// dualk_sdk::options! {
///     /// Options of `mean`.
///     pub struct MeanOptions {
///         /// Width of the output.
///         pub dim: usize = 256,
///     }
/// }
/// assert_eq!(MeanOptions::default().dim, 256);
/// ```
#[macro_export]
macro_rules! options {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$fmeta:meta])* $fvis:vis $field:ident : $ty:ty = $default:expr),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, $crate::serde::Serialize, $crate::serde::Deserialize, $crate::schemars::JsonSchema)]
        #[serde(crate = "dualk_sdk::serde", default, deny_unknown_fields)]
        #[schemars(crate = "dualk_sdk::schemars")]
        $vis struct $name { $($(#[$fmeta])* $fvis $field: $ty),* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default),* }
            }
        }
    };
}

/// A file or folder named in a manifest. Relative ones are taken from the folder of the manifest that names them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(crate = "serde", transparent)]
pub struct FilePath(pub PathBuf);

impl FilePath {
    /// The path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The path, or an error naming `key` when the manifest gives none.
    pub fn required(&self, key: &str) -> Result<&Path> {
        match self.0.as_os_str().is_empty() {
            true => Err(Error::user("this key is required: give a path").at_key(key)),
            false => Ok(&self.0),
        }
    }

    /// The path when one is given.
    pub fn given(&self) -> Option<&Path> {
        (!self.0.as_os_str().is_empty()).then_some(self.0.as_path())
    }
}

impl JsonSchema for FilePath {
    fn schema_name() -> Cow<'static, str> {
        "FilePath".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "path" })
    }
}

/// `value`, or an error naming `key` when it is below `least`.
pub fn at_least<T: PartialOrd + std::fmt::Display>(key: &str, value: T, least: T) -> Result<T> {
    match value >= least {
        true => Ok(value),
        false => Err(Error::user(format!("expected at least {least}, found {value}")).at_key(key)),
    }
}

/// `value`, or an error naming `key` when it is not in `[low, high)`; NaN is not.
pub fn in_range(key: &str, value: f64, low: f64, high: f64) -> Result<f64> {
    match value >= low && value < high {
        true => Ok(value),
        false => Err(Error::user(format!("expected a number in [{low}, {high}), found {value}")).at_key(key)),
    }
}

/// The last of the widths of layers, or an error naming `key` when there is none or one of them is 0.
pub fn last_width(key: &str, widths: &[usize]) -> Result<usize> {
    widths.iter().try_for_each(|&width| at_least(key, width, 1).map(drop))?;
    let none = || Error::user("expected the width of at least one layer, found none").at_key(key);
    widths.last().copied().ok_or_else(none)
}

/// `heads`, or an error naming `key` unless it is at least 1 and divides `width`, which `of` names.
pub fn divisor(key: &str, heads: usize, of: &str, width: usize) -> Result<usize> {
    at_least(key, heads, 1)?;
    match width.is_multiple_of(heads) {
        true => Ok(heads),
        false => {
            let message = format!("expected a number that divides `{of}`, which is {width}, found {heads}");
            Err(Error::user(message).at_key(key))
        }
    }
}

/// Compares numbers and lists with the ranges that the options' own schema declares (`#[schemars(range(min = 1))]`), so that
/// a range stands in one place.
///
/// # Errors
/// Name the first key whose value is outside, the value, and what is accepted.
///
/// ```
/// dualk_sdk::options! {
///     /// Options of `mean`.
///     pub struct MeanOptions {
///         /// Widths of layers.
///         #[schemars(length(min = 1), inner(range(min = 1, max = 512)))]
///         pub dims: Vec<usize> = vec![256],
///     }
/// }
/// let said = |dims| dualk_sdk::options::within_ranges(&MeanOptions { dims }).unwrap_err().to_string();
/// assert_eq!(said(vec![1, 0]), "`dims[1]`: expected 1 to 512, found 0");
/// assert_eq!(said(vec![]), "`dims`: expected at least 1 of them, found 0");
/// ```
pub fn within_ranges<T: Serialize + JsonSchema>(options: &T) -> Result<()> {
    let schema = schemars::schema_for!(T);
    let failed = |e| Error::program("cannot compare options with their schema").because(e);
    let values = serde_json::to_value(options).map_err(failed)?;
    let properties = schema.get("properties").and_then(|p| p.as_object());
    properties.into_iter().flatten().try_for_each(|(key, rule)| within_range(key, rule, &values[key]))
}

fn within_range(key: &str, rule: &serde_json::Value, value: &serde_json::Value) -> Result<()> {
    let bound = |name: &str| rule.get(name).and_then(serde_json::Value::as_f64);
    let wrong = |accepted: String, found: &dyn std::fmt::Display| {
        Err(Error::user(format!("expected {accepted}, found {found}")).at_key(key))
    };
    if let Some(items) = value.as_array() {
        if let Some(least) = bound("minItems").filter(|&least| (items.len() as f64) < least) {
            return wrong(format!("at least {least} of them"), &items.len());
        }
        let each = rule.get("items").unwrap_or(&serde_json::Value::Null);
        return items.iter().enumerate().try_for_each(|(i, item)| within_range(&format!("{key}[{i}]"), each, item));
    }
    // What is no number in JSON, such as NaN, is in no range.
    let number = match value.as_f64() {
        None if value.is_null() && rule.get("type").is_some_and(|kind| kind == "number") => f64::NAN,
        None => return Ok(()),
        Some(number) => number,
    };
    let (least, most) = (bound("minimum"), bound("maximum"));
    let (above, below) = (bound("exclusiveMinimum"), bound("exclusiveMaximum"));
    let fits = least.is_none_or(|m| number >= m)
        && most.is_none_or(|m| number <= m)
        && above.is_none_or(|m| number > m)
        && below.is_none_or(|m| number < m);
    if fits {
        return Ok(());
    }
    let text = match (least, most, above, below) {
        (Some(least), Some(most), None, None) => format!("{least} to {most}"),
        (Some(least), None, None, Some(below)) => format!("at least {least} and less than {below}"),
        (Some(least), ..) => format!("at least {least}"),
        (_, Some(most), ..) => format!("at most {most}"),
        (_, _, Some(above), _) => format!("more than {above}"),
        (_, _, _, below) => format!("less than {}", below.unwrap_or_default()),
    };
    wrong(text, &number)
}
