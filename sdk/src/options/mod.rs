//! Options of components: typed, documented, with defaults.

use crate::{Error, Result};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Declares the options of a component: a struct with a default for every field, refused when a manifest has other
/// keys. Derives serde and JSON Schema through the SDK, so that a plugin needs neither as a dependency.
///
/// Ranges are declared with `#[schemars(range(…))]`, for lists with `length(min = …)` and `inner(range(…))`. A registry
/// compares the options of a manifest with them before anything is built; what relates two options, `build` checks.
///
/// ```
/// dualk_sdk::options! {
///     /// Options of `mean`.
///     pub struct MeanOptions {
///         /// Width of the output.
///         #[schemars(range(min = 1))]
///         pub dim: usize = 256,
///         /// Part that is dropped during training.
///         #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
///         pub dropout: f64 = 0.0,
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

/// A folder of embeddings of a knowledge graph, which `dualk kge train` wrote, or the manifest (`.toml`) that makes it; relative
/// as a [`FilePath`]. A part of a model may have such an option: where a manifest is named, the experiment trains the
/// embeddings, or takes them from the cache, and names their folder instead before it builds the part for work.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(crate = "serde", transparent)]
pub struct MadeFolder(pub PathBuf);

impl MadeFolder {
    /// The key of a schema that marks such an option, and its value.
    pub(crate) const MARK: &'static str = "x-made-by";
    pub(crate) const EMBEDDING: &'static str = "kge";

    /// The path when one is given.
    pub fn given(&self) -> Option<&Path> {
        (!self.0.as_os_str().is_empty()).then_some(self.0.as_path())
    }

    /// Whether it is yet to be made: a manifest is named. Parts are built so to check their options.
    pub fn is_to_be_made(&self) -> bool {
        self.0.extension().is_some_and(|extension| extension == "toml")
    }
}

impl JsonSchema for MadeFolder {
    fn schema_name() -> Cow<'static, str> {
        "MadeFolder".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "path", "x-made-by": "kge" })
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

/// The last of the widths of layers, or an error naming `key` when there is none.
pub fn last_width(key: &str, widths: &[usize]) -> Result<usize> {
    let none = || Error::user("expected the width of at least one layer, found none").at_key(key);
    widths.last().copied().ok_or_else(none)
}

/// `heads`, or an error naming `key` unless it divides `width`, which `of` names.
pub fn divisor(key: &str, heads: usize, of: &str, width: usize) -> Result<usize> {
    match width.is_multiple_of(heads) {
        true => Ok(heads),
        false => {
            let message = format!("expected a number that divides `{of}`, which is {width}, found {heads}");
            Err(Error::user(message).at_key(key))
        }
    }
}

/// What the ranges exclude that a schema of options declares: for each option that is outside the first value, by its key.
pub(crate) fn out_of_range(schema: &Schema, options: &Table) -> Vec<Error> {
    let properties = schema.get("properties").and_then(Json::as_object);
    let rules = properties.into_iter().flatten();
    rules.filter_map(|(key, rule)| within_range(key, rule, options.get(key)?).err()).collect()
}

fn within_range(key: &str, rule: &Json, value: &Value) -> Result<()> {
    if let Some(items) = value.as_array() {
        let fewest = rule.get("minItems").and_then(Json::as_u64).unwrap_or(0);
        if (items.len() as u64) < fewest {
            return Err(Error::user(format!("expected at least {fewest} of them, found {}", items.len())).at_key(key));
        }
        let each = rule.get("items").unwrap_or(&Json::Null);
        return items.iter().enumerate().try_for_each(|(i, item)| within_range(&format!("{key}[{i}]"), each, item));
    }
    let number = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
    let (Some(number), Some(range)) = (number, Range::declared(rule)) else { return Ok(()) };
    match range.contains(number) {
        true => Ok(()),
        false => Err(Error::user(format!("expected {range}, found {number}")).at_key(key)),
    }
}

/// The finite numbers that a schema accepts.
struct Range {
    least: Option<f64>,
    most: Option<f64>,
    above: Option<f64>,
    below: Option<f64>,
}

impl Range {
    /// That of a rule, if it declares any bound.
    fn declared(rule: &Json) -> Option<Self> {
        let bound = |name: &str| rule.get(name).and_then(Json::as_f64);
        let (least, most) = (bound("minimum"), bound("maximum"));
        let (above, below) = (bound("exclusiveMinimum"), bound("exclusiveMaximum"));
        [least, most, above, below].iter().any(Option::is_some).then_some(Self { least, most, above, below })
    }

    fn contains(&self, number: f64) -> bool {
        number.is_finite()
            && self.least.is_none_or(|m| number >= m)
            && self.most.is_none_or(|m| number <= m)
            && self.above.is_none_or(|m| number > m)
            && self.below.is_none_or(|m| number < m)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lower = self.least.map(|m| format!("at least {m}")).or(self.above.map(|m| format!("more than {m}")));
        let upper = self.most.map(|m| format!("at most {m}")).or(self.below.map(|m| format!("less than {m}")));
        match (lower, upper) {
            (Some(lower), Some(upper)) => match (self.least, self.most) {
                (Some(least), Some(most)) => write!(f, "{least} to {most}"),
                _ => write!(f, "{lower} and {upper}"),
            },
            (Some(only), None) | (None, Some(only)) => match (self.above, self.below) {
                (Some(above), _) => write!(f, "a number above {above}"),
                (_, Some(below)) => write!(f, "a number below {below}"),
                _ => write!(f, "a number of {only}"),
            },
            (None, None) => f.write_str("a number"),
        }
    }
}
