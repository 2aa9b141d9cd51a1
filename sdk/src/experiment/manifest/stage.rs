//! A stage of a manifest, and the defaults of its keys.

use super::{ComponentRef, Manifest};
use crate::train::{OptimizerState, Schedule, Select};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One stage of training.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// What kind of stage; decides the defaults of the other keys.
    pub r#type: StageType,
    /// For `pretrain`: all heads together, or each head in turn over a frozen encoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// What is learnt. Default: `abnormal_labs` for `pretrain`, `lab_layer` for `lab`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<ComponentRef>,
    /// The same for `finetune`; default `diagnosis`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<ComponentRef>,
    /// Default: `weighted_bce` for `finetune`, else `bce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<ComponentRef>,
    /// Passes over the training examples. Default: 100 for `lab`, 50 for `finetune`, 1 for `pretrain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// Examples a step. Default: 256 for `pretrain`, 128 for `lab`, 32 for `finetune`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Learning rate of Adam. Default: 0.001, or with `optimizer = "carried"` the one that the stage before ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// How the learning rate falls. Default: the published schedule of the stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Which epoch's weights to keep: the best on valid, or the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Select>,
    /// Parameters that do not train, as prefixes of their paths. Default: by type; `finetune` freezes the lab layer
    /// where an earlier stage trained it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze: Option<Vec<String>>,
    /// Whether Adam starts anew or goes on from the stage before. Default: anew, but for individual pretraining with
    /// `compat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimizer: Option<OptimizerState>,
    /// Epochs, from the first, in which dropout acts; an individual stage counts them for each head. Default: all, but
    /// for pretraining with `compat`, whose code leaves training mode after the first epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropout_epochs: Option<usize>,
    /// Whether each epoch takes the examples in an order of its own. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shuffle: Option<bool>,
}

const LR: f64 = 1e-3;

/// Kinds of stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StageType {
    /// Learns encoder and fusions from an auxiliary target.
    Pretrain,
    /// Learns the lab layer.
    Lab,
    /// Learns the task.
    Finetune,
}

/// How the heads of a pretraining stage train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// All heads together, encoder included.
    Joint,
    /// Each head of the earlier joint stage in turn, everything else frozen.
    Individual,
}

impl Stage {
    pub(super) fn check(&self) -> Result<()> {
        let positive = |key: &str, value: Option<usize>| match value {
            Some(0) => Err(Error::user("expected at least 1, found 0").at_key(key)),
            _ => Ok(()),
        };
        positive("epochs", self.epochs)?;
        positive("batch", self.batch)?;
        if !(self.lr() > 0.0 && self.lr().is_finite()) {
            return Err(Error::user(format!("expected a positive number, found {}", self.lr())).at_key("lr"));
        }
        if self.mode.is_some() && self.r#type != StageType::Pretrain {
            return Err(Error::user("only stages of type `pretrain` have a mode").at_key("mode").help("remove it"));
        }
        if self.task.is_some() && self.r#type != StageType::Finetune {
            return Err(Error::user("only stages of type `finetune` have a task")
                .at_key("task")
                .help("other stages name what they learn with `objective`"));
        }
        if self.task.is_some() && self.objective.is_some() {
            return Err(Error::user("`task` and `objective` mean the same")
                .at_key("objective")
                .help("keep one of them"));
        }
        self.schedule.as_ref().map_or(Ok(()), |s| s.check().map_err(|e| e.within_key("schedule")))
    }

    /// How heads train.
    pub fn mode(&self) -> Mode {
        self.mode.unwrap_or(Mode::Joint)
    }

    /// What is learnt: the key that says so, and the component.
    pub fn objective(&self) -> (&'static str, ComponentRef) {
        let default = match self.r#type {
            StageType::Pretrain => "abnormal_labs",
            StageType::Lab => "lab_layer",
            StageType::Finetune => "diagnosis",
        };
        match (&self.task, &self.objective) {
            (Some(task), _) => ("task", task.clone()),
            (_, Some(objective)) => ("objective", objective.clone()),
            _ => ("objective", ComponentRef::named(default)),
        }
    }

    /// The loss.
    pub fn loss(&self) -> ComponentRef {
        let default = match self.r#type {
            StageType::Finetune => "weighted_bce",
            StageType::Pretrain | StageType::Lab => "bce",
        };
        self.loss.clone().unwrap_or_else(|| ComponentRef::named(default))
    }

    /// Passes over the training examples.
    pub fn epochs(&self) -> usize {
        self.epochs.unwrap_or(match self.r#type {
            StageType::Pretrain => 1,
            StageType::Lab => 100,
            StageType::Finetune => 50,
        })
    }

    /// Examples a step.
    pub fn batch(&self) -> usize {
        self.batch.unwrap_or(match self.r#type {
            StageType::Pretrain => 256,
            StageType::Lab => 128,
            StageType::Finetune => 32,
        })
    }

    /// The learning rate at the start.
    pub fn lr(&self) -> f64 {
        self.lr.unwrap_or(LR)
    }

    /// How the learning rate falls.
    pub fn schedule(&self) -> Schedule {
        self.schedule.clone().unwrap_or_else(|| match (self.r#type, self.mode()) {
            _ if self.optimizer() == OptimizerState::Carried => Schedule::Constant,
            (StageType::Pretrain, Mode::Individual) => Schedule::Constant,
            (StageType::Pretrain, Mode::Joint) => {
                Schedule::Milestones { epochs: vec![10, 20, 30, 40, 50], factor: 0.5 }
            }
            (StageType::Lab, _) => Schedule::Step { every: 20, factor: 0.5 },
            (StageType::Finetune, _) => Schedule::Piecewise { from: vec![31, 41], lr: vec![5e-4, 1e-4] },
        })
    }

    /// Which epoch's weights to keep: the lab layer's last ones as published, elsewhere the best unless `compat`.
    pub fn select(&self, compat: bool) -> Select {
        self.select.unwrap_or(match (self.r#type, compat) {
            (StageType::Lab, _) | (_, true) => Select::Last,
            _ => Select::Best,
        })
    }

    /// Prefixes of the paths of parameters that do not train.
    pub fn freeze(&self) -> &[String] {
        self.freeze.as_deref().unwrap_or_default()
    }

    /// Whether Adam starts anew.
    pub fn optimizer(&self) -> OptimizerState {
        self.optimizer.unwrap_or(OptimizerState::Fresh)
    }

    /// Whether each epoch takes the examples in an order of its own.
    pub fn shuffle(&self) -> bool {
        self.shuffle.unwrap_or(true)
    }

    /// Whether it trains the heads of an earlier stage in turn.
    pub fn is_individual(&self) -> bool {
        self.r#type == StageType::Pretrain && self.mode() == Mode::Individual
    }
}

impl Manifest {
    /// Stage `i` with the defaults of all keys that are no components, which depend on the stages before it.
    ///
    /// # Errors
    /// When it carries on the optimizer of no stage.
    pub(crate) fn completed_stage(&self, i: usize) -> Result<Stage> {
        let (compat, mut stage) = (self.is_compat(), self.stage[i].clone());
        stage.epochs = Some(stage.epochs());
        stage.batch = Some(stage.batch());
        stage.select = Some(stage.select(compat));
        stage.shuffle = Some(stage.shuffle());
        let follows_joint = i > 0 && self.stage[i - 1].r#type == StageType::Pretrain;
        stage.optimizer = Some(stage.optimizer.unwrap_or(match compat && stage.is_individual() && follows_joint {
            true => OptimizerState::Carried,
            false => OptimizerState::Fresh,
        }));
        stage.lr = Some(match (stage.lr, stage.optimizer()) {
            (Some(lr), _) => lr,
            (None, OptimizerState::Fresh) => LR,
            (None, OptimizerState::Carried) => self.last_rate_before(i)?,
        });
        stage.schedule = Some(stage.schedule());
        if stage.r#type == StageType::Pretrain && compat {
            stage.dropout_epochs = stage.dropout_epochs.or(Some(1));
        }
        stage.freeze = Some(stage.freeze.take().unwrap_or_else(|| self.default_freeze(i)));
        Ok(stage)
    }

    /// The learning rate of the last epoch of the stage before `i`.
    fn last_rate_before(&self, i: usize) -> Result<f64> {
        let Some(before) = i.checked_sub(1) else {
            return Err(Error::user("the first stage has no optimizer to carry on")
                .at_key(format!("stage[{i}].optimizer"))
                .help("use optimizer = \"fresh\", or put the stage whose optimizer goes on before it"));
        };
        let before = self.completed_stage(before)?;
        Ok(before.schedule().rate(before.lr(), before.epochs().saturating_sub(1)))
    }

    fn default_freeze(&self, i: usize) -> Vec<String> {
        let stage = &self.stage[i];
        let lab_is_trained = self.stage[..i].iter().any(|stage| stage.r#type == StageType::Lab);
        let frozen: &[&str] = match stage.r#type {
            StageType::Pretrain if stage.is_individual() => &["nodes", "encoder", "code_fusion", "visit_fusion"],
            StageType::Finetune if lab_is_trained => &["lab"],
            _ => &[],
        };
        frozen.iter().map(|&s| s.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stages of a manifest with `compat`, completed.
    fn completed(stages: &str) -> Result<Vec<Stage>> {
        let text = format!("name = \"test\"\ncompat = \"dualk\"\n[data]\nparser = \"synthetic\"\n{stages}");
        let manifest = Manifest::parse(&text, &[]).unwrap().0;
        (0..manifest.stage.len()).map(|i| manifest.completed_stage(i)).collect()
    }

    #[test]
    fn individual_pretraining_goes_on_where_joint_ended() {
        let joint = "[[stage]]\ntype = \"pretrain\"\nepochs = 12\n";
        let stages = completed(&format!("{joint}[[stage]]\ntype = \"pretrain\"\nmode = \"individual\"\n")).unwrap();
        assert_eq!(stages[0].optimizer(), OptimizerState::Fresh);
        assert_eq!(stages[1].optimizer(), OptimizerState::Carried);
        assert_eq!((stages[1].lr(), stages[1].schedule()), (5e-4, Schedule::Constant));
        assert_eq!([stages[0].dropout_epochs, stages[1].dropout_epochs], [Some(1); 2]);
        assert_eq!(stages[1].freeze(), ["nodes", "encoder", "code_fusion", "visit_fusion"]);
    }

    #[test]
    fn fine_tuning_freezes_the_lab_layer_where_one_was_trained() {
        let finetune = "[[stage]]\ntype = \"finetune\"\n";
        assert!(completed(finetune).unwrap()[0].freeze().is_empty());
        let stages = completed(&format!("[[stage]]\ntype = \"lab\"\n{finetune}")).unwrap();
        assert_eq!(stages[1].freeze(), ["lab"]);
        let rate = |epoch| stages[1].schedule().rate(stages[1].lr(), epoch);
        assert_eq!([30, 31, 40, 41].map(rate), [1e-3, 5e-4, 5e-4, 1e-4]);
        assert_eq!(stages[1].dropout_epochs, None);
    }

    #[test]
    fn the_first_stage_has_nothing_to_carry_on() {
        let error = completed("[[stage]]\ntype = \"lab\"\noptimizer = \"carried\"\n").unwrap_err();
        assert!(error.to_string().starts_with("`stage[0].optimizer`"), "{error}");
    }
}
