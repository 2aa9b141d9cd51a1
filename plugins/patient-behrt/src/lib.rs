//! A patient encoder: self-attention among all codes of all visits, after BEHRT (Li et al., Scientific Reports 2020).

mod behrt;
mod tokens;

pub use behrt::{Behrt, BehrtOptions};

dualk_sdk::export_plugin! { patient_encoder: BehrtOptions }
