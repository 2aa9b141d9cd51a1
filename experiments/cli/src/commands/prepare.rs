use super::{CacheArgs, ManifestArgs};
use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::data::{check_out, write};
use dualk_sdk::progress::Console;
use std::path::PathBuf;

/// Arguments of `dualk prepare`.
#[derive(Args)]
pub struct Prepare {
    #[command(flatten)]
    manifest: ManifestArgs,
    #[command(flatten)]
    cache: CacheArgs,
    /// Folder to write: absent, empty, an earlier result.
    #[arg(long, short)]
    out: PathBuf,
}

impl Prepare {
    pub fn run(self) -> Result<()> {
        let experiment = self.cache.apply(self.manifest.data_only()?);
        experiment.check()?;
        check_out(&self.out)?;
        let data = experiment.prepare(&Console::default())?;
        write(&data, &self.out)?;
        experiment.manifest().output.access.give(&self.out)?;
        println!("{}", self.out.display());
        Ok(())
    }
}
