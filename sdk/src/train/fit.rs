//! The training loop.

use super::evaluate::evaluate_seeing;
use super::metrics::lower_is_better;
use super::position::{Keeper, Losses, Moment, Nobody, Position, Start, not_finite, number};
use super::precomputed::Precomputed;
use super::record::EpochRecord;
use super::{Algorithm, FrozenPart, Metrics, Optimizer, Rates, Select, Update, derive_seed, evaluate, shuffled};
use crate::component::{Loss, Objective};
use crate::data::{Batch, Examples};
use crate::device::generator;
use crate::graph::Graph;
use crate::model::{Model, set_dropout, targets_of};
use crate::progress::Silent;
use crate::{Error, Progress, Result};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};
use std::ops::Range;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

/// Steps between two readings of the loss on the CPU; other devices are not waited for inside an epoch.
const STEPS_PER_READING: usize = 16;
/// Batches that are made ahead of the step that takes them.
const BATCHES_AHEAD: usize = 2;

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
    /// Who wants to know of every step; each is then waited for.
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

/// What training yields.
#[derive(Debug)]
pub struct Fitted {
    /// The selected weights.
    pub model: Model,
    /// The optimizer after the last step.
    pub optimizer: Optimizer,
    /// The epoch they are from.
    pub epoch: usize,
    /// Epoch and weights that were best on valid, where others were selected although there is a valid part.
    pub best_on_valid: Option<(usize, Model)>,
    /// All epochs.
    pub history: Vec<EpochRecord>,
}

impl Fit<'_> {
    /// Trains, the optimizer going on from what it knows.
    ///
    /// # Errors
    /// When there is nothing to learn from, the loss stops being a number, the objective's primary metric is none of
    /// its metrics, or `on_epoch` fails.
    pub fn run(
        &self,
        model: Model,
        optimizer: Optimizer,
        on_epoch: impl FnMut(&EpochRecord) -> Result<()>,
    ) -> Result<Fitted> {
        self.run_from(model, optimizer, Start::default(), &Nobody, on_epoch)
    }

    /// The same from any step on; `keeper` looks at what is needed for that after every step. Random numbers of a step
    /// follow from [`Fit::seed`], epoch and step alone, so that on the CPU it makes no difference where one begins.
    ///
    /// # Errors
    /// As [`Fit::run`], and those of `keeper`.
    pub fn run_from(
        &self,
        model: Model,
        optimizer: Optimizer,
        start: Start,
        keeper: &dyn Keeper,
        on_epoch: impl FnMut(&EpochRecord) -> Result<()>,
    ) -> Result<Fitted> {
        generator::alone(|| self.train_from(model, optimizer, start, keeper, on_epoch))
    }

    fn train_from(
        &self,
        mut model: Model,
        mut optimizer: Optimizer,
        start: Start,
        keeper: &dyn Keeper,
        mut on_epoch: impl FnMut(&EpochRecord) -> Result<()>,
    ) -> Result<Fitted> {
        self.check()?;
        let losses = self.losses(&model);
        let mut history = Vec::with_capacity(self.epochs);
        let Start { mut position, best } = start;
        let mut best = position.best.zip(best).map(|((score, epoch), model)| Best { score, epoch, model });
        let mut dropout = self.drops_in(position.epoch);
        if !dropout {
            model = set_dropout(model, false);
        }
        let mut precomputed = self.precomputed(&model, dropout);
        for epoch in position.epoch..self.epochs {
            // Here, so that a resumed training ends where it would have.
            if self.has_waited_enough(epoch, best.as_ref()) {
                break;
            }
            let start = Instant::now();
            if dropout != self.drops_in(epoch) {
                dropout = self.drops_in(epoch);
                model = set_dropout(model, dropout);
                precomputed = self.precomputed(&model, dropout);
            }
            let lr = self.rates.at(epoch);
            let train_loss;
            let spent = position.spent;
            let pass =
                Pass { losses: &losses, precomputed: &precomputed, keeper, best: best.as_ref(), from: &position };
            (model, train_loss) = self.epoch(model, &mut optimizer, pass)?;
            let ((valid, valid_loss), test) = self.evaluated(&model, &losses);
            let seconds = (start.elapsed() + spent).as_secs_f64();
            let record =
                EpochRecord { stage: self.name.to_owned(), epoch, train_loss, valid_loss, valid, test, lr, seconds };
            on_epoch(&record)?;
            if (self.remembers_best() || self.patience.is_some()) && !record.valid.is_empty() {
                remember(&mut best, self.score(&record.valid)?, epoch, &model);
            }
            history.push(record);
            position = Position { epoch: epoch + 1, best: scored(best.as_ref()), ..Position::default() };
            let (best, position) = (best.as_ref().map(|best| &best.model), position.clone());
            let optimizer = &optimizer;
            keeper.look(&Moment { model: &model, optimizer, best, epoch_ended: true, position, losses: None })?;
        }
        let ((epoch, model), best_on_valid) = self.chosen((position.epoch.saturating_sub(1), model), best)?;
        let restored = |model| if self.dropout_epochs.is_some() { set_dropout(model, true) } else { model };
        let best_on_valid = best_on_valid.map(|(epoch, model)| (epoch, restored(model)));
        Ok(Fitted { model: restored(model), optimizer, epoch, best_on_valid, history })
    }

    /// Whether there is something to learn from and, where that ends training, to judge by.
    fn check(&self) -> Result<()> {
        if self.train.is_empty() {
            return Err(Error::user(format!("stage {} has no training examples", self.name))
                .help("the cohort is too small for this split or objective"));
        }
        if self.patience.is_some() && self.valid.is_empty() {
            return Err(Error::user(format!("stage {} has a `patience` and no valid examples to judge by", self.name))
                .help("remove `patience`, or give the split valid patients"));
        }
        Ok(())
    }

    /// Whether training ends before `epoch` because no epoch was better than the best for too long.
    fn has_waited_enough(&self, epoch: usize, best: Option<&Best>) -> bool {
        let since = self.patience.zip(best).filter(|(patience, best)| epoch > best.epoch + patience);
        if let Some((_, best)) = since {
            self.progress.line(&format!("{}: no better score since epoch {}", self.name, best.epoch + 1));
        }
        since.is_some()
    }

    /// Metrics and mean loss on valid, and metrics on the examples that are watched.
    fn evaluated(&self, model: &Model, losses: &[Option<Box<dyn Loss>>]) -> ((Metrics, Option<f64>), Metrics) {
        let watched = self.watch.map(|examples| self.metrics(model, examples));
        (self.on_valid(model, losses), watched.unwrap_or_default())
    }

    /// Of the last epoch and the best the one that is selected, and the best where that is another.
    fn chosen(&self, last: (usize, Model), best: Option<Best>) -> Result<Chosen> {
        let best = best.map(|best| (best.epoch, best.model)).filter(|_| self.remembers_best());
        match (self.select, best) {
            (Select::Best, Some(best)) => Ok((best, None)),
            (Select::Best, None) if self.valid.is_empty() => Ok((last, None)),
            (Select::Best, None) => Err(self.undefined()),
            (Select::Last, best) => Ok((last, best)),
        }
    }

    /// Whether dropout acts in `epoch`.
    fn drops_in(&self, epoch: usize) -> bool {
        self.dropout_epochs.is_none_or(|epochs| epoch < epochs)
    }

    /// What frozen parts give, computed once where no dropout makes every step differ.
    fn precomputed(&self, model: &Model, dropout: bool) -> Precomputed {
        let frozen = FrozenPart::of(self.frozen, self.dropout_in_frozen && dropout);
        Precomputed::new(frozen, model, self.graph, self.train)
    }

    /// The loss of each head in [`Fit::heads`] where it looks at the training targets; elsewhere [`Fit::loss`] serves.
    fn losses(&self, model: &Model) -> Vec<Option<Box<dyn Loss>>> {
        let fitted = |head: usize| self.loss.fitted(&self.train.targets[head], model.head_specs()[head].outputs);
        self.heads.clone().map(fitted).collect()
    }

    /// The metric that chooses the epoch, so that higher is better.
    fn score(&self, metrics: &Metrics) -> Result<f64> {
        let primary = self.objective.primary();
        match metrics.iter().find(|(name, _)| name == primary) {
            Some((_, value)) => Ok(if lower_is_better(primary) { -value } else { *value }),
            None => {
                let names: Vec<&str> = metrics.iter().map(|(name, _)| name.as_str()).collect();
                Err(Error::program(format!(
                    "stage {}: the objective chooses epochs by `{primary}`, which is none of its metrics: {}",
                    self.name,
                    names.join(", ")
                )))
            }
        }
    }

    /// Why no epoch could be chosen.
    fn undefined(&self) -> Error {
        let (primary, patients) = (self.objective.primary(), self.valid.len());
        Error::user(format!(
            "stage {}: `{primary}` is undefined on the {patients} valid examples in all epochs",
            self.name
        ))
        .help("AUC needs examples of both classes: give `data.split` more valid patients, or use select = \"last\"")
    }

    /// Whether the best weights on valid are wanted: to select them, or beside the last ones as the published protocol
    /// is compared with.
    fn remembers_best(&self) -> bool {
        self.select == Select::Best || self.watch.is_some()
    }

    /// The steps of an epoch from [`Pass::from`] on, and the mean loss of all of its steps.
    fn epoch(&self, mut model: Model, optimizer: &mut Optimizer, pass: Pass<'_>) -> Result<(Model, f64)> {
        let (start, epoch, first) = (Instant::now(), pass.from.epoch, pass.from.step);
        let seed = derive_seed(self.seed, &[epoch as u64]);
        let device = model.device();
        let synchronous = device.clone().without_autodiff() == Device::flex();
        let order = if self.shuffle { shuffled(self.train.len(), seed) } else { (0..self.train.len()).collect() };
        let rest = order.get(first * self.batch..).unwrap_or_default();
        let what = format!("{} {}/{}", self.name, epoch + 1, self.epochs);
        let mut task = self.progress.begin(&what, "examples", Some(order.len() as u64));
        task.advance((order.len() - rest.len()) as u64);
        let mut total = Losses::resume(&pass.from.losses, &device);
        let (send, batches) = sync_channel(BATCHES_AHEAD);
        std::thread::scope(|scope| {
            let (mut chunks, train, precomputed) = (rest.chunks(self.batch), self.train, pass.precomputed);
            // Ends with the last batch, or when nobody takes them any more.
            scope.spawn(move || chunks.all(|chunk| send.send((chunk, precomputed.batch(train, chunk))).is_ok()));
            let mut accumulated = GradientsAccumulator::new();
            for (step, (chunk, batch)) in (first..).zip(batches) {
                // Seeding another device waits for it: there, the numbers of a step follow from where one began, too.
                if synchronous || step == first {
                    generator::seed(&device, derive_seed(seed, &[step as u64]));
                }
                // The examples of the group of batches that this one belongs to, and whether it is the last of them.
                let group = self.batch * self.accumulate;
                let group_end = order.len().min((step / self.accumulate + 1) * group);
                let weight = chunk.len() as f64 / (group_end - step / self.accumulate * group) as f64;
                let (loss, gradients) =
                    self.gradients(&model, &pass, chunk, &batch, weight, synchronous.then_some(step))?;
                let last = step * self.batch + chunk.len() == group_end;
                let gradients = match (self.accumulate, last) {
                    (1, _) => Some(gradients),
                    (_, last) => {
                        accumulated.accumulate(&model, gradients);
                        last.then(|| accumulated.grads())
                    }
                };
                let stepped = gradients.is_some();
                if let Some(gradients) = gradients {
                    let (algorithm, rates, clip_norm) = (self.algorithm, self.rates, self.clip_norm);
                    model = optimizer.step(model, gradients, Update { algorithm, rates, epoch, clip_norm });
                }
                if let Some(on_step) = self.on_step {
                    on_step(StepRecord { loss: loss.clone().into_scalar::<f64>(), lr: self.rates.at(epoch) });
                }
                total.add(loss, chunk.len(), !synchronous);
                if synchronous && step % STEPS_PER_READING == STEPS_PER_READING - 1 {
                    task.message(&format!("loss {:.4}", total.mean()));
                }
                task.advance(chunk.len() as u64);
                // Gradients that wait for others of their group are nowhere kept.
                if stepped {
                    let (spent, best) = (start.elapsed() + pass.from.spent, scored(pass.best));
                    pass.keeper.look(&Moment {
                        model: &model,
                        optimizer,
                        best: pass.best.map(|best| &best.model),
                        epoch_ended: false,
                        position: Position { epoch, step: step + 1, best, spent, ..Position::default() },
                        losses: Some(&total),
                    })?;
                }
            }
            task.finish("");
            let mean = total.mean();
            match mean.is_finite() {
                true => Ok((model, mean)),
                false => {
                    let step = total.first_not_finite().map(|step| first + step);
                    Err(not_finite(self.name, epoch, step, mean, &model))
                }
            }
        })
    }

    /// The loss of a batch, and the gradients of `weight` times it. The loss of the step `looked_at` is waited for.
    fn gradients(
        &self,
        model: &Model,
        pass: &Pass<'_>,
        examples: &[usize],
        batch: &Batch,
        weight: f64,
        looked_at: Option<usize>,
    ) -> Result<(Tensor<1>, GradientsParams)> {
        let device = model.device();
        let encoded = pass.precomputed.encoded(model, self.graph, batch, examples);
        let logits = model.logits(encoded, batch, self.heads.clone());
        let each = logits.into_iter().zip(self.heads.clone()).zip(pass.losses).map(|((logits, head), fitted)| {
            let columns = logits.dims()[1];
            let loss = fitted.as_deref().unwrap_or(self.loss);
            loss.forward(logits, targets_of(batch, head, columns, &device))
        });
        let loss = each.reduce(|a, b| a + b).unwrap_or_else(|| Tensor::zeros([1], &device));
        if looked_at.is_some() {
            let value = number(loss.clone().detach());
            if !value.is_finite() {
                return Err(not_finite(self.name, pass.from.epoch, looked_at, value, model));
            }
        }
        let weighted = if weight == 1.0 { loss.clone() } else { loss.clone() * weight };
        Ok((loss.detach(), GradientsParams::from_grads(weighted.backward(), model)))
    }

    /// Metrics on valid, and the mean loss of its examples, heads and blocks weighed as in training.
    fn on_valid(&self, model: &Model, losses: &[Option<Box<dyn Loss>>]) -> (Metrics, Option<f64>) {
        if self.valid.is_empty() {
            return (Metrics::new(), None);
        }
        let mut sum = 0.0;
        let metrics = evaluate_seeing(model, self.graph, self.valid, self.objective, &mut Silent, |logits, batch| {
            for (head, fitted) in self.heads.clone().zip(losses) {
                let loss = fitted.as_deref().unwrap_or(self.loss);
                let targets = targets_of(batch, head, logits[head].dims()[1], &logits[head].device());
                sum += batch.len() as f64 * number(loss.forward(logits[head].clone(), targets));
            }
        });
        (metrics, Some(sum / self.valid.len() as f64))
    }

    fn metrics(&self, model: &Model, examples: &Examples) -> Metrics {
        match examples.is_empty() {
            true => Metrics::new(),
            false => evaluate(model, self.graph, examples, self.objective, &mut Silent),
        }
    }
}

/// What the steps of an epoch have in common.
struct Pass<'a> {
    losses: &'a [Option<Box<dyn Loss>>],
    precomputed: &'a Precomputed,
    keeper: &'a dyn Keeper,
    best: Option<&'a Best>,
    from: &'a Position,
}

/// An epoch with its model, and the best on valid where that is another.
type Chosen = ((usize, Model), Option<(usize, Model)>);

/// The best weights so far.
struct Best {
    score: f64,
    epoch: usize,
    model: Model,
}

/// Keeps `model` when its score is the first, or higher than the best. What is no number chooses nothing.
fn remember(best: &mut Option<Best>, score: f64, epoch: usize, model: &Model) {
    if !score.is_nan() && best.as_ref().is_none_or(|best| score > best.score) {
        *best = Some(Best { score, epoch, model: model.clone() });
    }
}

fn scored(best: Option<&Best>) -> Option<(f64, usize)> {
    best.map(|best| (best.score, best.epoch))
}
