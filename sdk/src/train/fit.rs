//! The training loop.

use super::ahead::Ahead;
use super::{Adam, Fixed, Metrics, Schedule, Select, derive_seed, evaluate, shuffled};
use crate::component::{Loss, Objective};
use crate::data::{Batch, Examples};
use crate::graph::Graph;
use crate::model::{Model, dense};
use crate::progress::Silent;
use crate::{Error, Progress, Result};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

/// Steps between two readings of the loss on the CPU; other devices are not waited for inside an epoch.
const STEPS_PER_READING: usize = 16;
/// Batches that are made ahead of the step that takes them.
const BATCHES_AHEAD: usize = 2;

/// One pass over examples, as `metrics.jsonl` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// The stage, such as `3-finetune`.
    pub stage: String,
    /// Epoch, from 0.
    pub epoch: usize,
    /// Mean loss of the epoch's training examples, dropout on.
    pub train_loss: f64,
    /// Metrics on valid.
    #[serde(with = "as_map")]
    pub valid: Metrics,
    /// Metrics on test; only with `compat = "dualk"`, whose code looks at it.
    #[serde(with = "as_map", default, skip_serializing_if = "Vec::is_empty")]
    pub test: Metrics,
    /// Learning rate.
    pub lr: f64,
    /// Wall time, evaluation included.
    pub seconds: f64,
}

impl EpochRecord {
    /// As a line of JSON.
    ///
    /// # Errors
    /// None that is known of.
    pub fn to_json(&self) -> crate::Result<String> {
        serde_json::to_string(self).map_err(|e| crate::Error::program(format!("cannot write metrics: {e}")))
    }
}

/// Metrics as an object, in their order; what is no number as null.
mod as_map {
    use super::Metrics;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(metrics: &Metrics, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(metrics.iter().map(|(name, value)| (name, value)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Metrics, D::Error> {
        let map = serde_json::Map::deserialize(deserializer)?;
        Ok(map.into_iter().map(|(name, value)| (name, value.as_f64().unwrap_or(f64::NAN))).collect())
    }
}

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
    /// What before the heads does not train.
    pub fixed: Fixed,
    /// Passes over the examples.
    pub epochs: usize,
    /// Examples a step.
    pub batch: usize,
    /// Learning rate.
    pub lr: f64,
    /// How it falls.
    pub schedule: Schedule,
    /// Which epoch's weights to return.
    pub select: Select,
    /// Seed of order and dropout.
    pub seed: u64,
    /// Where to show progress.
    pub progress: &'a dyn Progress,
}

/// What training yields.
#[derive(Debug)]
pub struct Fitted {
    /// The selected weights.
    pub model: Model,
    /// The epoch they are from.
    pub epoch: usize,
    /// Epoch and weights that were best on valid, where others were selected although there is a valid part.
    pub best_on_valid: Option<(usize, Model)>,
    /// All epochs.
    pub history: Vec<EpochRecord>,
}

impl Fit<'_> {
    /// Trains.
    ///
    /// # Errors
    /// When there is nothing to learn from, the loss stops being a number, or `on_epoch` fails.
    pub fn run(&self, mut model: Model, mut on_epoch: impl FnMut(&EpochRecord) -> Result<()>) -> Result<Fitted> {
        if self.train.is_empty() {
            return Err(Error::user(format!("stage {} has no training examples", self.name))
                .help("the cohort is too small for this split or objective"));
        }
        let ahead = Ahead::new(self.fixed, &model, self.graph, self.train);
        let mut optimizer = ModuleOptimizer::from(Adam);
        let mut history = Vec::with_capacity(self.epochs);
        let mut best: Option<(f64, usize, Model)> = None;
        for epoch in 0..self.epochs {
            let start = Instant::now();
            let lr = self.schedule.rate(self.lr, epoch);
            let train_loss;
            (model, train_loss) = self.epoch(model, &ahead, &mut optimizer, epoch, lr)?;
            let valid = self.metrics(&model, self.valid);
            let test = self.watch.map(|examples| self.metrics(&model, examples)).unwrap_or_default();
            let seconds = start.elapsed().as_secs_f64();
            let record = EpochRecord { stage: self.name.to_owned(), epoch, train_loss, valid, test, lr, seconds };
            on_epoch(&record)?;
            let score = record.valid.iter().find(|(name, _)| name == self.objective.primary()).map(|m| m.1);
            if let Some(score) = score
                && self.remembers_best()
                && best.as_ref().is_none_or(|(top, ..)| score > *top)
            {
                best = Some((score, epoch, model.clone()));
            }
            history.push(record);
        }
        let last = (self.epochs.saturating_sub(1), model);
        let best = best.map(|(_, epoch, model)| (epoch, model));
        let ((epoch, model), best_on_valid) = match (self.select, best) {
            (Select::Best, Some(best)) => (best, None),
            (Select::Best, None) => (last, None),
            (Select::Last, best) => (last, best),
        };
        Ok(Fitted { model, epoch, best_on_valid, history })
    }

    /// Whether the best weights on valid are wanted: to select them, or beside the last ones as the published protocol
    /// is compared with.
    fn remembers_best(&self) -> bool {
        self.select == Select::Best || self.watch.is_some()
    }

    fn epoch(
        &self,
        mut model: Model,
        ahead: &Ahead,
        optimizer: &mut ModuleOptimizer,
        epoch: usize,
        lr: f64,
    ) -> Result<(Model, f64)> {
        let seed = derive_seed(self.seed, &[epoch as u64]);
        let device = model.device();
        device.seed(seed);
        let synchronous = device.without_autodiff() == Device::flex();
        let order = shuffled(self.train.len(), seed);
        let what = format!("{} {}/{}", self.name, epoch + 1, self.epochs);
        let mut task = self.progress.begin(&what, "examples", Some(order.len() as u64));
        let mut losses = Losses::default();
        let (send, batches) = sync_channel(BATCHES_AHEAD);
        std::thread::scope(|scope| {
            let mut chunks = order.chunks(self.batch);
            // Ends with the last batch, or when nobody takes them any more.
            scope.spawn(move || chunks.all(|chunk| send.send((chunk, ahead.batch(self.train, chunk))).is_ok()));
            for (step, (chunk, batch)) in batches.into_iter().enumerate() {
                let loss;
                (model, loss) = self.step(model, ahead, optimizer, chunk, &batch, lr);
                losses.add(loss, chunk.len());
                if synchronous && step % STEPS_PER_READING == STEPS_PER_READING - 1 {
                    task.message(&format!("loss {:.4}", losses.mean()));
                }
                task.advance(chunk.len() as u64);
            }
            task.finish("");
            let mean = losses.mean();
            match mean.is_finite() {
                true => Ok((model, mean)),
                false => Err(Error::user(format!("stage {}, epoch {epoch}: the loss became {mean}", self.name))
                    .help("lower the stage's `lr`, or check the node features for extreme values")),
            }
        })
    }

    fn step(
        &self,
        model: Model,
        ahead: &Ahead,
        optimizer: &mut ModuleOptimizer,
        examples: &[usize],
        batch: &Batch,
        lr: f64,
    ) -> (Model, Tensor<1>) {
        let device = model.device();
        let patients = ahead.patients(&model, self.graph, batch, examples);
        let logits = model.logits(patients, batch, self.heads.clone());
        let losses = logits.into_iter().zip(self.heads.clone()).map(|(logits, head)| {
            let columns = logits.dims()[1];
            self.loss.forward(logits, dense(&batch.targets[head], columns, &device))
        });
        let loss = losses.reduce(|a, b| a + b).unwrap_or_else(|| Tensor::zeros([1], &device));
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        (optimizer.step(lr, model, gradients), loss.detach())
    }

    fn metrics(&self, model: &Model, examples: &Examples) -> Metrics {
        match examples.is_empty() {
            true => Metrics::new(),
            false => evaluate(model, self.graph, examples, self.objective, &mut Silent),
        }
    }
}

/// The losses of an epoch, added up on the device until somebody asks.
#[derive(Default)]
struct Losses {
    waiting: Option<Tensor<1>>,
    sum: f64,
    examples: usize,
}

impl Losses {
    fn add(&mut self, mean: Tensor<1>, examples: usize) {
        let loss = mean.mul_scalar(examples as f64);
        self.waiting = Some(match self.waiting.take() {
            Some(total) => total + loss,
            None => loss,
        });
        self.examples += examples;
    }

    /// The mean over examples. Waits for the device.
    fn mean(&mut self) -> f64 {
        self.sum += self.waiting.take().and_then(|l| l.into_data().iter::<f64>().next()).unwrap_or(0.0);
        self.sum / self.examples as f64
    }
}
