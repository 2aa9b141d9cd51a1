use super::TrustArgs;
use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::experiment::embedding::kge_schema;
use dualk_sdk::experiment::manifest::manifest_schema;
use std::path::{Path, PathBuf};

/// Arguments of `dualk schema`.
#[derive(Args)]
pub struct Schema {
    /// Of manifests of `dualk kge`.
    #[arg(long)]
    kge: bool,
    /// With the components of this plugin too.
    #[arg(long, value_name = "FILE")]
    plugin: Vec<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
}

impl Schema {
    pub fn run(self) -> Result<()> {
        let mut registry = self.trust.registry(Path::new("."))?;
        self.plugin.iter().try_for_each(|file| registry.load(file, None))?;
        registry.load_shipped()?;
        match self.kge {
            true => println!("{:#}", kge_schema(&registry)),
            false => println!("{:#}", manifest_schema(&registry)),
        }
        Ok(())
    }
}
