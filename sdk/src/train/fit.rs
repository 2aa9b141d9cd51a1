//! The training loop.

use super::{Adam, Metrics, Schedule, Select, derive_seed, evaluate, shuffled};
use crate::component::{Loss, Objective};
use crate::data::Examples;
use crate::graph::Graph;
use crate::model::{Model, dense};
use crate::progress::Silent;
use crate::{Error, Progress, Result};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;
use serde::Serialize;
use std::ops::Range;
use std::time::Instant;

/// Steps between two readings of the loss, each of which waits for the device.
const STEPS_PER_READING: usize = 16;

/// One pass over examples, as `metrics.jsonl` has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EpochRecord {
    /// The stage, such as `3-finetune`.
    pub stage: String,
    /// Epoch, from 0.
    pub epoch: usize,
    /// Mean loss of the epoch's training examples, dropout on.
    pub train_loss: f64,
    /// Metrics on valid.
    #[serde(serialize_with = "as_map")]
    pub valid: Metrics,
    /// Metrics on test; only with `compat = "dualk"`, whose code looks at it.
    #[serde(serialize_with = "as_map", skip_serializing_if = "Vec::is_empty")]
    pub test: Metrics,
    /// Learning rate.
    pub lr: f64,
    /// Wall time, evaluation included.
    pub seconds: f64,
}

fn as_map<S: serde::Serializer>(metrics: &Metrics, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(metrics.iter().map(|(name, value)| (name, value)))
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
        let mut optimizer = ModuleOptimizer::from(Adam);
        let mut history = Vec::with_capacity(self.epochs);
        let mut best: Option<(f64, usize, Model)> = None;
        for epoch in 0..self.epochs {
            let start = Instant::now();
            let lr = self.schedule.rate(self.lr, epoch);
            let train_loss;
            (model, train_loss) = self.epoch(model, &mut optimizer, epoch, lr)?;
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

    fn epoch(&self, mut model: Model, optimizer: &mut ModuleOptimizer, epoch: usize, lr: f64) -> Result<(Model, f64)> {
        let seed = derive_seed(self.seed, &[epoch as u64]);
        let device = model.device();
        device.seed(seed);
        let order = shuffled(self.train.len(), seed);
        let what = format!("{} {}/{}", self.name, epoch + 1, self.epochs);
        let mut task = self.progress.begin(&what, "examples", Some(order.len() as u64));
        let (mut sum, mut seen) = (0f64, 0usize);
        let mut waiting: Option<Tensor<1>> = None;
        for (step, chunk) in order.chunks(self.batch).enumerate() {
            let loss;
            (model, loss) = self.step(model, optimizer, chunk, lr);
            let weighted = loss.mul_scalar(chunk.len() as f64);
            waiting = Some(match waiting {
                Some(total) => total + weighted,
                None => weighted,
            });
            seen += chunk.len();
            if step % STEPS_PER_READING == STEPS_PER_READING - 1 {
                sum += read(waiting.take());
                task.message(&format!("loss {:.4}", sum / seen as f64));
            }
            task.advance(chunk.len() as u64);
        }
        sum += read(waiting);
        task.finish("");
        let mean = sum / seen as f64;
        match mean.is_finite() {
            true => Ok((model, mean)),
            false => Err(Error::user(format!("stage {}, epoch {epoch}: the loss became {mean}", self.name))
                .help("lower the stage's `lr`, or check the node features for extreme values")),
        }
    }

    fn step(&self, model: Model, optimizer: &mut ModuleOptimizer, examples: &[usize], lr: f64) -> (Model, Tensor<1>) {
        let batch = self.train.batch(examples);
        let embeddings = model.embeddings(self.graph);
        let device = model.device();
        let logits = model.logits(embeddings, &batch, self.heads.clone());
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

fn read(loss: Option<Tensor<1>>) -> f64 {
    loss.and_then(|l| l.into_data().iter::<f64>().next()).unwrap_or(0.0)
}
