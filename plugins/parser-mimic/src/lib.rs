//! Parsers of MIMIC-III and MIMIC-IV tables.

mod admissions;
mod diagnoses;
mod events;
mod labs;
mod mimic3;
mod mimic4;
mod options;
mod visits;

pub use mimic3::Mimic3;
pub use mimic4::Mimic4;
pub use options::{Mimic3Options, Mimic4Options};

dualk_sdk::export_plugin! { parser: Mimic3Options, parser: Mimic4Options }
