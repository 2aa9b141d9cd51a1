//! From raw tables to what stages learn from, at sizes up to and beyond those of MIMIC-IV.

use super::machine::peak_memory_gib;
use super::report::{Format, Report};
use crate::commands::WritableArg;
use clap::Args;
use dualk_plugin_parser_synthetic::Files;
use dualk_sdk::component::{ParserContext, Slot};
use dualk_sdk::data::{Dataset, SplitOptions, build_vocabulary, split, write};
use dualk_sdk::graph::cooccurrence;
use dualk_sdk::slots;

use dualk_sdk::progress::{Console, Progress, Task};
use dualk_sdk::serde_json::{Map, Value, from_slice, json};
use dualk_sdk::toml::Table;
use dualk_sdk::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Lab rows of an admission in MIMIC-IV 3.1, 158 million over 546,028, times the admissions of a made-up patient.
const ROWS_OF_A_PATIENT: u64 = 480;

/// Arguments of `dualk bench prepare`.
#[derive(Args)]
pub struct Prepare {
    /// Numbers of lab rows, one measurement each.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000_000, 10_000_000, 60_000_000])]
    rows: Vec<u64>,
    /// Folder of the made-up tables, which are written once.
    #[arg(long, default_value = "target/bench-prepare")]
    cache: PathBuf,
    /// Read .csv.gz instead of .csv.
    #[arg(long)]
    gzip: bool,
    /// Only write the tables that are not there, and print their folders.
    #[arg(long)]
    generate: bool,
    #[command(flatten)]
    format: Format,
    /// Measures one folder in this process; what the command starts for each size.
    #[arg(long, hide = true)]
    folder: Option<PathBuf>,
}

impl Prepare {
    pub fn run(self) -> Result<()> {
        if let Some(folder) = &self.folder {
            println!("{}", measure(folder)?);
            return Ok(());
        }
        let mut report = Report::new(self.format);
        for &rows in &self.rows {
            let folder = self.cache.join(format!("{rows}{}", if self.gzip { "-gz" } else { "" }));
            if !folder.exists() {
                let patients = rows.div_ceil(ROWS_OF_A_PATIENT) as usize;
                let files = Files { patients, lab_rows: rows, gzip: self.gzip, ..Files::default() };
                files.write(&folder, &Console::default())?;
            }
            match self.generate {
                true => println!("{}", folder.display()),
                false => report.add(measured(rows, self.gzip, &folder)?),
            }
        }
        report.finish();
        Ok(())
    }
}

/// Measures in a process of its own, so that the peak of memory is that of this size alone.
fn measured(rows: u64, gzip: bool, folder: &Path) -> Result<Value> {
    let program = std::env::current_exe().map_err(|e| Error::io("find this program", "dualk", e))?;
    let output = Command::new(&program).args(["bench", "prepare", "--folder"]).arg(folder).output();
    let output = output.map_err(|e| Error::io("start this program", &program, e))?;
    let inner = match output.status.success() {
        true => from_slice::<Map<String, Value>>(&output.stdout).ok(),
        false => None,
    };
    let Some(mut inner) = inner else {
        let error = Error::user("the measurement failed").at_file(folder);
        return Err(error.help(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    };
    let seconds = inner.get("seconds").and_then(Value::as_f64).unwrap_or(f64::NAN);
    let mut line = Map::new();
    line.insert("bench".into(), "prepare".into());
    line.insert("rows".into(), rows.into());
    line.insert("gzip".into(), gzip.into());
    line.insert("rows_per_s".into(), json!((rows as f64 / seconds).round()));
    line.append(&mut inner);
    Ok(Value::Object(line))
}

fn measure(folder: &Path) -> Result<Value> {
    let start = Instant::now();
    let phases = Phases::default();
    let mut registry = WritableArg::default().registry();
    registry.require(Slot::Parser, "mimic4")?;
    let path = |path: PathBuf| path.display().to_string();
    let mut options = Table::new();
    options.insert("root".into(), path(folder.to_owned()).into());
    options.insert("icd_map".into(), path(folder.join("icd10-icd9.csv")).into());
    let parser = registry.make::<slots::parser>("mimic4", options)?;
    let cohort = parser.parse(&ParserContext { progress: &phases, compat: false, seed: 0, learns: None })?;
    let vocabulary = phases.time("vocabulary", || Ok(build_vocabulary(&cohort)))?;
    let splits = phases.time("split", || split(&published(&cohort.admissions), &cohort, &vocabulary))?;
    let graph = phases.time("graph", || {
        let admissions = splits.pretrain.iter().flat_map(|&p| cohort.admissions.range(p));
        cooccurrence(vocabulary.nodes(), &vocabulary.admission_codes, admissions)
    })?;
    let dataset = Dataset { cohort, vocabulary, splits, graph, knowledge: None, labs_by_visit: None };
    phases.time("datasets", || {
        let patients = &dataset.splits.pretrain;
        let labels = (dataset.last_visit_codes(patients), dataset.last_visit_labs(patients));
        Ok(std::hint::black_box(labels))
    })?;
    let out = tempfile::tempdir().map_err(|e| Error::io("create a folder", std::env::temp_dir(), e))?;
    phases.time("write", || write(&dataset, &out.path().join("prepared")))?;
    Ok(json!({
        "seconds": start.elapsed().as_secs_f64(),
        "peak_rss_gib": peak_memory_gib(),
        "admissions": dataset.cohort.admissions.values().len(),
        "codes": dataset.cohort.codes.values().len(),
        "lab_items": dataset.cohort.labs.values().len(),
        "edges": dataset.graph.edges(),
        "phases": phases.seconds(),
    }))
}

/// The published split, in the published proportions: 8,000 and 1,000 of 10,000 patients with several admissions.
fn published(admissions: &dualk_sdk::data::Ragged<i64>) -> SplitOptions {
    let multi = admissions.rows().filter(|row| row.len() > 1).count();
    SplitOptions::Dualk { train: multi * 8 / 10, test: multi / 10, seed: 42 }
}

/// Seconds by phase; the parser's are the tasks of which it tells.
#[derive(Default, Clone)]
struct Phases {
    seconds: Arc<Mutex<Map<String, Value>>>,
}

impl Phases {
    fn time<T>(&self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let phase = self.begin(name, "", None);
        let done = work();
        phase.finish("");
        done
    }

    fn seconds(&self) -> Value {
        Value::Object(self.seconds.lock().map(|s| s.clone()).unwrap_or_default())
    }
}

impl Progress for Phases {
    fn begin(&self, what: &str, _: &str, _: Option<u64>) -> Box<dyn Task> {
        Box::new(Phase { name: what.into(), start: Instant::now(), phases: self.clone() })
    }

    fn line(&self, _: &str) {}
}

struct Phase {
    name: String,
    start: Instant,
    phases: Phases,
}

impl Task for Phase {
    fn advance(&mut self, _: u64) {}
    fn message(&mut self, _: &str) {}

    fn finish(self: Box<Self>, _: &str) {
        if let Ok(mut seconds) = self.phases.seconds.lock() {
            seconds.insert(self.name, json!(self.start.elapsed().as_secs_f64()));
        }
    }
}
