//! The manifest of an experiment: what `dualk run` reads.

mod schema;
mod source;

pub use schema::manifest_schema;
pub use source::Source;

use super::manifest::source::from_serde;
use crate::component::Slot;
use crate::data::SplitOptions;
use crate::model::HeadOptions;
use crate::ops::Precision;
use crate::train::{Schedule, Select};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;
use toml::{Table, Value};

/// An experiment. Keys that are not listed here are refused.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name of the experiment; part of the name of its run folder. Default: the name of the manifest's file.
    #[serde(default)]
    pub name: String,
    /// Seed of parameters, dropout and the order of examples.
    #[serde(default)]
    pub seed: u64,
    /// `"dualk"` reproduces quirks of the published code; leave it out for the sound behaviour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compat: Option<Compat>,
    /// Where to compute.
    #[serde(default)]
    pub backend: Backend,
    /// Plugins to load. Shipped ones are found without being listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugin: Vec<PluginRef>,
    /// Cohort and split.
    pub data: Data,
    /// The model; not needed to prepare data.
    #[serde(default)]
    pub model: Model,
    /// Stages, trained in this order; each goes on with what the earlier ones learnt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stage: Vec<Stage>,
    /// Where results go.
    #[serde(default)]
    pub output: Output,
}

/// Published behaviour to reproduce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compat {
    /// The code of the DuaLK publication.
    Dualk,
}

/// Where to compute.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Backend {
    /// `auto`, `cpu`, `cuda`, `cuda:1`, `wgpu` or `wgpu:1`.
    pub device: String,
    /// In which numbers graph kernels read the rows of neighbours: `f32`, or `bf16` (on the CPU only).
    pub precision: Precision,
}

impl Default for Backend {
    fn default() -> Self {
        Self { device: "auto".into(), precision: Precision::F32 }
    }
}

/// A plugin to load.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginRef {
    /// Name of a shipped plugin, or path of a shared library.
    pub path: String,
    /// Refuse any other file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Cohort and split.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Reads the raw tables.
    pub parser: ComponentRef,
    /// Which patients serve for what.
    #[serde(default)]
    pub split: SplitOptions,
}

/// The parts of the model.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// First features of the graph's nodes.
    pub node_init: ComponentRef,
    /// Node features and graph → code embeddings.
    pub graph_encoder: ComponentRef,
    /// Codes → visit.
    pub code_fusion: ComponentRef,
    /// Visits → patient.
    pub visit_fusion: ComponentRef,
    /// Abnormal laboratory items → vector.
    pub lab: ComponentRef,
    /// Widths of decoders and classifiers.
    pub head: HeadOptions,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            node_init: ComponentRef::named("random"),
            graph_encoder: ComponentRef::named("gat"),
            code_fusion: ComponentRef::named("attention"),
            visit_fusion: ComponentRef::named("attention"),
            lab: ComponentRef::named("linear"),
            head: HeadOptions::default(),
        }
    }
}

/// A component with its options: `{ type = "gat", heads = 4 }`, or just `"gat"`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComponentRef {
    /// Name of the component.
    pub r#type: String,
    /// Its options.
    #[serde(flatten)]
    pub options: Table,
}

impl ComponentRef {
    /// A component with its default options.
    pub fn named(name: &str) -> Self {
        Self { r#type: name.to_owned(), options: Table::new() }
    }
}

impl<'de> Deserialize<'de> for ComponentRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        match Value::deserialize(deserializer)? {
            Value::String(name) => Ok(Self { r#type: name, options: Table::new() }),
            Value::Table(mut options) => match options.remove("type") {
                Some(Value::String(name)) => Ok(Self { r#type: name, options }),
                Some(other) => Err(D::Error::custom(format!("`type` is a name, found {other}"))),
                None => Err(D::Error::missing_field("type")),
            },
            other => Err(D::Error::custom(format!("expected a component such as {{ type = \"…\" }}, found {other}"))),
        }
    }
}

impl JsonSchema for ComponentRef {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Component".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                { "type": "string" },
                { "type": "object", "properties": { "type": { "type": "string" } }, "required": ["type"] }
            ]
        })
    }
}

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
    /// Learning rate of Adam.
    #[serde(default = "default_lr")]
    pub lr: f64,
    /// How the learning rate falls. Default: the published schedule of the stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Which epoch's weights to keep: the best on valid, or the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Select>,
    /// Parameters that do not train, as prefixes of their paths. Default: by type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze: Option<Vec<String>>,
}

fn default_lr() -> f64 {
    1e-3
}

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

/// Where results go.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Output {
    /// Folder of run folders, relative to the current one.
    pub runs: std::path::PathBuf,
    /// Folder of the cache, relative to the current one. Default: that of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<std::path::PathBuf>,
}

impl Default for Output {
    fn default() -> Self {
        Self { runs: "runs".into(), cache: None }
    }
}

impl Manifest {
    /// The components that it names: slot and name, each once.
    pub fn components(&self) -> Vec<(Slot, String)> {
        let model = &self.model;
        let mut named = vec![
            (Slot::Parser, self.data.parser.r#type.clone()),
            (Slot::NodeInit, model.node_init.r#type.clone()),
            (Slot::GraphEncoder, model.graph_encoder.r#type.clone()),
            (Slot::Fusion, model.code_fusion.r#type.clone()),
            (Slot::Fusion, model.visit_fusion.r#type.clone()),
            (Slot::Lab, model.lab.r#type.clone()),
        ];
        for stage in &self.stage {
            named.push((Slot::Objective, stage.objective().1.r#type));
            named.push((Slot::Loss, stage.loss().r#type));
        }
        named.sort();
        named.dedup();
        named
    }

    /// Reads a manifest with what it `extends`, and applies `key=value` settings over it.
    ///
    /// # Errors
    /// For unreadable files, TOML that is none, unknown keys and values of the wrong type, each with its line.
    pub fn load(path: &Path, settings: &[String]) -> Result<(Self, Source)> {
        Self::from_source(Source::load(path, settings)?)
    }

    /// A manifest in a text, for programs that embed the SDK.
    ///
    /// # Errors
    /// As [`Manifest::load`], with lines of the text.
    pub fn parse(text: &str, settings: &[String]) -> Result<(Self, Source)> {
        Self::from_source(Source::from_text("manifest", text, settings)?)
    }

    fn from_source(mut source: Source) -> Result<(Self, Source)> {
        source.name_after_file();
        let manifest = Self::from_table(source.table().clone()).map_err(|e| source.place(e))?;
        Ok((manifest, source))
    }

    fn from_table(table: Table) -> Result<Self> {
        let manifest: Self = serde_path_to_error::deserialize(Value::Table(table)).map_err(from_serde)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Whether published quirks are reproduced.
    pub fn is_compat(&self) -> bool {
        self.compat == Some(Compat::Dualk)
    }

    /// Checks what needs no component.
    fn check(&self) -> Result<()> {
        let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || self.name.starts_with('.') || !self.name.chars().all(good) {
            let message = format!("expected letters, digits, `-`, `_` and `.`, found \"{}\"", self.name);
            return Err(Error::user(message).at_key("name").help("the name becomes a folder"));
        }
        self.model.head.check().map_err(|e| e.within_key("model.head"))?;
        self.data.split.check().map_err(|e| e.within_key("data.split"))?;
        self.stage.iter().enumerate().try_for_each(|(i, s)| s.check().map_err(|e| e.within_key(&format!("stage[{i}]"))))
    }
}

impl Stage {
    fn check(&self) -> Result<()> {
        let positive = |key: &str, value: Option<usize>| match value {
            Some(0) => Err(Error::user("expected at least 1, found 0").at_key(key)),
            _ => Ok(()),
        };
        positive("epochs", self.epochs)?;
        positive("batch", self.batch)?;
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return Err(Error::user(format!("expected a positive number, found {}", self.lr)).at_key("lr"));
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

    /// How the learning rate falls.
    pub fn schedule(&self) -> Schedule {
        self.schedule.clone().unwrap_or_else(|| match self.r#type {
            StageType::Pretrain => Schedule::Milestones { epochs: vec![10, 20, 30, 40, 50], factor: 0.5 },
            StageType::Lab => Schedule::Step { every: 20, factor: 0.5 },
            StageType::Finetune => Schedule::Piecewise { from: vec![30, 40], lr: vec![5e-4, 1e-4] },
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
    pub fn freeze(&self) -> Vec<String> {
        let frozen: &[&str] = match (self.r#type, self.mode()) {
            (StageType::Pretrain, Mode::Joint) => &[],
            (StageType::Pretrain, Mode::Individual) => &["nodes", "encoder", "code_fusion", "visit_fusion"],
            (StageType::Lab, _) => &[],
            (StageType::Finetune, _) => &["lab"],
        };
        self.freeze.clone().unwrap_or_else(|| frozen.iter().map(|&s| s.to_owned()).collect())
    }
}
