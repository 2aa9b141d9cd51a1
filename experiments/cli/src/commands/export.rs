use super::TrustArgs;
use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::cache::Cache;
use dualk_sdk::experiment::{Experiment, Export};
use dualk_sdk::progress::Console;
use std::path::PathBuf;

/// Arguments of `dualk export`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ExportCommand {
    /// The run's folder.
    run: PathBuf,
    /// Absent or empty folder. Default: RUN/export.
    #[arg(long, short, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Export these weights: a file of RUN/checkpoints.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Write vectors of test patients, by identifier, too.
    #[arg(long)]
    patients: bool,
    /// Read the tables again, and not the cache.
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

const EXAMPLES: &str = "Examples:
  dualk export runs/quickstart-1a2b3c4d
  dualk export runs/quickstart-1a2b3c4d --out vectors --patients

In Python:
  import pandas as pd, numpy as np
  codes = pd.read_parquet(\"vectors/codes.parquet\")
  x = np.stack(codes[\"embedding\"])   # codes × width";

impl ExportCommand {
    pub fn run(self) -> Result<()> {
        let out = self.out.unwrap_or_else(|| self.run.join("export"));
        let export = Export {
            out: &out,
            checkpoint: self.checkpoint.as_deref(),
            patients: self.patients,
            cache: Cache::of_user().filter(|_| !self.no_cache),
        };
        let registry = self.trust.registry(&self.run)?;
        for file in Experiment::export_run(&self.run, export, registry, &Console::default())? {
            println!("{}", file.display());
        }
        Ok(())
    }
}
