//! Parsers of data sets beside MIMIC: eICU, and the common models OMOP and MEDS.

mod eicu;
mod intervals;
mod meds;
mod omop;

#[cfg(test)]
mod testing;

pub use eicu::EicuOptions;
pub use intervals::Abnormal;
pub use meds::{MedsOptions, Visits};
pub use omop::{OmopCodes, OmopOptions};

dualk_sdk::export_plugin! { parser: EicuOptions, parser: MedsOptions, parser: OmopOptions }
