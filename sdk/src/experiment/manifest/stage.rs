//! A stage of a manifest, and the defaults of its keys.

use super::{ComponentRef, Manifest};
use crate::train::{Algorithm, Rates, Schedule, Select, named_or_table, named_or_table_schema};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// Learning rate. Default: 0.001, or with `carry_optimizer` the one that the stage before ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Learning rates of parameters by the prefixes of their paths; they change with the epoch as `lr` does.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lr_of: BTreeMap<String, f64>,
    /// How the learning rate falls. Default: the published schedule of the stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Epochs over which learning rates rise to what the schedule says. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup: Option<usize>,
    /// Which epoch's weights to keep: the best on valid, or the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Select>,
    /// Parameters that do not train, as prefixes of their paths. Default: by type; `finetune` freezes the lab layer
    /// where an earlier stage trained it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze: Option<Vec<String>>,
    /// The optimizer: `adam`, `adamw` or `sgd`, or a table with its `type` and options. Default: Adam, as published.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "named_or_table")]
    #[schemars(schema_with = "named_or_table_schema")]
    pub optimizer: Option<Algorithm>,
    /// Whether the optimizer goes on with the moments and step counts of the stage before. Default: false, but for
    /// individual pretraining with `compat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carry_optimizer: Option<bool>,
    /// The largest norm of all gradients together; larger ones are scaled down to it. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Batches whose mean gradient makes a step. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accumulate: Option<usize>,
    /// Epochs without a better score on valid after which the stage ends. Default: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
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
        positive("accumulate", self.accumulate)?;
        positive("patience", self.patience)?;
        let above_zero = |key: &str, value: f64| match value > 0.0 && value.is_finite() {
            true => Ok(()),
            false => Err(Error::user(format!("expected a positive number, found {value}")).at_key(key)),
        };
        above_zero("lr", self.lr())?;
        self.lr_of.iter().try_for_each(|(prefix, &lr)| above_zero(&format!("lr_of.{prefix}"), lr))?;
        self.clip_norm.map_or(Ok(()), |norm| above_zero("clip_norm", norm))?;
        self.optimizer().check().map_err(|e| e.within_key("optimizer"))?;
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

    /// Learning rates by parameter and epoch.
    pub fn rates(&self) -> Rates {
        let warmup = self.warmup.unwrap_or(0);
        Rates { lr: self.lr(), by_prefix: self.lr_of.clone(), schedule: self.schedule(), warmup }
    }

    /// How the learning rate falls.
    pub fn schedule(&self) -> Schedule {
        self.schedule.clone().unwrap_or_else(|| match (self.r#type, self.mode()) {
            _ if self.carries_optimizer() => Schedule::Constant,
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
        stage.carry_optimizer = Some(stage.carry_optimizer.unwrap_or(compat && stage.is_individual() && follows_joint));
        let before = match stage.carries_optimizer() {
            true => Some(self.stage_to_carry_on(i)?),
            false => None,
        };
        let algorithm = stage.optimizer.clone().or_else(|| before.as_ref().map(Stage::optimizer)).unwrap_or_default();
        if let Some(other) = before.as_ref().map(Stage::optimizer).filter(|other| other.name() != algorithm.name()) {
            let message = format!("{} cannot go on from {} of the stage before", algorithm.name(), other.name());
            return Err(Error::user(message).at_key(format!("stage[{i}].optimizer")).help("use the same optimizer"));
        }
        stage.optimizer = Some(algorithm);
        // The rate of the last epoch.
        let carried = before.map(|before| before.rates().at(before.epochs().saturating_sub(1)));
        stage.lr = stage.lr.or(carried).or(Some(LR));
        stage.warmup = Some(stage.warmup.unwrap_or(0));
        stage.accumulate = Some(stage.accumulate());
        stage.schedule = Some(match stage.schedule() {
            Schedule::Cosine { epochs, least } => Schedule::Cosine { epochs: epochs.or(stage.epochs), least },
            other => other,
        });
        if stage.r#type == StageType::Pretrain && compat {
            stage.dropout_epochs = stage.dropout_epochs.or(Some(1));
        }
        stage.freeze = Some(stage.freeze.take().unwrap_or_else(|| self.default_freeze(i)));
        Ok(stage)
    }

    /// The stage before `i`, whose optimizer goes on.
    fn stage_to_carry_on(&self, i: usize) -> Result<Stage> {
        match i.checked_sub(1) {
            Some(before) => self.completed_stage(before),
            None => Err(Error::user("the first stage has no optimizer to carry on")
                .at_key(format!("stage[{i}].carry_optimizer"))
                .help("leave it out, or put the stage whose optimizer goes on before it")),
        }
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
        assert_eq!([&stages[0], &stages[1]].map(Stage::carries_optimizer), [false, true]);
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
        let error = completed("[[stage]]\ntype = \"lab\"\ncarry_optimizer = true\n").unwrap_err();
        assert!(error.to_string().starts_with("`stage[0].carry_optimizer`"), "{error}");
    }
    #[test]
    fn optimizers_are_named_or_written_out() {
        let stage = |keys: &str| completed(&format!("[[stage]]\ntype = \"lab\"\nepochs = 8\n{keys}"));
        let [plain, named, table] = ["", "optimizer = \"adamw\"", "optimizer = { type = \"sgd\", momentum = 0.9 }"]
            .map(|keys| stage(keys).unwrap()[0].optimizer());
        assert_eq!(plain, Algorithm::default());
        assert_eq!(named, Algorithm::Adamw { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 });
        assert_eq!(table, Algorithm::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 });
        let cosine = stage("schedule = { type = \"cosine\" }\nwarmup = 2\nlr_of = { lab = 0.01 }").unwrap();
        assert_eq!(cosine[0].schedule(), Schedule::Cosine { epochs: Some(8), least: 0.0 });
        assert_eq!((cosine[0].rates().warmup, cosine[0].rates().of("lab.fc.bias", 8)), (2, 0.0));
    }

    #[test]
    fn another_optimizer_cannot_go_on() {
        let stages =
            "[[stage]]\ntype = \"lab\"\n[[stage]]\ntype = \"pretrain\"\ncarry_optimizer = true\noptimizer = \"sgd\"\n";
        let error = completed(stages).unwrap_err().to_string();
        assert!(error.contains("sgd cannot go on from adam"), "{error}");
    }
}
