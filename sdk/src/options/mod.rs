//! Options of components: typed, documented, with defaults.

mod reading;
mod words;

use crate::{Error, Result};
pub(crate) use reading::{Refused, read};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::{Table, Value};
pub(crate) use words::in_words;

/// Declares the options of a component: a struct with a default for every field, refused when a manifest has other
/// keys. Derives serde and JSON Schema through the SDK, so that a plugin needs neither as a dependency.
///
/// Ranges are declared with `#[schemars(range(…))]`, for lists with `length(min = …)` and `inner(range(…))`, those of
/// fractions with [`with = "Fraction"`](crate::options::Fraction) and [`with = "Proportion"`](crate::options::Proportion). A
/// registry compares the options of a manifest with them before anything is built; what relates two options, `build` checks.
///
/// ```
/// dualk_sdk::options! {
///     /// Options of `mean`.
///     pub struct MeanOptions {
///         /// Width of the output.
///         #[schemars(range(min = 1))]
///         pub dim: usize = 256,
///         /// Dropout rate of the output.
///         #[schemars(with = "dualk_sdk::options::Fraction")]
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

/// The range of fractions, such as rates of dropout: at least 0 and less than 1. A field of numbers has it by
/// `#[schemars(with = "Fraction")]`.
#[derive(Debug)]
pub struct Fraction;

impl JsonSchema for Fraction {
    fn schema_name() -> Cow<'static, str> {
        "Fraction".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "format": "double", "minimum": 0.0, "exclusiveMaximum": 1.0 })
    }
}

/// The range of proportions and chances: 0 to 1, where both may be, 0 for nothing and 1 for all. A field of numbers has it by
/// `#[schemars(with = "Proportion")]`.
#[derive(Debug)]
pub struct Proportion;

impl JsonSchema for Proportion {
    fn schema_name() -> Cow<'static, str> {
        "Proportion".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "format": "double", "minimum": 0.0, "maximum": 1.0 })
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

/// The schema of a type in one piece, so that it can be put inside another.
pub(crate) fn schema_of<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>()
}

/// Refuses every number outside of the range that its type declares for it, by its key.
pub(crate) fn within_ranges<T: JsonSchema + Serialize>(value: &T) -> Result<()> {
    let written = Table::try_from(value).map_err(|e| Error::program(format!("options cannot be written: {e}")))?;
    out_of_range(&schema_of::<T>(), written).into_iter().reduce(Error::and).map_or(Ok(()), Err)
}

/// What the ranges exclude that a schema in one piece declares: every value outside of them, by its key.
pub(crate) fn out_of_range(schema: &Schema, options: Table) -> Vec<Error> {
    let mut found = Vec::new();
    compare("", schema.as_value(), &Value::Table(options), &mut found);
    found
}

fn compare(key: &str, rule: &Json, value: &Value, found: &mut Vec<Error>) {
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                let named = rule.get("properties").and_then(|known| known.get(name));
                let Some(rule) = named.or_else(|| rule.get("additionalProperties")) else { continue };
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                compare(&key, rule, value, found);
            }
            let choices = ["oneOf", "anyOf"].iter().filter_map(|choices| rule.get(choices)?.as_array()).flatten();
            choices.filter(|choice| is_of(choice, table)).for_each(|choice| compare(key, choice, value, found));
        }
        Value::Array(items) => {
            let bound = |name: &str| rule.get(name).and_then(Json::as_u64);
            let (fewest, most) = (bound("minItems").unwrap_or(0), bound("maxItems").unwrap_or(u64::MAX));
            let count = items.len() as u64;
            if !(fewest..=most).contains(&count) {
                let range = if count < fewest { format!("at least {fewest}") } else { format!("at most {most}") };
                found.push(Error::user(format!("expected {range} of them, found {count}")).at_key(key));
            }
            let each = rule.get("items").unwrap_or(&Json::Null);
            items.iter().enumerate().for_each(|(i, item)| compare(&format!("{key}[{i}]"), each, item, found));
        }
        _ => {
            let number = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
            let (Some(number), Some(range)) = (number, Range::declared(rule)) else { return };
            let is_size = range.is_open() && rule.get("format").and_then(Json::as_str) == Some("uint");
            if is_size && number > LARGEST_SIZE {
                found.push(Error::user(format!("expected at most {LARGEST_SIZE}, found {number}")).at_key(key));
            }
            if !range.contains(number) {
                let finite = if number == f64::INFINITY && range.is_open() { " and finite" } else { "" };
                found.push(Error::user(format!("expected {range}{finite}, found {number}")).at_key(key));
            }
        }
    }
}

/// The largest width, length or number of things (`usize`) that an option without a declared maximum may ask for: beyond it products of
/// two of them, such as the numbers of a layer, are more than any memory holds, and more than programs count.
const LARGEST_SIZE: f64 = 16_777_216.0;

/// Whether a choice of a schema is about such a table, by its tags.
fn is_of(choice: &Json, table: &Table) -> bool {
    let properties = choice.get("properties").and_then(Json::as_object).into_iter().flatten();
    let mut tags = properties.filter_map(|(name, rule)| Some((name, rule.get("const")?.as_str()?)));
    tags.all(|(name, tag)| table.get(name).and_then(Value::as_str) == Some(tag))
}

/// The numbers that a schema accepts: finite ones, and `inf` with `x-infinite`, for which JSON has no number.
struct Range {
    least: Option<f64>,
    most: Option<f64>,
    above: Option<f64>,
    below: Option<f64>,
    infinite: bool,
}

impl Range {
    /// The range of a rule, if it declares any bound.
    fn declared(rule: &Json) -> Option<Self> {
        let bound = |name: &str| rule.get(name).and_then(Json::as_f64);
        let (least, most) = (bound("minimum"), bound("maximum"));
        let (above, below) = (bound("exclusiveMinimum"), bound("exclusiveMaximum"));
        let infinite = rule.get("x-infinite").is_some();
        [least, most, above, below].iter().any(Option::is_some).then_some(Self { least, most, above, below, infinite })
    }

    /// Whether only `inf` is too large.
    fn is_open(&self) -> bool {
        self.most.is_none() && self.below.is_none() && !self.infinite
    }

    fn contains(&self, number: f64) -> bool {
        (number.is_finite() || (self.infinite && number == f64::INFINITY))
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
        }?;
        f.write_str(if self.infinite { ", or inf" } else { "" })
    }
}

/// Refuses things of so many bytes that the machine has no memory for, before there is any for them: the system would end the
/// program. `available` is what the machine has left, as `memory::available` says.
///
/// # Errors
/// When they take more.
pub fn check_room(what: &str, bytes: f64, available: Option<u64>) -> Result<()> {
    match available.map(|left| left as f64) {
        Some(left) if bytes > left => {
            let (bytes, left) = (bytes / 1e9, left / 1e9);
            Err(Error::user(format!("{what} take {bytes:.1} GB, of which the machine has {left:.1} GB left")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, JsonSchema)]
    struct Sizes {
        dim: usize,
        #[schemars(inner(range(min = 1)))]
        dims: Vec<usize>,
        patience: Option<usize>,
        #[schemars(range(max = 1e15))]
        declared: usize,
        seed: u64,
    }

    #[test]
    fn sizes_beyond_any_memory_are_refused_by_their_keys() {
        let large = 1 << 40;
        let sizes =
            |size| Sizes { dim: size, dims: vec![1, size], patience: Some(size), declared: large, seed: 1 << 40 };
        let error = within_ranges(&sizes(large)).unwrap_err().to_string();
        for key in ["dim", "dims[1]", "patience"] {
            assert!(error.contains(&format!("`{key}`: expected at most 16777216, found 1099511627776")), "{error}");
        }
        assert_eq!(error.matches("expected").count(), 3, "{error}");
        within_ranges(&sizes(1 << 24)).unwrap();
    }
}
