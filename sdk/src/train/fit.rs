//! The training loop.

use super::best::{Best, Chosen, chosen, remember, scored};
use super::checks::{check_examples, primary_of, undefined};
use super::epoch::Epoch;
use super::evaluate::evaluate_seeing;
use super::metrics::lower_is_better;
use super::position::{Keeper, Moment, Nobody, Position, Start, check_finite, number};
use super::precomputed::Precomputed;
use super::record::EpochRecord;
use super::{Fit, FrozenPart, Metrics, Optimizer, Select, evaluate};
use crate::Result;
use crate::component::Loss;
use crate::data::Examples;
use crate::device::generator;
use crate::model::{Model, set_dropout, targets_of};
use crate::progress::Silent;
use std::time::{Duration, Instant};

/// What training yields.
#[derive(Debug)]
pub struct Fitted {
    /// The selected weights.
    pub model: Model,
    /// The optimizer after the last step.
    pub optimizer: Optimizer,
    /// The epoch they are from.
    pub epoch: usize,
    /// Epoch and weights that were best on valid, where others were selected although there is a valid split.
    pub best_on_valid: Option<(usize, Model)>,
    /// All epochs.
    pub history: Vec<EpochRecord>,
}

impl Fit<'_> {
    /// Trains, the optimizer going on from what it knows.
    ///
    /// # Errors
    /// When there is nothing to learn from, the loss or the selected weights are not finite, the objective's primary metric is
    /// none of its metrics, or `on_epoch` fails.
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
        model: Model,
        mut optimizer: Optimizer,
        start: Start,
        keeper: &dyn Keeper,
        mut on_epoch: impl FnMut(&EpochRecord) -> Result<()>,
    ) -> Result<Fitted> {
        check_examples(self.name, self.train, self.valid, self.patience)?;
        let losses = self.losses(&model);
        let mut history = Vec::with_capacity(self.epochs);
        let Start { mut position, best } = start;
        let mut best = position.best.zip(best).map(|((score, epoch), model)| Best { score, epoch, model });
        let mut state = self.with_dropout(model, true, position.epoch);
        for epoch in position.epoch..self.epochs {
            // Here, so that a resumed training ends where it would have.
            if self.has_waited_enough(epoch, best.as_ref()) {
                break;
            }
            let (start, spent) = (Instant::now(), position.spent);
            if state.dropout != self.drops_in(epoch) {
                state = self.with_dropout(state.model, state.dropout, epoch);
            }
            let (precomputed, from) = (&state.precomputed, &position);
            let pass = Epoch { fit: self, losses: &losses, precomputed, keeper, best: best.as_ref(), from };
            let (model, train_loss) = pass.run(state.model, &mut optimizer)?;
            let record = self.record(&model, &losses, (epoch, train_loss), start, spent);
            on_epoch(&record)?;
            if (self.remembers_best() || self.patience.is_some()) && !record.valid.is_empty() {
                remember(&mut best, self.score(&record.valid)?, epoch, &model);
            }
            history.push(record);
            position = Position { epoch: epoch + 1, best: scored(best.as_ref()), ..Position::default() };
            let (best, position) = (best.as_ref().map(|best| &best.model), position.clone());
            let optimizer = &optimizer;
            let (stage, losses) = (self.name, None);
            keeper.look(&Moment { stage, model: &model, optimizer, best, epoch_ended: true, position, losses })?;
            state.model = model;
        }
        let last = (position.epoch.saturating_sub(1), state.model);
        let ((epoch, model), best_on_valid) = self.selected(last, best)?;
        check_finite(self.name, epoch, &model)?;
        Ok(Fitted { model, optimizer, epoch, best_on_valid, history })
    }

    /// The model in `epoch`, with dropout as it is there, where it was on or off before.
    fn with_dropout(&self, model: Model, before: bool, epoch: usize) -> State {
        let dropout = self.drops_in(epoch);
        let model = if dropout == before { model } else { set_dropout(model, dropout) };
        let precomputed = self.precomputed(&model, dropout);
        State { model, dropout, precomputed }
    }

    /// What is known of an epoch that ended.
    fn record(
        &self,
        model: &Model,
        losses: &[Option<Box<dyn Loss>>],
        (epoch, train_loss): (usize, f64),
        start: Instant,
        spent: Duration,
    ) -> EpochRecord {
        let (valid, valid_loss) = self.on_valid(model, losses);
        let test = self.watch.map(|examples| self.metrics(model, examples)).unwrap_or_default();
        let (stage, lr) = (self.name.to_owned(), self.rates.at(epoch));
        let seconds = (start.elapsed() + spent).as_secs_f64();
        EpochRecord { stage, epoch, train_loss, valid_loss, valid, test, lr, seconds }
    }

    /// Of the last epoch and the best the one that is selected, and the best where that is another; with dropout as the
    /// training found it.
    fn selected(&self, last: (usize, Model), best: Option<Best>) -> Result<Chosen> {
        let best = best.map(|best| (best.epoch, best.model)).filter(|_| self.remembers_best());
        let select = if self.valid.is_empty() { Select::Last } else { self.select };
        let (model, best) =
            chosen(select, last, best).ok_or_else(|| undefined(self.name, self.objective, self.valid))?;
        let restored = |(epoch, model)| match self.dropout_epochs {
            Some(_) => (epoch, set_dropout(model, true)),
            None => (epoch, model),
        };
        Ok((restored(model), best.map(restored)))
    }

    /// Whether training ends before `epoch` because no epoch was better than the best for too long.
    fn has_waited_enough(&self, epoch: usize, best: Option<&Best>) -> bool {
        let since = self.patience.zip(best).filter(|(patience, best)| epoch > best.epoch + patience);
        if let Some((_, best)) = since {
            self.progress.line(&format!("{}: no better score since epoch {}", self.name, best.epoch + 1));
        }
        since.is_some()
    }

    /// Whether dropout acts in `epoch`.
    fn drops_in(&self, epoch: usize) -> bool {
        self.dropout_epochs.is_none_or(|epochs| epoch < epochs)
    }

    /// What frozen parts give, computed once where no dropout makes every step differ.
    fn precomputed(&self, model: &Model, dropout: bool) -> Precomputed {
        let frozen = FrozenPart::of(&model.parts(), self.frozen, self.dropout_in_frozen && dropout);
        Precomputed::new(frozen, model, self.graph, self.train)
    }

    /// The loss of each head in [`Fit::heads`] where it looks at the training targets; elsewhere [`Fit::loss`] serves.
    fn losses(&self, model: &Model) -> Vec<Option<Box<dyn Loss>>> {
        let fitted = |head: usize| self.loss.fitted(&self.train.targets[head], model.head_specs()[head].outputs);
        self.heads.clone().map(fitted).collect()
    }

    /// The metric that chooses the epoch, so that higher is better.
    fn score(&self, metrics: &Metrics) -> Result<f64> {
        let value = primary_of(self.name, self.objective, metrics)?;
        Ok(if lower_is_better(self.objective.primary()) { -value } else { value })
    }

    /// Whether the best weights on valid are wanted: to select them, or beside the last ones as the published protocol
    /// is compared with.
    fn remembers_best(&self) -> bool {
        self.select == Select::Best || self.watch.is_some()
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

/// A model in training.
struct State {
    model: Model,
    /// Whether dropout acts.
    dropout: bool,
    /// What its frozen parts give.
    precomputed: Precomputed,
}
