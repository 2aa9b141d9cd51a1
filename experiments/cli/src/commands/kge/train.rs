use super::KgeManifestArgs;
use crate::commands::StopArgs;
use crate::interrupt;
use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::progress::Console;

/// Arguments of `dualk kge train`.
#[derive(Args)]
pub struct Train {
    #[command(flatten)]
    manifest: KgeManifestArgs,
    /// Go on with an interrupted run of the same, if any.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    stop: StopArgs,
}

impl Train {
    pub fn run(self) -> Result<()> {
        self.stop.listen()?;
        let experiment = self.manifest.experiment()?.stopping_at(interrupt::stop_of(&["--resume"]));
        let (outcome, run) = experiment.train(self.resume, &Console::default())?;
        println!("{}", outcome.table());
        let (parameters, training, testing) = (outcome.parameters, outcome.train_seconds, outcome.test_seconds);
        println!("{parameters} parameters, training {training:.1} s, testing {testing:.1} s on {}", outcome.device);
        println!("run: {}", run.path().display());
        Ok(())
    }
}
