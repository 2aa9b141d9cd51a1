//! What a training loop is told.

use super::{Algorithm, Rates, Select};
use crate::Progress;
use crate::component::{Loss, Objective};
use crate::data::Examples;
use crate::graph::Graph;
use std::ops::Range;

/// What to train, on what and how.
pub struct Fit<'a> {
    /// Name of the stage.
    pub name: &'a str,
    /// The graph.
    pub graph: &'a Graph,
    /// What is learnt.
    pub objective: &'a dyn Objective,
    /// What is minimised, summed over heads.
    pub loss: &'a dyn Loss,
    /// Examples to learn from.
    pub train: &'a Examples,
    /// Examples to choose the epoch on; may be empty.
    pub valid: &'a Examples,
    /// Examples to look at every epoch, as the published code does.
    pub watch: Option<&'a Examples>,
    /// The heads to train.
    pub heads: Range<usize>,
    /// Prefixes of the paths of parameters that do not train.
    pub frozen: &'a [String],
    /// Whether frozen parts before the heads keep their dropout, as published.
    pub dropout_in_frozen: bool,
    /// Passes over the examples.
    pub epochs: usize,
    /// Epochs, from the first, in which dropout acts; all of them when `None`.
    pub dropout_epochs: Option<usize>,
    /// Examples a step.
    pub batch: usize,
    /// Whether each epoch takes the examples in an order of its own.
    pub shuffle: bool,
    /// Batches whose mean gradient makes a step.
    pub accumulate: usize,
    /// Learning rates.
    pub rates: &'a Rates,
    /// The optimizer.
    pub algorithm: &'a Algorithm,
    /// The largest norm of all gradients together.
    pub clip_norm: Option<f64>,
    /// Epochs without a better score on valid after which training ends.
    pub patience: Option<usize>,
    /// Which epoch's weights to return.
    pub select: Select,
    /// Seed of order and dropout.
    pub seed: u64,
    /// Where to show progress.
    pub progress: &'a dyn Progress,
    /// Called after every step, each of which is then waited for.
    pub on_step: Option<&'a dyn Fn(StepRecord)>,
}

/// One step of the optimizer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepRecord {
    /// The loss, before the step.
    pub loss: f64,
    /// The learning rate.
    pub lr: f64,
}
