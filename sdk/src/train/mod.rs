//! Training in stages: one loop for all of them.

mod ahead;
mod evaluate;
mod fit;
pub mod metrics;
mod optimizer;
mod random;
mod schedule;

pub use ahead::Fixed;
pub use evaluate::{Metrics, evaluate, frequency_baseline, predict};
pub use fit::{EpochRecord, Fit, Fitted, StepRecord};
pub use optimizer::{Optimizer, OptimizerState};
pub use random::{derive_seed, shuffled};
pub use schedule::{Schedule, Select};
