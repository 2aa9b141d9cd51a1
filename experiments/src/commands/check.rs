use super::ManifestArgs;
use clap::Args;
use dualk_sdk::Result;

/// Arguments of `dualk check`.
#[derive(Args)]
pub struct Check {
    #[command(flatten)]
    manifest: ManifestArgs,
    /// Print the manifest with every default filled in.
    #[arg(long)]
    resolved: bool,
}

impl Check {
    pub fn run(self) -> Result<()> {
        let experiment = self.manifest.experiment()?;
        if self.resolved {
            print!("{}", experiment.resolved()?);
        }
        experiment.check()?;
        eprintln!(
            "{}: ok, {} stages on {}",
            experiment.manifest.name,
            experiment.manifest.stage.len(),
            experiment.device().name
        );
        Ok(())
    }
}
