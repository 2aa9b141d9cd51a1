use super::{CacheArgs, ManifestArgs};
use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::progress::Console;

/// Arguments of `dualk run`.
#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    manifest: ManifestArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

impl Run {
    pub fn run(self) -> Result<()> {
        let experiment = self.cache.apply(self.manifest.experiment()?);
        experiment.check()?;
        let (outcome, run) = experiment.run(&Console::default())?;
        println!("{}", outcome.table());
        println!("{} parameters, {:.0} s on {}", outcome.parameters, outcome.seconds, outcome.device);
        println!("run: {}", run.path().display());
        Ok(())
    }
}
