//! Training in stages: one loop for all of them.

mod adam;
mod ahead;
mod evaluate;
mod fit;
pub mod metrics;
mod random;
mod schedule;

pub use adam::Adam;
pub use ahead::Fixed;
pub use evaluate::{Metrics, evaluate, frequency_baseline, predict};
pub use fit::{EpochRecord, Fit, Fitted};
pub use random::{derive_seed, shuffled};
pub use schedule::{Schedule, Select};
