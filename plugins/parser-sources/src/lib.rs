//! Parsers beside MIMIC: eICU, the common models OMOP and MEDS, and any tables by the names of their columns.

mod csv;
mod eicu;
mod intervals;
mod meds;
mod omop;

#[cfg(test)]
mod testing;

pub use csv::{CsvOptions, Written};
pub use eicu::EicuOptions;
pub use intervals::Abnormal;
pub use meds::{MedsOptions, Visits};
pub use omop::{OmopCodes, OmopOptions};

dualk_sdk::export_plugin! { parser: CsvOptions, parser: EicuOptions, parser: MedsOptions, parser: OmopOptions }
