//! Embeddings of knowledge graphs as experiments: from a manifest to a run folder, or to the vectors that a model starts from.

mod curves;
mod experiment;
mod fit;
mod manifest;
mod vectors;

pub use curves::{ValidationCurve, curves_svg};
pub use experiment::KgeExperiment;
pub(super) use fit::Records;
pub use manifest::{EvaluateOptions, KgeBackend, KgeData, KgeManifest, TrainOptions, kge_schema};
pub(super) use vectors::{NamedEmbedding, VECTORS, Vectors, file_stem, named_at};
