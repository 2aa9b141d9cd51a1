//! Schedules of the learning rate, and what becomes of rows that a step does not use.

use crate::options::Fraction;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Schedule of the learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum KgeSchedule {
    /// A tenth from half of the steps on, where Adam starts anew.
    Published,
    /// The same rate in every step.
    Constant,
    /// Constant at first, then linear to 0.
    Linear {
        /// Fraction of the steps before it decays.
        #[serde(default)]
        #[schemars(with = "Fraction")]
        hold: f64,
    },
}

impl KgeSchedule {
    /// What the learning rate is multiplied with in a step.
    pub fn factor(self, step: u32, steps: u32) -> f64 {
        match self {
            Self::Published if step >= steps / 2 => 0.1,
            Self::Published | Self::Constant => 1.0,
            Self::Linear { hold } => {
                let (step, steps) = (f64::from(step), f64::from(steps));
                ((steps - step) / (steps * (1.0 - hold)).max(1.0)).min(1.0)
            }
        }
    }

    /// First and last step (exclusive) that share the moments of Adam with `step`.
    pub fn era(self, step: u32, steps: u32) -> (u32, u32) {
        match self {
            Self::Published if step < steps / 2 => (0, steps / 2),
            Self::Published => (steps / 2, steps),
            _ => (0, steps),
        }
    }
}

/// What Adam does with rows that a step does not use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unused {
    /// They move on by their fading first moment, as if every row were updated in every step.
    Moved,
    /// They and their moments stay as they are.
    Still,
}
