//! How the learning rate falls, and which epoch is kept.

use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The learning rate by epoch; epochs are counted from 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Always the same.
    Constant,
    /// Multiplied by `factor` every `every` epochs (PyTorch's `StepLR`).
    Step {
        /// Epochs between two falls.
        #[schemars(range(min = 1))]
        every: usize,
        /// What to multiply by.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        factor: f64,
    },
    /// Multiplied by `factor` when each of `epochs` begins (PyTorch's `MultiStepLR`).
    Milestones {
        /// When it falls.
        epochs: Vec<usize>,
        /// What to multiply by.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        factor: f64,
    },
    /// `lr[i]` from epoch `from[i]` on.
    Piecewise {
        /// When each rate begins, ascending.
        from: Vec<usize>,
        /// The rates.
        #[schemars(extend("items" = { "type": "number", "format": "double", "exclusiveMinimum": 0.0 }))]
        lr: Vec<f64>,
    },
    /// From `lr` down to `least` along half a cosine (PyTorch's `CosineAnnealingLR`); `least` after that.
    Cosine {
        /// Epochs that this takes. Default: those of the stage.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1))]
        epochs: Option<usize>,
        /// The last rate.
        #[serde(default)]
        #[schemars(range(min = 0.0))]
        least: f64,
    },
}

/// Which epoch's weights a stage keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Select {
    /// The best on valid.
    Best,
    /// The last.
    Last,
}

impl Schedule {
    /// The rate in `epoch`, when the stage's own is `lr`.
    pub fn rate(&self, lr: f64, epoch: usize) -> f64 {
        match self {
            Schedule::Constant => lr,
            Schedule::Step { every, factor } => lr * factor.powi((epoch / every) as i32),
            Schedule::Milestones { epochs, factor } => {
                lr * factor.powi(epochs.iter().filter(|&&e| e <= epoch).count() as i32)
            }
            Schedule::Piecewise { from, lr: rates } => {
                from.iter().zip(rates).rev().find(|(f, _)| **f <= epoch).map_or(lr, |(_, rate)| *rate)
            }
            Schedule::Cosine { epochs, least } => {
                let part = (epoch as f64 / epochs.unwrap_or(1).max(1) as f64).min(1.0);
                least + (lr - least) * (1.0 + (std::f64::consts::PI * part).cos()) / 2.0
            }
        }
    }

    /// Refuses lists that do not fit together.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Schedule::Piecewise { from, lr } if from.len() != lr.len() => {
                Err(Error::user(format!("`from` has {} entries and `lr` has {}", from.len(), lr.len())).at_key("lr"))
            }
            Schedule::Piecewise { from, .. } if from.windows(2).any(|w| w[0] >= w[1]) => {
                Err(Error::user("expected ascending epochs").at_key("from"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_pytorch() {
        let rates = |s: Schedule, epochs: &[usize]| epochs.iter().map(|&e| s.rate(1.0, e)).collect::<Vec<_>>();
        assert_eq!(rates(Schedule::Step { every: 20, factor: 0.5 }, &[0, 19, 20, 40]), [1.0, 1.0, 0.5, 0.25]);
        approx::assert_relative_eq!(Schedule::Step { every: 3, factor: 0.1 }.rate(1e-3, 7), 1e-5);
        let milestones = Schedule::Milestones { epochs: vec![10, 20], factor: 0.5 };
        assert_eq!(rates(milestones, &[9, 10, 20, 99]), [1.0, 0.5, 0.25, 0.25]);
        let piecewise = Schedule::Piecewise { from: vec![30, 40], lr: vec![0.5, 0.1] };
        assert_eq!(rates(piecewise, &[29, 30, 39, 40]), [1.0, 0.5, 0.5, 0.1]);
    }
}
