//! `dualk bench eval`: the forward pass and the metrics of `diagnosis`, apart.

use super::machine;
use super::report::{Format, Report, Times};
use super::setup::{Case, ModelArgs, Stage, set_threads, wait};
use super::workload::Sizes;
use clap::Args;
use dualk_sdk::component::{HeadSpec, Objective, Part, Predictions};
use dualk_sdk::data::{Examples, Prepared};
use dualk_sdk::progress::Silent;
use dualk_sdk::serde_json::{Map, Value, json};
use dualk_sdk::train::evaluate;
use dualk_sdk::train::metrics::{f1_weighted, recall_at_k};
use dualk_sdk::{Error, Result};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Arguments of `dualk bench eval`.
#[derive(Args)]
pub struct Eval {
    /// Patients to evaluate.
    #[arg(long, default_value_t = 1000)]
    patients: usize,
    /// How often.
    #[arg(long, default_value_t = 3)]
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
        let case = Case::new(&self.model, &self.sizes, Stage::Finetune, self.patients)?;
        let examples = case.objective.examples(&case.data, Part::Test)?;
        let timed = Timed { inner: case.objective.as_ref(), metrics: Mutex::default(), each: Mutex::default() };
        machine::forget_peak_memory();
        let mut forward = Vec::new();
        for _ in 0..self.repeats {
            wait(&case.device)?;
            let start = Instant::now();
            evaluate(&case.model, &case.data.graph, &examples, &timed, &mut Silent);
            forward.push(start.elapsed().as_secs_f64() - timed.last());
        }
        let (forward, metrics) = (Times::new(forward), Times::new(locked(&timed.metrics).clone()));
        let each: Map<String, Value> = locked(&timed.each).iter().map(|(name, s)| (name.clone(), json!(s))).collect();
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
            "repeats": self.repeats,
            "peak_rss_gib": machine::peak_memory_gib(),
            "metric_s": each,
        }));
        report.finish();
        Ok(())
    }
}

/// An objective that notes how long its metrics take: together, then each alone.
struct Timed<'a> {
    inner: &'a dyn Objective,
    metrics: Mutex<Vec<f64>>,
    each: Mutex<Vec<(String, f64)>>,
}

impl Timed<'_> {
    /// Seconds of the last call, the metrics one by one included.
    fn last(&self) -> f64 {
        let each: f64 = locked(&self.each).iter().map(|e| e.1).sum();
        locked(&self.metrics).last().copied().unwrap_or(0.0) + each
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `metric` gives, and in how many seconds.
fn seconds<T>(metric: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let value = metric();
    (value, start.elapsed().as_secs_f64())
}

impl Objective for Timed<'_> {
    fn heads(&self, data: &Prepared) -> Result<Vec<HeadSpec>> {
        self.inner.heads(data)
    }

    fn examples(&self, data: &Prepared, part: Part) -> Result<Examples> {
        self.inner.examples(data, part)
    }

    fn metrics(&self, predictions: &[Predictions<'_>]) -> Vec<(String, f64)> {
        let (metrics, all) = seconds(|| self.inner.metrics(predictions));
        locked(&self.metrics).push(all);
        let mut each = Vec::new();
        if let Some(p) = predictions.first() {
            each.push(("F1-w".to_owned(), seconds(|| f1_weighted(p.logits, p.columns, p.targets)).1));
            let recall = |k| seconds(|| recall_at_k(p.logits, p.columns, p.targets, k)).1;
            each.extend([10, 20, 30, 40].map(|k| (format!("R@{k}"), recall(k))));
        }
        *locked(&self.each) = each;
        metrics
    }

    fn primary(&self) -> &str {
        self.inner.primary()
    }
}
