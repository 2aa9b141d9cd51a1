//! `dualk bench step`: whole training steps; `dualk bench workload`: the same work for another program.

use super::machine::Limits;
use super::report::{Format, Report, Times};
use super::setup::{Case, ModelArgs, Stage, set_threads, wait};
use super::workload::{Sizes, describe};
use super::{count, machine, size};
use clap::Args;
use dualk_sdk::burn::tensor::Device;
use dualk_sdk::component::Split;
use dualk_sdk::data::{Batch, Examples, Ragged};
use dualk_sdk::model::dense;
use dualk_sdk::progress::{Progress, Task};
use dualk_sdk::serde_json::{Value, json};
use dualk_sdk::storage::{self, Access};
use dualk_sdk::train::{Algorithm, Fit, FrozenPart, Optimizer, Rates, Select};
use dualk_sdk::{Error, Result};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Arguments of `dualk bench step`.
#[derive(Args)]
pub struct Step {
    /// Stages to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Stage::Pretrain, Stage::Individual, Stage::Finetune])]
    stage: Vec<Stage>,
    #[command(flatten)]
    steps: Steps,
    /// Measure the CPU too, and compare with the time that a step takes at least.
    #[arg(long)]
    floor: bool,
    #[command(flatten)]
    sizes: Sizes,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    format: Format,
}

/// How many steps of how many patients.
#[derive(Args, Debug, Clone)]
struct Steps {
    /// Patients a step. Default: 256 for pretraining, 32 for fine-tuning.
    #[arg(long, value_parser = size)]
    batch: Option<usize>,
    /// Steps that are measured.
    #[arg(long, default_value_t = 5, value_parser = size)]
    steps: usize,
    /// Steps before, which are not.
    #[arg(long, default_value_t = 1, value_parser = size)]
    warm_up: usize,
}

impl Steps {
    fn check(&self) -> Result<()> {
        match (self.batch, self.steps) {
            (Some(0), _) => Err(Error::user("--batch: expected at least 1, found 0")),
            (_, 0) => Err(Error::user("--steps: expected at least 1, found 0")),
            _ => Ok(()),
        }
    }

    fn batch(&self, stage: Stage) -> usize {
        self.batch.unwrap_or(if stage == Stage::Finetune { 32 } else { 256 })
    }

    fn patients(&self, stage: Stage) -> usize {
        (self.steps + self.warm_up) * self.batch(stage)
    }
}

impl Step {
    pub fn run(self) -> Result<()> {
        self.steps.check()?;
        set_threads(self.model.threads)?;
        let mut report = Report::new(self.format);
        for &stage in &self.stage {
            report.add(self.measure(stage)?);
        }
        report.finish();
        Ok(())
    }

    fn measure(&self, stage: Stage) -> Result<Value> {
        let (batch, patients) = (self.steps.batch(stage), self.steps.patients(stage));
        let case = Case::new(&self.model, &self.sizes, stage, patients)?;
        self.check_floor(&case.experiment.device().name)?;
        let examples = case.objective.examples(&case.data, Split::Train)?;
        machine::forget_peak_memory();
        let (mut case, seconds) = time_steps(case, &examples, batch, true)?;
        let peak = machine::peak_memory_gib();
        let mut unwaited = None;
        if case.device.clone().without_autodiff() != Device::flex() {
            let (same, ends) = time_steps(case, &examples, batch, false)?;
            (case, unwaited) = (same, Some(ends.iter().sum::<f64>() / examples.len().div_ceil(batch) as f64));
        }
        let step = Times::new(seconds[self.steps.warm_up.min(seconds.len() - 1)..].to_vec());
        let phases = match case.frozen_part {
            FrozenPart::Nothing => Some(phases(&case, &examples, batch, step.median())?),
            _ => None, // they would be those of another step
        };
        self.row(&case, &examples.batch(&(0..batch).collect::<Vec<_>>()), Timed { step, unwaited, peak, phases })
    }

    fn check_floor(&self, device: &str) -> Result<()> {
        match self.floor && device != "cpu" {
            true => Err(Error::user(format!("--floor: only the CPU is measured, and the device is {device}"))
                .help("leave --floor out, or give --device cpu")),
            false => Ok(()),
        }
    }

    /// What is reported of a stage, of which `example` is one batch.
    fn row(&self, case: &Case, example: &Batch, timed: Timed) -> Result<Value> {
        let Timed { step, unwaited, peak, phases } = timed;
        let work = count::step(case, example);
        let flop = work.map(|w| w.flop);
        let limits = self
            .floor
            .then(|| Limits::measure(self.sizes.nodes, self.model.widths.last().copied().unwrap_or(1)))
            .transpose()?;
        let floor = work.zip(limits).map(|(work, limits)| work.floor(&limits));
        let graph = describe(&case.data.graph);
        let parts = &case.experiment.manifest().model;
        Ok(json!({
            "bench": "step",
            "stage": case.stage.name(),
            "device": case.experiment.device().name,
            "precision": case.experiment.manifest().backend.precision,
            "threads": rayon::current_num_threads(),
            "encoder": parts.graph_encoder.r#type,
            "nodes": graph["nodes"],
            "edges": graph["edges"],
            "largest_degree": graph["largest_degree"],
            "features": parts.node_init.options.get("dim"),
            "widths": parts.graph_encoder.options.get("dims"),
            "batch": self.steps.batch(case.stage),
            "visits": example.codes.len(),
            "codes": example.codes.members().values().len(),
            "step_s": step.median(),
            "step_s_min": step.min(),
            "step_s_max": step.max(),
            // As in training: no step is waited for but the last.
            "step_unwaited_s": unwaited,
            "steps": self.steps.steps,
            "flop": flop,
            "gflop_per_s": flop.map(|f| f / step.median() / 1e9),
            "floor_s": floor,
            "peak_rss_gib": peak,
            "phases": phases,
        }))
    }
}

/// What was measured of the steps of a stage.
struct Timed {
    step: Times,
    /// Seconds of a step where no step is waited for but the last.
    unwaited: Option<f64>,
    /// Most memory of the process, in GiB.
    peak: Option<f64>,
    phases: Option<Value>,
}

/// Seconds of each step of one epoch, in the real training loop. A step ends when the device has done its work, or, where steps
/// are not `waited` for, when it is handed over; the last waits for all.
fn time_steps(mut case: Case, examples: &Examples, batch: usize, waited: bool) -> Result<(Case, Vec<f64>)> {
    let watch = Watch { device: case.device.clone(), ends: Arc::default(), waited };
    let none = Examples::default();
    let fit = Fit {
        name: case.stage.name(),
        graph: &case.data.graph,
        objective: case.objective.as_ref(),
        loss: case.loss.as_ref(),
        train: examples,
        valid: &none,
        watch: None,
        heads: case.heads.clone(),
        frozen: &case.frozen,
        dropout_in_frozen: case.experiment.manifest().is_compat(),
        epochs: 1,
        dropout_epochs: None,
        batch,
        shuffle: true,
        accumulate: 1,
        rates: &Rates::constant(case.options().lr()),
        algorithm: &Algorithm::default(),
        clip_norm: None,
        patience: None,
        select: Select::Last,
        seed: case.experiment.manifest().seed,
        progress: &watch,
        on_step: None,
    };
    // The loop owns the only copy of the weights, as in a run.
    case.model = fit.run(case.model, Optimizer::new(), |_| Ok(()))?.model;
    let ends = watch.ends.lock().unwrap_or_else(PoisonError::into_inner);
    let seconds = ends.windows(2).map(|w| (w[1] - w[0]).as_secs_f64()).collect();
    Ok((case, seconds))
}

/// Notes when the training loop begins and when it says that a step is done.
#[derive(Clone)]
struct Watch {
    device: Device,
    ends: Arc<Mutex<Vec<Instant>>>,
    /// Whether every step is waited for.
    waited: bool,
}

impl Watch {
    fn note(&self, wait: bool) {
        if wait {
            // A device that fails here fails in the loop as well, which reports it.
            let _ = self.device.sync();
        }
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
    }
}

impl Progress for Watch {
    fn begin(&self, _: &str, _: &str, _: Option<u64>) -> Box<dyn Task> {
        self.note(true);
        Box::new(self.clone())
    }

    fn line(&self, _: &str) {}
}

impl Task for Watch {
    fn advance(&mut self, _: u64) {
        self.note(self.waited);
    }

    fn message(&mut self, _: &str) {}

    fn finish(self: Box<Self>, _: &str) {
        if !self.waited {
            self.note(true);
        }
    }
}

/// Medians of the parts of a step, each run until the device has done it. What a step takes beyond them is the
/// optimizer and, where the loop does better than one part after the other, negative.
fn phases(case: &Case, examples: &Examples, batch: usize, step: f64) -> Result<Value> {
    const REPEATS: usize = 3;
    let mut seconds = [const { Vec::new() }; 4];
    for repeat in 0..REPEATS {
        let from = repeat * batch % examples.len();
        let chosen: Vec<usize> = (from..(from + batch).min(examples.len())).collect();
        let mut last = Instant::now();
        let mut lap = |phase: usize| -> Result<()> {
            wait(&case.device)?;
            seconds[phase].push(last.elapsed().as_secs_f64());
            last = Instant::now();
            Ok(())
        };
        let batch = examples.batch(&chosen);
        lap(0)?;
        let embeddings = case.model.embeddings(&case.data.graph);
        lap(1)?;
        let patients = embeddings.map(|e| case.model.encoded(e, &case.data.graph, &batch));
        let logits = case.model.logits(patients, &batch, case.heads.clone());
        let losses = logits.into_iter().zip(case.heads.clone()).map(|(logits, head)| {
            let targets = dense(&batch.targets[head], logits.dims()[1], &case.device);
            case.loss.forward(logits, targets)
        });
        let loss = losses.reduce(|a, b| a + b);
        lap(2)?;
        let gradients = loss.map(|loss| loss.backward());
        lap(3)?;
        drop(gradients);
    }
    let [assembly, encoder, heads, backward] = seconds.map(|s| Times::new(s).median());
    Ok(json!({
        "batch_s": assembly,
        "encoder_forward_s": encoder,
        "fusion_heads_loss_forward_s": heads,
        "backward_s": backward,
        "rest_s": step - assembly - encoder - heads - backward,
    }))
}

/// Arguments of `dualk bench workload`.
#[derive(Args)]
pub struct Export {
    /// The stage.
    #[arg(long, value_enum, default_value = "pretrain")]
    stage: Stage,
    #[command(flatten)]
    steps: Steps,
    #[command(flatten)]
    sizes: Sizes,
    /// Folder for `edges.u32` (source and target of each edge, little-endian) and `examples.json`; it must be absent or empty.
    #[arg(long)]
    out: PathBuf,
}

impl Export {
    pub fn run(self) -> Result<()> {
        storage::check_free(&self.out)?;
        self.steps.check()?;
        let model = ModelArgs::small();
        let case = Case::new(&model, &self.sizes, self.stage, self.steps.patients(self.stage))?;
        let examples = case.objective.examples(&case.data, Split::Train)?;
        let heads = case.model.head_specs().iter().map(|h| json!({ "name": h.name, "outputs": h.outputs }));
        let codes = |visits: &[u32]| -> Value { visits.iter().map(|&v| examples.codes.row(v as usize)).collect() };
        let text = json!({
            "nodes": case.data.graph.nodes(),
            "batch": self.steps.batch(self.stage),
            "labs": case.data.vocabulary.labs.len(),
            "heads": heads.collect::<Value>(),
            "visits": examples.visits.rows().map(codes).collect::<Value>(),
            "patient_labs": rows(&examples.labs),
            "targets": examples.targets.iter().map(rows).collect::<Value>(),
        });
        let edges: Vec<u8> = case.data.graph.iter().flat_map(|(s, t, _)| [s, t]).flat_map(u32::to_le_bytes).collect();
        let text = text.to_string();
        storage::checked_folder(&self.out, Access::All, storage::check_free, |new| {
            storage::write(&new.join("edges.u32"), &edges)?;
            storage::write(&new.join("examples.json"), text.as_bytes())
        })
    }
}

fn rows(rows: &Ragged<u32>) -> Value {
    rows.rows().collect()
}
