//! How a gradient becomes a step: Adam, AdamW, stochastic gradient descent.

use super::Moments;
use crate::ops::{AdamStep, Group, Kernels, Learning};
use crate::options::Fraction;
use crate::{Error, Result};
use burn::backend::Dispatch;
use burn::tensor::Tensor;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// The optimizer of a stage, with the defaults of PyTorch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Algorithm {
    /// Adam (Kingma and Ba 2015, algorithm 1); weight decay is added to the gradient.
    Adam {
        /// Decay of the running mean of gradients.
        #[serde(default = "beta1")]
        #[schemars(with = "Fraction")]
        beta1: f64,
        /// Decay of the running mean of their squares.
        #[serde(default = "beta2")]
        #[schemars(with = "Fraction")]
        beta2: f64,
        /// What is added to the root of the second moment.
        #[serde(default = "epsilon")]
        #[schemars(range(min = 0.0))]
        epsilon: f64,
        /// Fraction of a parameter that is added to its gradient.
        #[serde(default)]
        #[schemars(range(min = 0.0))]
        weight_decay: f64,
    },
    /// AdamW (Loshchilov and Hutter 2019, algorithm 2): weight decay apart from the gradient.
    Adamw {
        /// Decay of the running mean of gradients.
        #[serde(default = "beta1")]
        #[schemars(with = "Fraction")]
        beta1: f64,
        /// Decay of the running mean of their squares.
        #[serde(default = "beta2")]
        #[schemars(with = "Fraction")]
        beta2: f64,
        /// What is added to the root of the second moment.
        #[serde(default = "epsilon")]
        #[schemars(range(min = 0.0))]
        epsilon: f64,
        /// Fraction of a parameter, times the learning rate, that is subtracted at every step.
        #[serde(default = "decoupled")]
        #[schemars(range(min = 0.0))]
        weight_decay: f64,
    },
    /// Stochastic gradient descent, with momentum as in Sutskever et al. 2013 when it is not 0.
    Sgd {
        /// Fraction of the last step's direction that is kept.
        #[serde(default)]
        #[schemars(with = "Fraction")]
        momentum: f64,
        /// Whether the gradient is taken after the momentum's step (Nesterov).
        #[serde(default)]
        nesterov: bool,
        /// Fraction of a parameter that is added to its gradient.
        #[serde(default)]
        #[schemars(range(min = 0.0))]
        weight_decay: f64,
    },
}

fn beta1() -> f64 {
    0.9
}

fn beta2() -> f64 {
    0.999
}

fn epsilon() -> f64 {
    1e-8
}

fn decoupled() -> f64 {
    0.01
}

impl Default for Algorithm {
    fn default() -> Self {
        Self::Adam { beta1: beta1(), beta2: beta2(), epsilon: epsilon(), weight_decay: 0.0 }
    }
}

impl Algorithm {
    /// Its name in manifests.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Adam { .. } => "adam",
            Self::Adamw { .. } => "adamw",
            Self::Sgd { .. } => "sgd",
        }
    }

    /// Refuses options that make no sense together.
    pub(crate) fn check(&self) -> Result<()> {
        match *self {
            Self::Sgd { momentum: 0.0, nesterov: true, .. } => {
                Err(Error::user("`nesterov` needs a momentum above 0").at_key("momentum"))
            }
            _ => Ok(()),
        }
    }

    /// All parameters after a step, in order, with their moments.
    pub(super) fn step(&self, jobs: Vec<Job>) -> Vec<(Tensor<1>, Moments)> {
        match *self {
            Self::Adam { beta1, beta2, epsilon, weight_decay } => {
                let decayed = jobs
                    .into_iter()
                    .map(|job| Job { gradient: with_decay(job.gradient, &job.value, weight_decay), ..job });
                adam(decayed.collect(), AdamStep { lr: 0.0, beta1, beta2, epsilon, time: 0 })
            }
            Self::Adamw { beta1, beta2, epsilon, weight_decay } => {
                let decayed = jobs.into_iter().map(|job| match weight_decay {
                    0.0 => job,
                    _ => Job { value: job.value * (1.0 - job.lr * weight_decay), ..job },
                });
                adam(decayed.collect(), AdamStep { lr: 0.0, beta1, beta2, epsilon, time: 0 })
            }
            Self::Sgd { momentum, nesterov, weight_decay } => {
                let stepped = jobs.into_iter().map(|Job { value, gradient, moments, lr }| {
                    let gradient = with_decay(gradient, &value, weight_decay);
                    descend(value, gradient, moments, lr, momentum, nesterov)
                });
                stepped.collect()
            }
        }
    }
}

/// A parameter that takes a step, its numbers in a row.
pub(super) struct Job {
    pub value: Tensor<1>,
    pub gradient: Tensor<1>,
    pub moments: Option<Moments>,
    pub lr: f64,
}

fn with_decay(gradient: Tensor<1>, value: &Tensor<1>, decay: f64) -> Tensor<1> {
    if decay == 0.0 { gradient } else { gradient + value.clone() * decay }
}

/// Parameters whose step is the same go together, so that a GPU has few kernels to launch.
fn adam(jobs: Vec<Job>, step: AdamStep) -> Vec<(Tensor<1>, Moments)> {
    let jobs = jobs.into_iter().map(|Job { value, gradient, moments, lr }| {
        let device = value.device();
        let moments = moments.unwrap_or_else(|| Moments::zero(value.dims()[0], &device));
        let square = moments.square.unwrap_or_else(|| value.zeros_like());
        let [parameter, gradient] = [value, gradient].map(Tensor::into_dispatch);
        let [mean, square] = [moments.mean, square].map(|t| t.to_device(&device).into_dispatch());
        let step = AdamStep { lr, time: moments.steps + 1, ..step };
        (Learning::<Dispatch> { parameter, gradient, mean, square }, step)
    });
    let (mut jobs, mut stepped) = (jobs.peekable(), Vec::new());
    while let Some((first, step)) = jobs.next() {
        let mut places = vec![first];
        while places.len() < Group::<Dispatch>::SIZE {
            let Some((next, _)) = jobs.next_if(|(_, other)| *other == step) else { break };
            places.push(next);
        }
        stepped.extend(adam_together(places, step));
    }
    stepped
}

fn adam_together(places: Vec<Learning<Dispatch>>, step: AdamStep) -> impl Iterator<Item = (Tensor<1>, Moments)> {
    let (count, gradient) = (places.len(), places[0].gradient.clone());
    let mut places = places.into_iter();
    // What stands beyond the last is handed through.
    let beyond = || {
        let [parameter, mean, square] = [(); 3].map(|()| gradient.clone());
        Learning { parameter, gradient: gradient.clone(), mean, square }
    };
    let group = Dispatch::adam(Group::new(|| places.next().unwrap_or_else(beyond)), count, step);
    group.into_places().into_iter().take(count).map(move |Learning { parameter, mean, square, .. }| {
        let [parameter, mean, square] = [parameter, mean, square].map(Tensor::<1>::from_dispatch);
        (parameter, Moments { steps: step.time, mean, square: Some(square) })
    })
}

/// b ← momentum · b + g, the first being g itself; p ← p − lr · b, or − lr · (g + momentum · b) after Nesterov.
fn descend(
    value: Tensor<1>,
    gradient: Tensor<1>,
    moments: Option<Moments>,
    lr: f64,
    momentum: f64,
    nesterov: bool,
) -> (Tensor<1>, Moments) {
    let device = value.device();
    let (steps, buffer) = match moments {
        Some(Moments { steps, mean, .. }) if momentum > 0.0 => {
            (steps, mean.to_device(&device) * momentum + gradient.clone())
        }
        Some(Moments { steps, .. }) => (steps, gradient.clone()),
        None => (0, gradient.clone()),
    };
    let direction = if nesterov { gradient + buffer.clone() * momentum } else { buffer.clone() };
    (value - direction * lr, Moments { steps: steps + 1, mean: buffer, square: None })
}

/// `optimizer = "adamw"`, or a table with its `type` and options.
pub(crate) fn named_or_table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Algorithm>, D::Error> {
    let value = match toml::Value::deserialize(deserializer)? {
        toml::Value::String(name) => toml::Table::from_iter([("type".to_owned(), name.into())]).into(),
        other => other,
    };
    Algorithm::deserialize(value).map(Some).map_err(|e| serde::de::Error::custom(e.message()))
}

/// The schema of [`named_or_table`].
pub(crate) fn named_or_table_schema(generator: &mut SchemaGenerator) -> Schema {
    let table = generator.subschema_for::<Algorithm>();
    json_schema!({ "anyOf": [{ "type": "string", "enum": ["adam", "adamw", "sgd"] }, table] })
}
