use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::experiment::{RunDir, scrub};
use std::path::PathBuf;

/// Arguments of `dualk scrub`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Scrub {
    /// The run's folder.
    run: PathBuf,
    /// Folder to write; there must be nothing. By default the run's name with `-shareable`.
    #[arg(long, short)]
    out: Option<PathBuf>,
    /// Copy the weights too. They were learnt from patients: ask whether your data agreement lets you share them.
    #[arg(long)]
    with_weights: bool,
}

const EXAMPLES: &str = "Examples:
  dualk scrub runs/mimic4-1a2b3c4d5e6f7a8b --out shared/mimic4
  dualk scrub runs/quickstart-1a2b3c4d5e6f7a8b --with-weights";

impl Scrub {
    pub fn run(self) -> Result<()> {
        let run = RunDir::open(&self.run)?;
        let name = self.run.file_name().unwrap_or_default().to_string_lossy();
        let out = self.out.unwrap_or_else(|| self.run.with_file_name(format!("{name}-shareable")));
        scrub(&run, &out, self.with_weights)?;
        println!("{}", out.display());
        Ok(())
    }
}
