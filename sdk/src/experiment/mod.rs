//! Experiments: manifests, what they resolve to, runs and their results.
//!
//! ```ignore
//! let manifest = Manifest::load("experiments/quickstart.toml".as_ref(), &[])?;
//! let outcome = Experiment::new(manifest, Registry::new())?.run(&Console::default())?;
//! println!("{}", outcome.table());
//! ```

mod cached;
pub mod device;
mod evaluation;
pub mod manifest;
mod outcome;
mod plan;
mod report;
mod run;
mod run_dir;
mod stages;
mod training;

pub use evaluation::Evaluation;
pub use manifest::{ComponentRef, Manifest};
pub use outcome::{Outcome, Row, StageOutcome};
pub use plan::{Experiment, listed_plugins};
pub use run_dir::RunDir;
pub use training::{Observers, Trained};
