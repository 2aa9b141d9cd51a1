use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::plugin::inspect;
use std::path::PathBuf;

/// Arguments of `dualk plugin inspect`.
#[derive(Args)]
pub struct Inspect {
    /// The shared library.
    file: PathBuf,
}

impl Inspect {
    pub fn run(self) -> Result<()> {
        let found = inspect(&self.file)?;
        println!("{} {}", found.name, found.version);
        println!("{:14} {}", "file", found.file.display());
        println!("{:14} {}", "sha256", found.sha256);
        for (name, value) in found.stamp.fields() {
            println!("{name:14} {value}");
        }
        println!("components");
        for (slot, name) in &found.components {
            println!("  {slot:14} {name}");
        }
        found.verify(None)?;
        println!("this dualk can load it");
        Ok(())
    }
}
