use super::{CacheArgs, ManifestArgs};
use crate::interrupt;
use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::progress::Console;

/// Arguments of `dualk run`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Run {
    #[command(flatten)]
    manifest: ManifestArgs,
    #[command(flatten)]
    cache: CacheArgs,
    /// Go on from the last checkpoint of an interrupted run of the same experiment; start anew where there is none.
    #[arg(long)]
    resume: bool,
    /// Save and stop on this signal too, such as USR1 from a scheduler.
    #[arg(long, value_name = "SIGNAL", value_parser = interrupt::signal)]
    stop_signal: Option<i32>,
}

const EXAMPLES: &str = "Examples:
  dualk run experiments/quickstart.toml
  dualk run experiments/quickstart.toml --set model.graph_encoder.type=gcn --set name=gcn
  dualk run experiments/quickstart.toml --resume

Ctrl-C and SIGTERM finish the step, save a checkpoint and end with 130 or 143; a second one ends at once.";

impl Run {
    pub fn run(self) -> Result<()> {
        if let Some(signal) = self.stop_signal {
            interrupt::also_on(signal)?;
        }
        let experiment = self.cache.apply(self.manifest.experiment()?).stopping_at(interrupt::stop());
        experiment.check()?;
        let progress = Console::default();
        let (outcome, run) = match self.resume {
            true => experiment.resume(&progress)?,
            false => experiment.run(&progress)?,
        };
        println!("{}", outcome.table());
        println!("{} parameters, {:.0} s on {}", outcome.parameters, outcome.seconds, outcome.device);
        println!("run: {}", run.path().display());
        Ok(())
    }
}
