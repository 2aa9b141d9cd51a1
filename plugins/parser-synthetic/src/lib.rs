//! Parser that makes up a MIMIC-IV-shaped cohort, for trying things out without access to patient data.
//!
//! Every disease is a hidden chain of states over visits: healthy, deranged, diagnosed and, for chronic ones, progressed.
//! Laboratory items turn abnormal with derangement, codes come with the diagnosis; chronic diseases stay, acute ones come
//! and go. Diseases come in clusters. Hierarchy and knowledge graph tell which chronic code a rare variant is one of.
//! Because the chains are known, so are the best predictions: `hidden::oracle` computes them.
//!
//! Without `--of` the tables of `dualk synth` are of an older and simpler kind of patients, in `generate` and `world`: how
//! fast they are read, and what the published code makes of them, was measured, so that they stay what they are.

mod draw;
mod files;
mod generate;
mod hidden;
mod knowledge;
mod options;
mod patient_rows;
mod raw;
mod world;

pub use files::Files;
pub use hidden::simulate::generate;
pub use knowledge::{Fact, Knowledge};
pub use options::{Synthetic, SyntheticOptions};
pub use raw::{write_patients, write_raw};

dualk_sdk::export_plugin! { parser: SyntheticOptions }
