//! How abnormal results are found where the source does not say it.

use dualk_sdk::data::labs::Rule;
use dualk_sdk::prelude::*;
use dualk_sdk::schemars::JsonSchema;
use dualk_sdk::serde::{Deserialize, Serialize};

/// How abnormal results are found where the source has neither flags nor reference ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum Abnormal {
    /// A result outside the central 95 % of all results of the item in the same unit, as [`Rule::Interval`] has it.
    #[default]
    Interval,
    /// No laboratory items.
    None,
}

impl Abnormal {
    /// What counts of results; `None` when none is read.
    ///
    /// # Errors
    /// Names the key where values of items are to be cut that are not read.
    pub fn rule(self, quantiles: usize) -> Result<Option<Rule>> {
        match self {
            Self::Interval => Rule::of(quantiles, Rule::Interval).map(Some),
            Self::None => not_read(quantiles, "abnormal = \"none\"").map(|()| None),
        }
    }
}

/// Refuses to cut the values of items that the option `why` leaves out.
pub fn not_read(quantiles: usize, why: &str) -> Result<()> {
    match quantiles {
        0 => Ok(()),
        _ => Err(Error::user(format!("{why} reads no laboratory items whose values could be cut"))
            .at_key("quantiles")
            .help("leave one of the two out")),
    }
}
