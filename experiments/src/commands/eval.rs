use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::experiment::Experiment;
use dualk_sdk::plugin::Registry;
use dualk_sdk::progress::Console;
use std::path::PathBuf;

/// Arguments of `dualk eval`.
#[derive(Args)]
pub struct Eval {
    /// The run's folder.
    run: PathBuf,
    /// Evaluate this checkpoint of the run instead of its final weights.
    #[arg(long)]
    checkpoint: Option<PathBuf>,
}

impl Eval {
    pub fn run(self) -> Result<()> {
        let progress = Console::default();
        let outcome = Experiment::evaluate_run(&self.run, self.checkpoint.as_deref(), Registry::new(), &progress)?;
        println!("{}", outcome.table());
        Ok(())
    }
}
