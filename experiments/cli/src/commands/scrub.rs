use clap::Args;
use dualk_sdk::experiment::{RunDir, scrub};
use dualk_sdk::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Arguments of `dualk scrub`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Scrub {
    /// The run's folder.
    run: PathBuf,
    /// Folder to write, absent. Default: RUN-shareable.
    #[arg(long, short)]
    out: Option<PathBuf>,
    /// Copy the weights too, if your data agreement lets you.
    #[arg(long)]
    with_weights: bool,
}

const EXAMPLES: &str = "Examples:
  dualk scrub runs/mimic4-1a2b3c4d5e6f7a8b --out shared/mimic4
  dualk scrub runs/quickstart-1a2b3c4d5e6f7a8b --with-weights";

/// The run's name with `-shareable`, beside it. `.` and `..` are no names.
fn beside(run: &Path) -> Result<PathBuf> {
    let run = match run.file_name() {
        Some(_) => run.to_owned(),
        None => fs::canonicalize(run).map_err(|e| Error::io("find the folder", run, e))?,
    };
    let name = run.file_name().unwrap_or_default().to_string_lossy();
    Ok(run.with_file_name(format!("{name}-shareable")))
}

impl Scrub {
    pub fn run(self) -> Result<()> {
        let run = RunDir::open(&self.run)?;
        let out = match self.out {
            Some(out) => out,
            None => beside(&self.run)?,
        };
        scrub(&run, &out, self.with_weights)?;
        println!("{}", out.display());
        Ok(())
    }
}
