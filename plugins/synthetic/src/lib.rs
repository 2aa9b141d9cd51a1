//! Parser that makes up a MIMIC-IV-shaped cohort, for trying things out without access to patient data.
//!
//! Diseases come in clusters. A cluster has chronic conditions, which a patient keeps, and episodes, which a visit is
//! about; both leave their marks among the laboratory items. So a patient's history tells the chronic codes of the next
//! visit, and its abnormal items tell the episode, while ranking codes by frequency misses both.

mod draw;
mod files;
mod generate;
mod options;
mod patient_rows;
mod raw;
mod world;

#[cfg(test)]
mod learnability;

pub use files::Files;
pub use generate::generate;
pub use options::{Synthetic, SyntheticOptions};
pub use raw::write_raw;

dualk_sdk::export_plugin! { parser: SyntheticOptions }
