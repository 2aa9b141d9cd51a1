//! The patient encoder that experiments have by default: two fusions, one over the other.

mod fusions;

pub use fusions::{Fusions, FusionsOptions};

dualk_sdk::export_plugin! { patient_encoder: FusionsOptions }
