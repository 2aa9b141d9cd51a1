//! The steps of an epoch.

use super::best::{Best, scored};
use super::position::{Keeper, Losses, Moment, Position, not_finite, number};
use super::precomputed::Precomputed;
use super::{Fit, Optimizer, StepRecord, Update, derive_seed, shuffled};
use crate::Result;
use crate::component::Loss;
use crate::data::Batch;
use crate::device::generator;
use crate::model::{Model, targets_of};
use crate::progress::Task;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};
use std::sync::mpsc::sync_channel;
use std::time::Instant;

/// Steps between two readings of the loss on the CPU; other devices are not waited for inside an epoch.
const STEPS_PER_READING: usize = 16;
/// Batches that are prefetched.
const PREFETCHED_BATCHES: usize = 2;

/// What the steps of an epoch have in common.
pub(super) struct Epoch<'a> {
    pub fit: &'a Fit<'a>,
    /// For each head the loss that looked at its training targets.
    pub losses: &'a [Option<Box<dyn Loss>>],
    pub precomputed: &'a Precomputed,
    pub keeper: &'a dyn Keeper,
    pub best: Option<&'a Best>,
    /// Where it begins.
    pub from: &'a Position,
}

/// An epoch in progress.
struct Steps<'a> {
    epoch: &'a Epoch<'a>,
    optimizer: &'a mut Optimizer,
    /// Examples of the epoch.
    examples: usize,
    seed: u64,
    device: Device,
    /// Whether the device is waited for at every step.
    synchronous: bool,
    start: Instant,
    total: Losses,
    accumulated: GradientsAccumulator<Model>,
}

/// The examples of a step.
struct Step<'a> {
    index: usize,
    examples: &'a [usize],
    batch: &'a Batch,
}

impl Epoch<'_> {
    /// The steps from [`Epoch::from`] on, and the mean loss of all steps of the epoch.
    pub fn run(&self, mut model: Model, optimizer: &mut Optimizer) -> Result<(Model, f64)> {
        let (fit, epoch, first) = (self.fit, self.from.epoch, self.from.step);
        let seed = derive_seed(fit.seed, &[epoch as u64]);
        let order = if fit.shuffle { shuffled(fit.train.len(), seed) } else { (0..fit.train.len()).collect() };
        let rest = order.get(first * fit.batch..).unwrap_or_default();
        let what = format!("{} {}/{}", fit.name, epoch + 1, fit.epochs);
        let mut task = fit.progress.begin(&what, "examples", Some(order.len() as u64));
        task.go_on_from((order.len() - rest.len()) as u64);
        let mut steps = Steps::new(self, model.device(), optimizer, order.len(), seed);
        let by_visit = model.tells_visits_apart();
        let (send, batches) = sync_channel(PREFETCHED_BATCHES);
        std::thread::scope(|scope| {
            let (mut chunks, train, precomputed) = (rest.chunks(fit.batch), fit.train, self.precomputed);
            // Ends with the last batch, or when nobody takes them any more.
            scope.spawn(move || {
                chunks.all(|chunk| send.send((chunk, precomputed.batch(train, chunk, by_visit))).is_ok())
            });
            for (index, (examples, batch)) in (first..).zip(batches) {
                model = steps.pass(model, &Step { index, examples, batch: &batch }, task.as_mut())?;
            }
            task.finish("");
            steps.end(model)
        })
    }
}

impl<'a> Steps<'a> {
    fn new(epoch: &'a Epoch<'a>, device: Device, optimizer: &'a mut Optimizer, examples: usize, seed: u64) -> Self {
        let synchronous = device.clone().without_autodiff() == Device::flex();
        let total = Losses::resume(&epoch.from.losses, &device);
        let (start, accumulated) = (Instant::now(), GradientsAccumulator::new());
        Self { epoch, optimizer, examples, seed, device, synchronous, start, total, accumulated }
    }

    fn pass(&mut self, mut model: Model, step: &Step<'_>, task: &mut dyn Task) -> Result<Model> {
        let fit = self.epoch.fit;
        // Seeding another device waits for it: there, the numbers of a step follow from where one began, too.
        if self.synchronous || step.index == self.epoch.from.step {
            generator::seed(&self.device, derive_seed(self.seed, &[step.index as u64]));
        }
        let (weight, last) = self.share(step);
        let (loss, gradients) = self.gradients(&model, step, weight)?;
        let gradients = self.accumulated(&model, gradients, last);
        let stepped = gradients.is_some();
        if let Some(gradients) = gradients {
            let (algorithm, rates, clip_norm) = (fit.algorithm, fit.rates, fit.clip_norm);
            let epoch = self.epoch.from.epoch;
            model = self.optimizer.step(model, gradients, Update { algorithm, rates, epoch, clip_norm });
        }
        self.tell(loss, step, task);
        // Gradients that wait for others of their group are nowhere kept.
        if stepped {
            self.look(&model, step.index + 1)?;
        }
        Ok(model)
    }

    /// The part that the step has in the group of batches whose mean gradient is taken, and whether it is the last of it.
    fn share(&self, step: &Step<'_>) -> (f64, bool) {
        let (batch, accumulate) = (self.epoch.fit.batch, self.epoch.fit.accumulate);
        let group = batch * accumulate;
        let begin = step.index / accumulate * group;
        let end = self.examples.min(begin + group);
        let last = step.index * batch + step.examples.len() == end;
        (step.examples.len() as f64 / (end - begin) as f64, last)
    }

    /// The gradients to step by, once those of all batches of the group are there.
    fn accumulated(&mut self, model: &Model, gradients: GradientsParams, last: bool) -> Option<GradientsParams> {
        if self.epoch.fit.accumulate == 1 {
            return Some(gradients);
        }
        self.accumulated.accumulate(model, gradients);
        last.then(|| self.accumulated.grads())
    }

    /// The loss of a batch, and the gradients of `weight` times it. Where it costs nothing, the loss is looked at.
    fn gradients(&self, model: &Model, step: &Step<'_>, weight: f64) -> Result<(Tensor<1>, GradientsParams)> {
        let Epoch { fit, losses, precomputed, from, .. } = self.epoch;
        let encoded = precomputed.encoded(model, fit.graph, step.batch, step.examples);
        let logits = model.logits(encoded, step.batch, fit.heads.clone());
        let each = logits.into_iter().zip(fit.heads.clone()).zip(*losses).map(|((logits, head), fitted)| {
            let columns = logits.dims()[1];
            let loss = fitted.as_deref().unwrap_or(fit.loss);
            loss.forward(logits, targets_of(step.batch, head, columns, &self.device))
        });
        let loss = each.reduce(|a, b| a + b).unwrap_or_else(|| Tensor::zeros([1], &self.device));
        if self.synchronous {
            let value = number(loss.clone().detach());
            if !value.is_finite() {
                return Err(not_finite(fit.name, from.epoch, Some(step.index), value, model));
            }
        }
        let weighted = if weight == 1.0 { loss.clone() } else { loss.clone() * weight };
        Ok((loss.detach(), GradientsParams::from_grads(weighted.backward(), model)))
    }

    /// Adds a loss to the mean, and reports the step.
    fn tell(&mut self, loss: Tensor<1>, step: &Step<'_>, task: &mut dyn Task) {
        let fit = self.epoch.fit;
        if let Some(on_step) = fit.on_step {
            let lr = fit.rates.at(self.epoch.from.epoch);
            on_step(StepRecord { loss: loss.clone().into_scalar::<f64>(), lr });
        }
        self.total.add(loss, step.examples.len(), !self.synchronous);
        if self.synchronous && step.index % STEPS_PER_READING == STEPS_PER_READING - 1 {
            task.message(&format!("loss {:.4}", self.total.mean()));
        }
        task.advance(step.examples.len() as u64);
    }

    /// Lets the keeper look before the step `next`.
    fn look(&self, model: &Model, next: usize) -> Result<()> {
        let Epoch { keeper, best, from, .. } = self.epoch;
        let (spent, score) = (self.start.elapsed() + from.spent, scored(*best));
        keeper.look(&Moment {
            stage: self.epoch.fit.name,
            model,
            optimizer: self.optimizer,
            best: best.map(|best| &best.model),
            epoch_ended: false,
            position: Position { epoch: from.epoch, step: next, best: score, spent, ..Position::default() },
            losses: Some(&self.total),
        })
    }

    fn end(mut self, model: Model) -> Result<(Model, f64)> {
        let (mean, from) = (self.total.mean(), self.epoch.from);
        if mean.is_finite() {
            return Ok((model, mean));
        }
        let step = self.total.first_not_finite().map(|step| from.step + step);
        Err(not_finite(self.epoch.fit.name, from.epoch, step, mean, &model))
    }
}
