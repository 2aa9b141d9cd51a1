//! The model of a measurement, built as a run builds it.

use super::size;
use super::workload::Sizes;
use crate::commands::{WritableArg, value_of};
use clap::{Args, ValueEnum};
use dualk_sdk::burn::tensor::Device;
use dualk_sdk::component::{Loss, Objective};
use dualk_sdk::data::Dataset;
use dualk_sdk::experiment::manifest::{Source, Stage as StageOptions};
use dualk_sdk::experiment::{Experiment, Manifest};
use dualk_sdk::model::{Model, freeze};
use dualk_sdk::slots;
use dualk_sdk::train::FrozenPart;
use dualk_sdk::{Error, Result};
use std::ops::Range;

/// The stages of the published experiment, in the order of [`Stage`]. The parser is never asked for anything.
const MANIFEST: &str = r#"
name = "bench"
data.parser = "synthetic"

[model]
node_init.type = "random"
graph_encoder.type = "gat"
lab.type = "linear"
code_fusion.type = "attention"
visit_fusion.type = "attention"

[[stage]]
type = "pretrain"

[[stage]]
type = "pretrain"
mode = "individual"

[[stage]]
type = "finetune"
freeze = ["lab"]
"#;

/// Which stage is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// All decoders together, encoder included; batch 256.
    Pretrain,
    /// One decoder over a frozen encoder; batch 256.
    Individual,
    /// The classifier of the next visit's codes; batch 32.
    Finetune,
}

impl Stage {
    /// Its position in [`MANIFEST`].
    fn index(self) -> usize {
        match self {
            Self::Pretrain => 0,
            Self::Individual => 1,
            Self::Finetune => 2,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Pretrain => "pretrain",
            Self::Individual => "individual",
            Self::Finetune => "finetune",
        }
    }

    /// Whether it predicts a visit that the model does not see.
    pub fn has_next_visit(self) -> bool {
        self == Self::Finetune
    }
}

/// The model and where it runs.
#[derive(Args, Debug, Clone)]
pub struct ModelArgs {
    /// Width of the node features.
    #[arg(long, default_value_t = 2000, value_parser = size)]
    pub features: usize,
    /// Widths of the graph encoder's layers; the lab vector has the last.
    #[arg(long, value_delimiter = ',', default_values_t = [256, 256], value_parser = size)]
    pub widths: Vec<usize>,
    /// The graph encoder, by name.
    #[arg(long, default_value = "gat")]
    pub encoder: String,
    /// Change a key of the manifest that the model is built from: `--set model.code_fusion.type=gru`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Compute on auto, cpu, cuda, cuda:1, wgpu …
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Threads of the CPU. Default: all.
    #[arg(long, value_parser = size)]
    pub threads: Option<usize>,
}

impl ModelArgs {
    /// The experiment, with plugins loaded and options checked.
    pub fn experiment(&self, seed: u64) -> Result<Experiment> {
        let Some(last) = self.widths.last() else {
            return Err(Error::user("--widths: expected the width of at least one layer, found none"));
        };
        let mut source = Source::from_text("manifest", MANIFEST, &[])?;
        for (key, value) in [
            ("seed", value_of("--seed", seed)?),
            ("backend.device", self.device.as_str().into()),
            ("model.node_init.dim", value_of("--features", self.features)?),
            ("model.graph_encoder.type", self.encoder.as_str().into()),
            ("model.graph_encoder.dims", value_of("--widths", &self.widths)?),
            ("model.lab.dim", value_of("--widths", last)?),
        ] {
            source.assign(key, value)?;
        }
        self.settings.iter().try_for_each(|setting| source.set(setting))?;
        Experiment::new(Manifest::from_source(source)?, WritableArg::default().registry())
    }
}

/// Gives the thread pool of the process so many threads; it can be done once.
pub fn set_threads(threads: Option<usize>) -> Result<()> {
    let Some(threads) = threads else { return Ok(()) };
    if threads == 0 {
        return Err(Error::user("--threads: expected at least 1, found 0"));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    pool.map_err(|e| Error::user(format!("--threads: cannot start {threads} threads: {e}")))
}

/// A stage that is ready to train.
pub struct Case {
    pub experiment: Experiment,
    pub stage: Stage,
    pub data: Dataset,
    pub objective: Box<dyn Objective>,
    pub loss: Box<dyn Loss>,
    pub model: Model,
    /// The heads that train.
    pub heads: Range<usize>,
    /// Prefixes of what does not.
    pub frozen: Vec<String>,
    /// What before the heads does not.
    pub frozen_part: FrozenPart,
    /// Autodiff is on.
    pub device: Device,
}

impl Case {
    /// Builds data and model of a stage, for so many patients.
    pub fn new(args: &ModelArgs, sizes: &Sizes, stage: Stage, patients: usize) -> Result<Self> {
        sizes.check()?;
        let experiment = args.experiment(sizes.seed)?;
        let mut data = sizes.dataset(patients, stage.has_next_visit())?;
        data.graph = data.graph.with_precision(experiment.manifest().backend.precision);
        let device = experiment.device().device.clone().autodiff();
        let options = &experiment.manifest().stage[stage.index()];
        let (objective, loss) = parts(&experiment, options)?;
        let mut model = experiment.model(&data, &device, |_| {})?;
        if stage == Stage::Individual {
            let joint = &experiment.manifest().stage[Stage::Pretrain.index()];
            let (joint, _) = parts(&experiment, joint)?;
            model = experiment.enter_stage(model, 0, joint.as_ref(), &data, &device)?.keep_heads();
        }
        model = experiment.enter_stage(model, stage.index(), objective.as_ref(), &data, &device)?;
        let all = model.head_specs().len();
        let heads = if stage == Stage::Individual { 0..1 } else { 0..all };
        let others = (heads.end..all).map(|h| format!("heads.{h}"));
        let frozen: Vec<String> = options.freeze().iter().cloned().chain(others).collect();
        model = freeze(model, &frozen);
        let frozen_part = FrozenPart::of(&model.parts(), &frozen, experiment.manifest().is_compat());
        Ok(Self { stage, objective, loss, model, heads, frozen, frozen_part, device, data, experiment })
    }

    /// The stage's keys of the manifest.
    pub fn options(&self) -> &StageOptions {
        &self.experiment.manifest().stage[self.stage.index()]
    }
}

fn parts(experiment: &Experiment, stage: &StageOptions) -> Result<(Box<dyn Objective>, Box<dyn Loss>)> {
    let (registry, (_, objective), loss) = (experiment.registry(), stage.objective(), stage.loss());
    let objective = registry.make::<slots::objective>(&objective.r#type, objective.options)?;
    Ok((objective, registry.make::<slots::loss>(&loss.r#type, loss.options)?))
}

/// Waits until the device has done all work.
pub fn wait(device: &Device) -> Result<()> {
    device.sync().map_err(|e| Error::program(format!("the device failed: {e:?}")))
}

impl ModelArgs {
    /// The smallest model, where only data are wanted.
    pub fn small() -> Self {
        let (encoder, device) = ("gat".to_owned(), "cpu".to_owned());
        Self { features: 1, widths: vec![1], encoder, settings: Vec::new(), device, threads: None }
    }
}
