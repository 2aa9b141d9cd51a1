//! A patient encoder: transitions of diagnoses from visit to visit over a dynamic disease graph, Chet (Lu, Han and Ning, AAAI
//! 2022).

mod cell;
mod chet;
mod companions;
mod histories;

pub use chet::{Chet, ChetOptions};

dualk_sdk::export_plugin! { patient_encoder: ChetOptions }
