//! `dualk kge`: embeddings of knowledge graphs.

mod curves;
mod eval;
mod graph;
mod nearest;
mod plot;
mod train;

use super::TrustArgs;
use clap::{Args, Subcommand};
use dualk_sdk::experiment::embedding::{KgeExperiment, KgeManifest};
use dualk_sdk::experiment::manifest::Source;
use dualk_sdk::kge::Embeddings;
use dualk_sdk::{Result, storage};
use std::path::{Path, PathBuf};

/// Arguments of `dualk kge`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Kge {
    #[command(subcommand)]
    what: What,
}

/// What is done with a knowledge graph.
#[derive(Subcommand)]
enum What {
    /// Train embeddings and rank the test triples.
    Train(train::Train),
    /// Rank the test triples of a finished run again.
    Eval(eval::Eval),
    /// Draw how runs ranked validation triples during training.
    Curves(curves::Curves),
    /// Draw a part of a hierarchy in polar coordinates.
    Plot(plot::Plot),
    /// Show the entities that are nearest to one.
    Nearest(nearest::Nearest),
    /// Join and split the sources of a manifest; show the graph.
    Graph(graph::Graph),
}

const EXAMPLES: &str = "Examples:
  dualk kge train experiments/wn18rr-small.toml --set data.triples=/data/wn18rr
  dualk kge train experiments/wn18rr-small.toml --set data.triples=/data/wn18rr --resume
  dualk kge graph experiments/icd9-kg.toml --codes prepared/vocabulary.json
  dualk kge eval runs/wn18rr-small-1a2b3c4d
  dualk kge nearest runs/icd9-kg-1a2b3c4d 428.0
  dualk kge plot runs/icd9-kg-1a2b3c4d --root 390-459.99 --out heart.svg
  dualk kge curves runs/wn18rr-small-1a2b3c4d runs/wn18rr-laptop-5e6f7a8b";

impl Kge {
    pub fn run(self) -> Result<()> {
        match self.what {
            What::Train(command) => command.run(),
            What::Eval(command) => command.run(),
            What::Curves(command) => command.run(),
            What::Plot(command) => command.run(),
            What::Nearest(command) => command.run(),
            What::Graph(command) => command.run(),
        }
    }
}

/// A manifest of an embedding with changes from the command line.
#[derive(Args)]
pub struct KgeManifestArgs {
    /// The manifest, a TOML file.
    manifest: PathBuf,
    /// Change a key, such as data.triples=FOLDER.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Compute on cpu, auto, cuda, cuda:1, wgpu or wgpu:1.
    #[arg(long)]
    device: Option<String>,
    #[command(flatten)]
    trust: TrustArgs,
}

impl KgeManifestArgs {
    fn experiment(self) -> Result<KgeExperiment> {
        let mut source = Source::load(&self.manifest, &self.settings)?;
        if let Some(device) = self.device {
            source.assign("backend.device", device.into())?;
        }
        let registry = self.trust.registry(self.manifest.parent().unwrap_or(Path::new(".")))?;
        KgeExperiment::new(KgeManifest::from_source(source)?, registry)
    }
}

/// Refuses a file that a picture would replace and that is none.
fn check_picture(out: &Path) -> Result<()> {
    storage::check_replaceable(out, "SVG picture", |start| start.starts_with(b"<svg"))
}

/// A finished run.
#[derive(Args)]
pub struct RunArgs {
    /// The run's folder.
    run: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
}

impl RunArgs {
    fn open(&self) -> Result<(KgeExperiment, Embeddings)> {
        let (experiment, _, embeddings) = KgeExperiment::open(&self.run, self.trust.registry(&self.run)?)?;
        Ok((experiment, embeddings))
    }
}
