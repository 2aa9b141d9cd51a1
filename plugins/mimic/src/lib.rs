//! Parser of MIMIC-IV tables.

mod admissions;
mod diagnoses;
mod labs;
mod mimic4;
mod options;
mod time;

pub use mimic4::Mimic4;
pub use options::Mimic4Options;

dualk_sdk::export_plugin! { parser: Mimic4Options }
