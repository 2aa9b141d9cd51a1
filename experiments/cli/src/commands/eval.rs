use super::TrustArgs;
use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::cache::Cache;
use dualk_sdk::experiment::{Evaluation, Experiment};
use dualk_sdk::progress::Console;
use std::path::PathBuf;

/// Arguments of `dualk eval`.
#[derive(Args)]
pub struct Eval {
    /// The run's folder.
    run: PathBuf,
    /// Evaluate these weights: a file of RUN/checkpoints.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Write logits of test patients to this Parquet file.
    #[arg(long, value_name = "FILE")]
    predictions: Option<PathBuf>,
    /// Read the tables again, and not the cache.
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

impl Eval {
    pub fn run(self) -> Result<()> {
        let progress = Console::default();
        let evaluation = Evaluation {
            checkpoint: self.checkpoint.as_deref(),
            predictions: self.predictions.as_deref(),
            cache: Cache::of_user().filter(|_| !self.no_cache),
        };
        let outcome = Experiment::evaluate_run(&self.run, evaluation, self.trust.registry(&self.run)?, &progress)?;
        println!("{}", outcome.table());
        Ok(())
    }
}
