//! `dualk bench eval`: the forward pass, the metrics of `diagnosis`, and all measures of a table's row, apart.

use super::report::{Format, Report, Times};
use super::setup::{Case, ModelArgs, Stage, set_threads, wait};
use super::workload::Sizes;
use super::{check_room, machine, size};
use clap::Args;
use dualk_sdk::component::{HeadSpec, Meter, Objective, Predictions, Split};
use dualk_sdk::data::{Dataset, Examples};
use dualk_sdk::progress::Silent;
use dualk_sdk::serde_json::json;
use dualk_sdk::train::{Scale, assess, evaluate, predict};
use dualk_sdk::{Error, Result};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Where the measures of a ranking are cut off, as in tables of `diagnosis`.
const KS: [usize; 4] = [10, 20, 30, 40];

/// Arguments of `dualk bench eval`.
#[derive(Args)]
pub struct Eval {
    /// Patients to evaluate.
    #[arg(long, default_value_t = 1000, value_parser = size)]
    patients: usize,
    /// How often each is measured.
    #[arg(long, default_value_t = 3, value_parser = size)]
    repeats: usize,
    #[command(flatten)]
    sizes: Sizes,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    format: Format,
}

impl Eval {
    pub fn run(self) -> Result<()> {
        for (flag, value) in [("patients", self.patients), ("repeats", self.repeats)] {
            if value == 0 {
                return Err(Error::user(format!("--{flag}: expected at least 1, found 0")));
            }
        }
        set_threads(self.model.threads)?;
        check_room("logits of these patients", self.patients as f64 * self.sizes.targets as f64)?;
        let case = Case::new(&self.model, &self.sizes, Stage::Finetune, self.patients)?;
        let examples = case.objective.examples(&case.data, Split::Test)?;
        machine::forget_peak_memory();
        let (forward, metrics) = self.evaluations(&case, &examples)?;
        let peak = machine::peak_memory_gib();
        let assess = self.assessments(&case, &examples);
        let mut report = Report::new(self.format);
        report.add(json!({
            "bench": "eval",
            "device": case.experiment.device().name,
            "threads": rayon::current_num_threads(),
            "patients": self.patients,
            "columns": self.sizes.targets,
            "forward_s": forward.median(),
            "forward_s_min": forward.min(),
            "forward_s_max": forward.max(),
            "metrics_s": metrics.median(),
            "metrics_s_min": metrics.min(),
            "metrics_s_max": metrics.max(),
            "assess_s": assess.median(),
            "assess_s_min": assess.min(),
            "assess_s_max": assess.max(),
            "repeats": self.repeats,
            "peak_rss_gib": peak,
        }));
        report.finish();
        Ok(())
    }

    /// Seconds of forward passes, and of the metrics that are counted beside them.
    fn evaluations(&self, case: &Case, examples: &Examples) -> Result<(Times, Times)> {
        let timed = Timed { inner: case.objective.as_ref(), seconds: Arc::default() };
        let (mut forward, mut metrics) = (Vec::new(), Vec::new());
        for _ in 0..self.repeats {
            wait(&case.device)?;
            let start = Instant::now();
            evaluate(&case.model, &case.data.graph, examples, &timed, &mut Silent);
            metrics.push(timed.take());
            forward.push(start.elapsed().as_secs_f64() - metrics.last().copied().unwrap_or(0.0));
        }
        Ok((Times::new(forward), Times::new(metrics)))
    }

    /// Seconds of all measures of logits that are there already.
    fn assessments(&self, case: &Case, examples: &Examples) -> Times {
        let logits = predict(&case.model, &case.data.graph, examples, &mut Silent);
        let (columns, scale) = (case.model.head_specs()[0].outputs, Scale::of(case.objective.as_ref()));
        let once = |_| {
            let start = Instant::now();
            std::hint::black_box(assess(&logits[0], columns, &examples.targets[0], &KS, scale));
            start.elapsed().as_secs_f64()
        };
        Times::new((0..self.repeats).map(once).collect())
    }
}

/// An objective that notes how long its metrics take.
struct Timed<'a> {
    inner: &'a dyn Objective,
    seconds: Arc<Mutex<f64>>,
}

impl Timed<'_> {
    /// Seconds since the last call.
    fn take(&self) -> f64 {
        std::mem::take(&mut *self.seconds.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Objective for Timed<'_> {
    fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>> {
        self.inner.heads(data)
    }

    fn examples(&self, data: &Dataset, split: Split) -> Result<Examples> {
        self.inner.examples(data, split)
    }

    fn meter(&self) -> Option<Box<dyn Meter>> {
        let inner = self.inner.meter()?;
        Some(Box::new(TimedMeter { inner, seconds: self.seconds.clone() }))
    }

    fn primary(&self) -> &str {
        self.inner.primary()
    }
}

struct TimedMeter {
    inner: Box<dyn Meter>,
    seconds: Arc<Mutex<f64>>,
}

impl TimedMeter {
    fn note(&self, start: Instant) {
        *self.seconds.lock().unwrap_or_else(PoisonError::into_inner) += start.elapsed().as_secs_f64();
    }
}

impl Meter for TimedMeter {
    fn update(&mut self, predictions: &[Predictions<'_>]) {
        let start = Instant::now();
        self.inner.update(predictions);
        self.note(start);
    }

    fn compute(&self) -> Vec<(String, f64)> {
        let start = Instant::now();
        let metrics = self.inner.compute();
        self.note(start);
        metrics
    }
}
