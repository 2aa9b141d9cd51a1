use clap::Args;
use dualk_plugin_synthetic::Files;
use dualk_sdk::Result;
use dualk_sdk::progress::Console;
use std::path::PathBuf;

/// Arguments of `dualk synth`.
#[derive(Args)]
pub struct Synth {
    /// Number of patients.
    #[arg(long, default_value_t = 10_000)]
    patients: usize,
    /// Number of rows of labevents.
    #[arg(long, default_value_t = 1_000_000)]
    lab_rows: u64,
    /// The same seed and numbers give the same files.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write .csv.gz instead of .csv.
    #[arg(long)]
    gzip: bool,
    /// Folder to write; it must be absent or empty.
    out: PathBuf,
}

impl Synth {
    pub fn run(self) -> Result<()> {
        let Self { patients, lab_rows, seed, gzip, out } = self;
        Files { patients, lab_rows, seed, gzip }.write(&out, &Console::default())?;
        println!("{}", out.display());
        Ok(())
    }
}
