//! Experiments: manifests, what they resolve to, runs and their results.
//!
//! ```ignore
//! let manifest = Manifest::load("experiments/quickstart.toml".as_ref(), &[])?;
//! let (outcome, run) = Experiment::new(manifest, Registry::new())?.run(&Console::default())?;
//! println!("{}\n{}", outcome.table(), run.path().display());
//! ```

mod about;
mod cached;
mod checkpoint;
pub mod compare;
mod components;
mod dataset;
pub mod embedding;
mod evaluation;
#[allow(clippy::module_inception)] // the type that gives the module its name
mod experiment;
mod export;
mod few;
mod fingerprint;
mod groups;
mod heads;
mod identity;
mod inputs;
mod leaks;
mod made;
pub mod manifest;
mod model;
mod oracles;
mod outcome;
mod parts;
mod patients;
mod plan;
mod predictions;
mod prefixes;
mod recorder;
mod records;
mod rehearsal;
pub mod report;
mod resolve;
mod run;
mod run_dir;
mod scrub;
mod stage;
mod states;
mod stop;
mod strata;
pub mod sweep;
mod table;
mod tested;
mod tracking;
mod training;
mod underway;

pub use crate::device;
pub use evaluation::Evaluation;
pub use experiment::Experiment;
pub use export::Export;
pub use fingerprint::Fingerprint;
pub use identity::Identity;
pub use manifest::{ComponentRef, Manifest};
pub use outcome::{Outcome, Row, StageOutcome, Stratum, TrainedStage, TrainedVectors};
pub use patients::PatientTable;
pub use rehearsal::StageMemory;
pub use resolve::{Listed, listed, listed_of_embedding};
pub use run_dir::{RunDir, Status};
pub use scrub::{is_scrubbed, scrub};
pub use stop::Stop;
pub use tracking::{Event, read_events};
pub use training::{Observers, Trained};
