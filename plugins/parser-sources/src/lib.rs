//! Parsers beside MIMIC: eICU, the common models OMOP and MEDS, and any tables by the names of their columns.

#![cfg_attr(test, allow(clippy::too_many_lines))] // a test is one story

mod abnormal;
mod csv;
mod eicu;
mod events;
mod meds;
mod omop;

#[cfg(test)]
mod testing;

pub use abnormal::Abnormal;
pub use csv::{CsvOptions, Written};
pub use eicu::EicuOptions;
pub use meds::{MedsOptions, Visits};
pub use omop::{OmopCodes, OmopOptions, Ranges};

dualk_sdk::export_plugin! { parser: CsvOptions, parser: EicuOptions, parser: MedsOptions, parser: OmopOptions }
