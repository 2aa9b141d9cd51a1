//! A stage: an objective, the parameters it trains, what it carries on, and a schedule.

use crate::component::ComponentRef;
use crate::train::{Algorithm, Rates, Schedule, Select, named_or_table, named_or_table_schema};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One stage of training. A manifest leaves open what the [recipe](super::Recipe) of its type fills in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// What kind of stage, of those that the recipe knows; decides the defaults of the other keys.
    pub r#type: String,
    /// How several heads train: all together (`joint`), or those of an earlier stage, each in turn (`individual`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// What is learnt. Default: by type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<ComponentRef>,
    /// The same, for stages that learn a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<ComponentRef>,
    /// What is minimised. Default: by type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<ComponentRef>,
    /// Passes over the training examples. Default: by type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub epochs: Option<usize>,
    /// Examples a step. Default: by type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub batch: Option<usize>,
    /// Learning rate. Default: 0.001, or with `carry_optimizer` the one that the stage before ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub lr: Option<f64>,
    /// Learning rates of parameters by the prefixes of their paths; they change with the epoch as `lr` does.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("additionalProperties" = { "type": "number", "format": "double", "exclusiveMinimum": 0.0 }))]
    pub lr_of: BTreeMap<String, f64>,
    /// How the learning rate falls. Default: by type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Epochs over which learning rates rise to what the schedule says. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup: Option<usize>,
    /// Which epoch's weights to keep: the best on valid, or the last. Default: by type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Select>,
    /// Parameters that do not train, as prefixes of their paths. Default: by type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze: Option<Vec<String>>,
    /// The optimizer: `adam`, `adamw` or `sgd`, or a table with its `type` and options. Default: Adam.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "named_or_table")]
    #[schemars(schema_with = "named_or_table_schema")]
    pub optimizer: Option<Algorithm>,
    /// Whether the optimizer goes on with the moments and step counts of the stage before. Default: by type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carry_optimizer: Option<bool>,
    /// The largest norm of all gradients together; larger ones are scaled down to it. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub clip_norm: Option<f64>,
    /// Batches whose mean gradient makes a step. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub accumulate: Option<usize>,
    /// Epochs without a better score on valid after which the stage ends. Default: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub patience: Option<usize>,
    /// Epochs, from the first, in which dropout acts; counted for each head where heads train in turn. Default: by type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropout_epochs: Option<usize>,
    /// Whether each epoch takes the examples in an order of its own. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shuffle: Option<bool>,
    /// Whether the stage ends with the table of the test patients. Default: by type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<bool>,
}

const LR: f64 = 1e-3;

/// How several heads train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// All together.
    Joint,
    /// The heads that an earlier stage trained together, each in turn while the others are frozen.
    Individual,
}

impl Stage {
    /// Checks what needs neither recipe nor component.
    pub(crate) fn check(&self) -> Result<()> {
        self.optimizer().check().map_err(|e| e.within_key("optimizer"))?;
        if self.task.is_some() && self.objective.is_some() {
            return Err(Error::user("`task` and `objective` mean the same")
                .at_key("objective")
                .help("keep one of them"));
        }
        self.schedule.as_ref().map_or(Ok(()), |s| s.check().map_err(|e| e.within_key("schedule")))
    }

    /// Its name in a run: position, type and mode, such as `2-pretrain-joint`.
    pub fn name(&self, index: usize) -> String {
        let mode = match self.mode {
            Some(Mode::Joint) => "-joint",
            Some(Mode::Individual) => "-individual",
            None => "",
        };
        format!("{}-{}{mode}", index + 1, self.r#type)
    }

    /// How heads train.
    pub fn mode(&self) -> Mode {
        self.mode.unwrap_or(Mode::Joint)
    }

    /// Whether it trains the heads of an earlier stage in turn.
    pub fn is_individual(&self) -> bool {
        self.mode() == Mode::Individual
    }

    /// What is learnt: the key that says so, and the component; one that names nothing where the recipe chooses.
    pub fn objective(&self) -> (&'static str, ComponentRef) {
        match &self.task {
            Some(task) => ("task", task.clone()),
            None => ("objective", self.objective.clone().unwrap_or_default()),
        }
    }

    /// The loss; one that names nothing where the recipe chooses.
    pub fn loss(&self) -> ComponentRef {
        self.loss.clone().unwrap_or_default()
    }

    /// Passes over the training examples.
    pub fn epochs(&self) -> usize {
        self.epochs.unwrap_or(1)
    }

    /// Examples a step.
    pub fn batch(&self) -> usize {
        self.batch.unwrap_or(32)
    }

    /// The learning rate at the start.
    pub fn lr(&self) -> f64 {
        self.lr.unwrap_or(LR)
    }

    /// Learning rates by parameter and epoch.
    pub fn rates(&self) -> Rates {
        let warmup = self.warmup.unwrap_or(0);
        Rates { lr: self.lr(), by_prefix: self.lr_of.clone(), schedule: self.schedule(), warmup }
    }

    /// How the learning rate falls.
    pub fn schedule(&self) -> Schedule {
        self.schedule.clone().unwrap_or(Schedule::Constant)
    }

    /// Which epoch's weights to keep.
    pub fn select(&self) -> Select {
        self.select.unwrap_or(Select::Best)
    }

    /// Prefixes of the paths of parameters that do not train.
    pub fn freeze(&self) -> &[String] {
        self.freeze.as_deref().unwrap_or_default()
    }

    /// The optimizer.
    pub fn optimizer(&self) -> Algorithm {
        self.optimizer.clone().unwrap_or_default()
    }

    /// Whether the optimizer goes on from the stage before.
    pub fn carries_optimizer(&self) -> bool {
        self.carry_optimizer.unwrap_or(false)
    }

    /// Batches a step.
    pub fn accumulate(&self) -> usize {
        self.accumulate.unwrap_or(1)
    }

    /// Whether each epoch takes the examples in an order of its own.
    pub fn shuffle(&self) -> bool {
        self.shuffle.unwrap_or(true)
    }

    /// Whether the test patients are reported on.
    pub fn is_tested(&self) -> bool {
        self.test.unwrap_or(false)
    }
}
