//! Parsers beside MIMIC: eICU, the common models OMOP, MEDS and i2b2, and any tables by the names of their columns.

#![cfg_attr(test, allow(clippy::too_many_lines))] // a test is one story

mod abnormal;
mod csv;
mod eicu;
mod i2b2;
mod meds;
mod names;
mod omop;

#[cfg(test)]
mod testing;

pub use abnormal::Abnormal;
pub use csv::{CsvOptions, Written};
pub use eicu::EicuOptions;
pub use i2b2::{Flags, I2b2Options};
pub use meds::{MedsOptions, Visits};
pub use omop::{OmopCodes, OmopOptions, Ranges};

/// What rows of no admission are called.
const OF_NO_VISIT: &str = "of no visit";

/// The same, and what rows of further kinds are called that have no code.
const EVENT_LOSSES: [&str; 2] = [OF_NO_VISIT, "without a code"];

dualk_sdk::export_plugin! {
    parser: CsvOptions,
    parser: EicuOptions,
    parser: I2b2Options,
    parser: MedsOptions,
    parser: OmopOptions,
}
