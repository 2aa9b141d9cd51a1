//! Experiments: manifests, what they resolve to, runs and their results.
//!
//! ```ignore
//! let manifest = Manifest::load("experiments/quickstart.toml".as_ref(), &[])?;
//! let outcome = Experiment::new(manifest, Registry::new())?.run(&Console::default())?;
//! println!("{}", outcome.table());
//! ```

mod assessed;
mod building;
mod cached;
mod checkpoint;
pub mod compare;
mod evaluation;
mod export;
mod fingerprint;
mod flow_figure;
pub(crate) mod identity;
mod leaks;
pub mod manifest;
mod outcome;
mod patients;
pub(crate) mod plan;
mod prefixes;
mod recorder;
mod rehearsal;
pub mod report;
mod run;
pub(crate) mod run_dir;
mod scrub;
mod stages;
mod stop;
mod strata;
pub mod sweep;
mod tracking;
mod training;
mod underway;

pub use crate::device;
pub use evaluation::Evaluation;
pub use export::Export;
pub use fingerprint::Fingerprint;
pub use identity::Identity;
pub use manifest::{ComponentRef, Manifest};
pub use outcome::{Outcome, Row, StageOutcome, Stratum, TrainedStage};
pub use patients::PatientTable;
pub use plan::{Experiment, listed_plugins};
pub use rehearsal::StageMemory;
pub use run_dir::{RunDir, Status};
pub use scrub::scrub;
pub use stop::Stop;
pub use tracking::{Event, read_events};
pub use training::{Observers, Trained};
