//! Cohorts, vocabularies, splits, examples and batches.

mod cohort;
pub(crate) mod cohort_file;
mod dataset;
mod examples;
mod facts;
mod ids;
pub(crate) mod prepare;
mod readings;
mod source_options;
mod spelling;
mod split;
mod stays;
pub(crate) mod time;
mod visits;
mod vocabulary;

pub mod atc;
pub mod codes;
pub mod coding;
pub mod columns;
pub mod events;
pub mod flow;
pub mod hierarchy;
pub mod icd;
pub mod knowledge;
pub mod labs;
pub mod legacy_random;
pub mod tables;
pub mod tasks;

pub use crate::sparse::{Ragged, Sets};
pub use cohort::{Cohort, LabItem};
pub use dataset::{Dataset, Splits, Vocabulary};
pub use examples::{AGES, Batch, Examples};
pub use facts::{AdmissionFacts, Demographics, Events, PatientFacts, Sex};
pub use flow::Step;
pub use ids::Ids;
pub use prepare::{check_out, prepare, prepare_for, write};
pub use readings::Readings;
pub use source_options::CodeTables;
pub use split::{SplitOptions, split};
pub use stays::Stays;
pub use time::{Dates, SECONDS_PER_DAY, seconds, year_of, years_between};
pub use visits::Visits;
pub use vocabulary::{build_vocabulary, vocabulary_of};
