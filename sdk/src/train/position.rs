//! Where training is, so that it can go on from there in another process.

use super::Optimizer;
use crate::model::Model;
use crate::{Error, Result};
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A place between two steps of a stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Epoch of the next step, from 0.
    pub epoch: usize,
    /// The next step in that epoch, from 0.
    pub step: usize,
    /// Losses of the epoch so far.
    pub losses: LossesSoFar,
    /// Score and epoch of the best weights so far, where these are remembered.
    pub best: Option<(f64, usize)>,
    /// Wall time of the epoch so far.
    pub spent: Duration,
}

/// The sum of an epoch's losses, as the loop adds it up: the same digits come out wherever it was interrupted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LossesSoFar {
    /// What was read from the device.
    pub sum: f64,
    /// What waits there.
    pub waiting: Option<f32>,
    /// Examples in both.
    pub examples: usize,
}

/// Where to begin: at the first step, or in the middle.
#[derive(Debug, Default)]
pub struct Start {
    /// The next step.
    pub position: Position,
    /// The best weights so far, when [`Position::best`] has a score.
    pub best: Option<Model>,
}

/// Training between two steps.
pub struct Moment<'a> {
    /// The stage, with the head whose turn it is.
    pub stage: &'a str,
    /// The model.
    pub model: &'a Model,
    /// The optimizer.
    pub optimizer: &'a Optimizer,
    /// The best weights so far.
    pub best: Option<&'a Model>,
    /// Whether an epoch has just ended, its evaluation included.
    pub epoch_ended: bool,
    pub(super) position: Position,
    pub(super) losses: Option<&'a Losses>,
}

impl Moment<'_> {
    /// Where this is. Waits for the device.
    pub fn position(&self) -> Position {
        let losses = self.losses.map(Losses::so_far).unwrap_or_default();
        Position { losses, ..self.position.clone() }
    }
}

/// Is asked after every step and at the end of every epoch: may keep what it needs, or end the training by an error.
pub trait Keeper {
    /// Looks at training between two steps.
    ///
    /// # Errors
    /// End the training.
    fn look(&self, moment: &Moment<'_>) -> Result<()>;
}

/// Keeps nothing.
pub(super) struct Nobody;

impl Keeper for Nobody {
    fn look(&self, _: &Moment<'_>) -> Result<()> {
        Ok(())
    }
}

/// The losses of an epoch, added up on the device until somebody asks.
#[derive(Default)]
pub(super) struct Losses {
    waiting: Option<Tensor<1>>,
    /// On a device the sum of means of so many examples each, which `waiting` leaves out: a kernel a step less.
    alike: Option<(Tensor<1>, usize)>,
    sum: f64,
    examples: usize,
    /// Each of them, where the loop does not wait for the device and cannot look at them one by one.
    each: Vec<Tensor<1>>,
}

impl Losses {
    /// Goes on with what was added up before.
    pub fn resume(before: &LossesSoFar, device: &burn::tensor::Device) -> Self {
        let scalar = |value: f32| Tensor::from_data(TensorData::from([value]), device);
        Self { waiting: before.waiting.map(scalar), sum: before.sum, examples: before.examples, ..Self::default() }
    }

    pub fn add(&mut self, mean: Tensor<1>, examples: usize, remember: bool) {
        self.examples += examples;
        if remember {
            self.each.push(mean.clone());
            self.alike = Some(match self.alike.take() {
                Some((sum, n)) if n == examples => (sum + mean, n),
                other => {
                    self.weigh(other);
                    (mean, examples)
                }
            });
        } else {
            self.weigh(Some((mean, examples)));
        }
    }

    /// Adds means times their examples to what waits.
    fn weigh(&mut self, means: Option<(Tensor<1>, usize)>) {
        let Some((sum, examples)) = means else { return };
        let loss = sum.mul_scalar(examples as f64);
        self.waiting = Some(match self.waiting.take() {
            Some(total) => total + loss,
            None => loss,
        });
    }

    /// The mean over examples. Waits for the device.
    pub fn mean(&mut self) -> f64 {
        let alike = self.alike.take();
        self.weigh(alike);
        self.sum += self.waiting.take().map(number).unwrap_or(0.0);
        self.sum / self.examples as f64
    }

    /// The first step whose loss was not finite, of those that were remembered.
    pub fn first_not_finite(&self) -> Option<usize> {
        self.each.iter().position(|loss| !number(loss.clone()).is_finite())
    }

    fn so_far(&self) -> LossesSoFar {
        let alike = self.alike.clone().map(|(sum, examples)| number(sum) * examples as f64);
        let waiting = self.waiting.clone().map(number);
        let waiting =
            (alike.is_some() || waiting.is_some()).then(|| (alike.unwrap_or(0.0) + waiting.unwrap_or(0.0)) as f32);
        LossesSoFar { sum: self.sum, waiting, examples: self.examples }
    }
}

/// The number in a tensor of one.
pub(super) fn number(scalar: Tensor<1>) -> f64 {
    scalar.into_data().iter::<f64>().next().unwrap_or(0.0)
}

/// The error of a loss that is not finite, before `step` of `epoch` changes the parameters, both from 0.
pub(super) fn not_finite(stage: &str, epoch: usize, step: Option<usize>, loss: f64, model: &Model) -> Error {
    let place = match step {
        Some(step) => format!("stage {stage}, epoch {}, step {}", epoch + 1, step + 1),
        None => format!("stage {stage}, epoch {}", epoch + 1),
    };
    let parameter = match crate::model::first_not_finite(model) {
        Some((path, value)) => format!("the first parameter that is not finite is `{path}`, which has {value}"),
        None => "all parameters are finite: the loss overflowed, or an input is not finite".to_owned(),
    };
    Error::user(format!("{place}: the loss became {loss}")).help(parameter).help(LOWER)
}

/// What to do about numbers that are not finite.
const LOWER: &str = "lower the stage's `lr`, or check the node features for extreme values";

/// Refuses weights that are not finite: the last step of a stage may have damaged them, and no loss comes after it.
pub(super) fn check_finite(stage: &str, epoch: usize, model: &Model) -> Result<()> {
    match crate::model::first_not_finite(model) {
        None => Ok(()),
        Some((path, number)) => {
            let place = format!("stage {stage}, after epoch {}", epoch + 1);
            Err(Error::user(format!("{place}: the parameter `{path}` has {number}")).help(LOWER))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn losses_weigh_by_examples_however_they_are_added_and_taken_up() {
        let device = Device::flex();
        let batches = [(1f32, 4), (2.0, 4), (8.0, 2), (3.0, 4)]; // (1 + 2 + 3) · 4 + 8 · 2 = 40 over 14
        for (remember, stop) in [false, true].into_iter().flat_map(|r| (0..=batches.len()).map(move |stop| (r, stop))) {
            let (before, after) = batches.split_at(stop);
            let add = |mut losses: Losses, batches: &[(f32, usize)]| {
                batches.iter().for_each(|&(loss, n)| losses.add(Tensor::from_data([loss], &device), n, remember));
                losses
            };
            let so_far = add(Losses::default(), before).so_far();
            assert_eq!(add(Losses::resume(&so_far, &device), after).mean(), 40.0 / 14.0, "{remember} {stop}");
        }
    }
}
