//! Embeddings of knowledge graphs: the graph, the models' trait, training, ranking. Experiments with them, from manifest to run
//! folder, are in [`experiment::embedding`](crate::experiment::embedding).
//!
//! Training runs on the CPU, fused by entity (see [`Stepper`]), or on a GPU for models with a [`Formula`]; models are
//! components of the slot `kge_model`.

mod adam;
mod baseline;
#[cfg(cube)]
mod cube;
mod files;
mod formula;
mod known;
mod loss;
mod metrics;
mod model;
mod outcome;
mod plot;
mod rank;
mod sample;
mod schedule;
mod slot;
mod split;
mod step;
mod trainer;
mod triples;

pub use crate::data::knowledge::{GraphSource, Names, Triple};
pub use adam::{Adam, Rates, Table};
pub use baseline::Backwards;
#[cfg(cube)]
pub use cube::{DeviceRanker, DeviceStepper};
pub(crate) use files::{Checkpoint, Done, save_checkpoint};
pub use files::{EMBEDDINGS, Embeddings, load_embeddings, save_embeddings};
pub(crate) use formula::Sizes;
pub use formula::{Equation, Formula};
pub use known::Known;
pub use metrics::{LinkMetrics, RankMetrics};
pub use model::{EmbeddingModel, Queries, Side};
pub use outcome::KgeOutcome;
pub use plot::{Subtree, nearest, polar_svg};
pub(crate) use rank::ranks_while;
pub use rank::{Rank, Scorer, Ties, Trained, ranks};
pub use sample::{Batch, NONE, SampleOptions, Sampler, Used, window};
pub use schedule::{KgeSchedule, Unused};
pub use slot::{BuildKgeModel, KgeModelSlot};
pub use split::KgeSplit;
pub use step::{Gradients, Parameters, Stepper};
pub use trainer::{Trainer, ranks_on};
pub(crate) use trainer::{check_sizes, ranks_on_while};
pub use triples::KnowledgeGraph;
