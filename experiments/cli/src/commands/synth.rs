use clap::Args;
use dualk_plugin_parser_synthetic::Files;
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
    /// Number of diagnosis codes that there are; MIMIC-IV has 7,945.
    #[arg(long, default_value_t = Files::default().codes)]
    codes: usize,
    /// Number of laboratory items that there are; MIMIC-IV has 445.
    #[arg(long, default_value_t = Files::default().labs)]
    labs: usize,
    /// Part of the patients with two or more admissions.
    #[arg(long, default_value_t = Files::default().multi)]
    multi: f64,
    /// Further codes of each admission from anywhere, which fill the graph of diseases.
    #[arg(long, default_value_t = 0)]
    incidental: usize,
    /// Folder to write; it must be absent or empty.
    out: PathBuf,
}

impl Synth {
    pub fn run(self) -> Result<()> {
        let Self { patients, lab_rows, seed, gzip, codes, labs, multi, incidental, out } = self;
        Files { patients, lab_rows, seed, gzip, codes, labs, multi, incidental }.write(&out, &Console::default())?;
        println!("{}", out.display());
        Ok(())
    }
}
