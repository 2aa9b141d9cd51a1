use clap::{Args, Subcommand};
use dualk_sdk::Result;
use dualk_sdk::plugin::inspect;
use std::path::PathBuf;

/// Arguments of `dualk plugin`.
#[derive(Args)]
pub struct Plugin {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Show what a plugin's file says of itself, without running any of it.
    Inspect {
        /// The shared library.
        file: PathBuf,
    },
}

impl Plugin {
    pub fn run(self) -> Result<()> {
        match self.action {
            Action::Inspect { file } => {
                let found = inspect(&file)?;
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
    }
}
