//! Training in stages: one loop for all of them.

mod assess;
mod baselines;
mod best;
mod bootstrap;
mod checks;
mod epoch;
mod evaluate;
mod fit;
mod meter;
pub mod metrics;
mod optimizer;
mod position;
mod precomputed;
mod random;
mod record;
mod resampled;
mod schedule;
mod settings;

pub use assess::{ACCURACY, Assessment, Reliability, Scale, assess, assess_binary, assess_numbers, log_loss};
pub use baselines::{BaselineContext, Choice, LogisticRegression, Offsets, Scored, baselines};
pub(crate) use baselines::{mean_prior, prior};
pub use bootstrap::{Interval, RESAMPLES, Ranked, Resamples, group_ids};
pub(crate) use checks::{check_examples, check_metric};
pub use evaluate::{Metrics, evaluate, metrics_of, predict, predict_blocks};
pub use fit::Fitted;
pub use meter::{Binary, Numbers, Ranking};
pub use optimizer::{Algorithm, Optimizer, Rates, Update};
pub(crate) use optimizer::{named_or_table, named_or_table_schema};
pub use position::{Keeper, LossesSoFar, Moment, Position, Start};
pub use precomputed::FrozenPart;
pub use random::{derive_seed, shuffled};
pub use record::EpochRecord;
pub(crate) use resampled::{drawn_f1, drawn_numbers};
pub use schedule::{Schedule, Select};
pub use settings::{Fit, StepRecord};
