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
