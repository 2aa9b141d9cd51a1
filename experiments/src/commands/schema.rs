use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::experiment::manifest::manifest_schema;
use dualk_sdk::plugin::Registry;

/// Arguments of `dualk schema`.
#[derive(Args)]
pub struct Schema {}

impl Schema {
    pub fn run(self) -> Result<()> {
        let mut registry = Registry::new();
        registry.load_shipped()?;
        println!("{:#}", manifest_schema(&registry));
        Ok(())
    }
}
