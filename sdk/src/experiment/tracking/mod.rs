//! What other programs may follow while a run trains: TensorBoard, MLflow, and a table of all metrics.

mod mlflow;
mod tensorboard;

pub(super) use mlflow::ADDRESS;
pub use tensorboard::{Event, read_events};

use super::manifest::Manifest;
use super::outcome::Outcome;
use super::run_dir::RunDir;
use crate::data::columns::{Values, write_parquet};
use crate::train::EpochRecord;
use crate::{Progress, Result};
use mlflow::{Mlflow, with_password};
use tensorboard::EventFile;
use toml::Table;

/// Trackers that are told of every epoch.
pub struct Trackers {
    tensorboard: Option<EventFile>,
    mlflow: Option<Mlflow>,
    history: Vec<EpochRecord>,
}

impl Trackers {
    /// Those that the manifest asks for, which get it as a text and as a table. A tracking server that does not answer is no reason to lose a run: it is said,
    /// and the run goes on without.
    ///
    /// # Errors
    /// When the run's folder cannot be written, or what is given for the server is no address.
    pub fn start(
        manifest: &Manifest,
        run: &RunDir,
        (text, table): (&str, Table),
        progress: &dyn Progress,
    ) -> Result<Self> {
        let output = &manifest.output;
        let tensorboard = output.tensorboard.then(|| EventFile::create(&run.file("tensorboard"))).transpose()?;
        let mut this = Self { tensorboard, mlflow: None, history: Vec::new() };
        if let Some(address) = &output.mlflow {
            let experiment = output.mlflow_experiment.as_deref().unwrap_or("dualk");
            let address = with_password(address, std::env::var(ADDRESS).ok());
            let server = Mlflow::new(&address).map_err(|e| e.at_key("output.mlflow"))?;
            this.mlflow = tell(server, progress, |server| {
                server.start(experiment, &manifest.name, text, table)?;
                progress.line(&format!("mlflow: {}", server.page()));
                Ok(())
            });
        }
        Ok(this)
    }

    /// After an epoch, of this run or of an earlier one whose stage came from the cache.
    ///
    /// # Errors
    /// When the run's folder cannot be written.
    pub fn epoch(&mut self, record: &EpochRecord, progress: &dyn Progress) -> Result<()> {
        let step = self.history.len() as i64;
        let scalars = scalars(record);
        if let Some(events) = &mut self.tensorboard {
            events.scalars(step, &scalars)?;
        }
        if let Some(server) = self.mlflow.take() {
            self.mlflow = tell(server, progress, |server| server.metrics(step, &scalars));
        }
        self.history.push(record.clone());
        Ok(())
    }

    /// After the last stage.
    ///
    /// # Errors
    /// When the run's folder cannot be written.
    pub fn finish(&mut self, outcome: &Outcome, run: &RunDir, progress: &dyn Progress) -> Result<()> {
        let tested = outcome.test().cloned().unwrap_or_default();
        let step = self.history.len().saturating_sub(1) as i64;
        let scalars: Vec<(String, f64)> = tested.into_iter().map(|(name, v)| (format!("test/{name}"), v)).collect();
        if let Some(events) = &mut self.tensorboard {
            events.scalars(step, &scalars)?;
        }
        if let Some(server) = self.mlflow.take() {
            tell(server, progress, |server| {
                server.metrics(step, &scalars)?;
                server.finish()
            });
        }
        write_metrics(run, &self.history)
    }
}

/// Does something with the server; gives it up when that fails.
fn tell(mut server: Mlflow, progress: &dyn Progress, what: impl FnOnce(&mut Mlflow) -> Result<()>) -> Option<Mlflow> {
    match what(&mut server) {
        Ok(()) => Some(server),
        Err(error) => {
            let line = error.to_string().replace('\n', " ");
            progress.line(&format!("warning: the run goes on without MLflow: {line}"));
            None
        }
    }
}

/// The numbers of an epoch: `stage/train_loss`, `stage/valid/R@10` and so on.
fn scalars(record: &EpochRecord) -> Vec<(String, f64)> {
    let stage = &record.stage;
    let mut all = vec![(format!("{stage}/train_loss"), record.train_loss), (format!("{stage}/lr"), record.lr)];
    let splits = [("valid", &record.valid), ("test", &record.test)];
    let of_split = |(split, metrics): (&str, &Vec<(String, f64)>)| {
        metrics.iter().map(|(name, value)| (format!("{stage}/{split}/{name}"), *value)).collect::<Vec<_>>()
    };
    all.extend(record.valid_loss.map(|loss| (format!("{stage}/valid_loss"), loss)));
    all.extend(splits.into_iter().flat_map(of_split));
    all.push((format!("{stage}/seconds"), record.seconds));
    all
}

/// `metrics.parquet`: a row an epoch and number.
fn write_metrics(run: &RunDir, history: &[EpochRecord]) -> Result<()> {
    let (mut steps, mut stages, mut epochs) = (Vec::new(), Vec::new(), Vec::new());
    let (mut splits, mut names, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for (step, record) in history.iter().enumerate() {
        let own = [("train", "loss", record.train_loss), ("", "lr", record.lr), ("", "seconds", record.seconds)];
        let own = own.into_iter().chain(record.valid_loss.map(|loss| ("valid", "loss", loss)));
        for (split, name, value) in own.chain(of_split("valid", &record.valid)).chain(of_split("test", &record.test)) {
            steps.push(step as i64);
            stages.push(record.stage.as_str());
            epochs.push(record.epoch as i64);
            splits.push(split);
            names.push(name);
            values.push(Some(value).filter(|v| v.is_finite()));
        }
    }
    let columns = vec![
        ("step".to_owned(), Values::from(steps)),
        ("stage".to_owned(), stages.into()),
        ("epoch".to_owned(), epochs.into()),
        ("part".to_owned(), splits.into()),
        ("metric".to_owned(), names.into()),
        ("value".to_owned(), values.into()),
    ];
    write_parquet(&run.file("metrics.parquet"), columns)
}

fn of_split<'a>(split: &'a str, metrics: &'a [(String, f64)]) -> impl Iterator<Item = (&'a str, &'a str, f64)> {
    metrics.iter().map(move |(name, value)| (split, name.as_str(), *value))
}
