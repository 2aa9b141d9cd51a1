use super::WritableArg;
use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::experiment::embedding::kge_schema;
use dualk_sdk::experiment::manifest::manifest_schema;
use std::path::PathBuf;

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
    writable: WritableArg,
}

impl Schema {
    pub fn run(self) -> Result<()> {
        let mut registry = self.writable.registry();
        registry.load_shipped()?;
        self.plugin.iter().try_for_each(|file| registry.load(file, None))?;
        match self.kge {
            true => println!("{:#}", kge_schema(&registry)),
            false => println!("{:#}", manifest_schema(&registry)),
        }
        Ok(())
    }
}
