//! `dualk import`: what the published DuaLK code saves, as a run of this project.

mod pickle;
mod published;
mod torch;

use super::TrustArgs;
use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::experiment::{Experiment, Manifest};
use dualk_sdk::progress::{Console, Progress};
use published::Published;
use std::path::{Path, PathBuf};

/// Arguments of `dualk import`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Import {
    /// Folder with code_maps.pkl, pids.pkl and a fine-tuned model.
    #[arg(required_unless_present = "show")]
    folder: Option<PathBuf>,
    /// Manifest that reads the tables it learnt from.
    #[arg(long, required_unless_present = "show")]
    data: Option<PathBuf>,
    /// The fine-tuned model.
    #[arg(long, value_name = "FILE", default_value = "checkpoint.pth")]
    checkpoint: PathBuf,
    /// Change a key, such as data.parser.root=FOLDER.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Folder of run folders.
    #[arg(long, default_value = "runs")]
    runs: PathBuf,
    /// Write ICD2HAKE_*.pkl to this .safetensors file.
    #[arg(long, value_name = "FILE")]
    vectors: Option<PathBuf>,
    /// Only show what is in a .pkl or .pth file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["folder", "data"])]
    show: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
}

const EXAMPLES: &str = "Examples:
  dualk import ~/dualk/output --data experiments/mimic4.toml --set data.parser.root=/data/mimic-iv/hosp
  dualk import ~/dualk/output --data experiments/mimic4.toml --vectors data/hake.safetensors
  dualk import --show ~/dualk/output/checkpoint.pth
  dualk eval runs/imported-1a2b3c4d5e6f7a8b --predictions logits.parquet";

impl Import {
    pub fn run(self) -> Result<()> {
        let progress = Console::default();
        if let Some(file) = &self.show {
            return published::show(file);
        }
        let (Some(folder), Some(data)) = (&self.folder, &self.data) else { return Ok(()) };
        let published = Published::read(folder, &self.checkpoint)?;
        if let Some(out) = &self.vectors {
            let count = published.write_vectors(out)?;
            progress.line(&format!("{count} vectors: {}", out.display()));
        }
        let beside = data.parent().unwrap_or(Path::new(".")).to_owned();
        let data = Experiment::data_only(Manifest::load(data, &self.settings)?, self.trust.registry(&beside)?)?;
        let manifest = published.manifest(data.resolved_table()?, &self.runs)?;
        let experiment = Experiment::new(Manifest::of_table(manifest)?, self.trust.registry(&beside)?)?;
        let cohort = experiment.prepare(&progress)?;
        let (outcome, run) = experiment.adopt(published.weights(&cohort)?, &progress)?;
        println!("{}", outcome.table());
        println!("run: {}", run.path().display());
        Ok(())
    }
}
