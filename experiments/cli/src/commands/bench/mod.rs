//! `dualk bench`: measurements, one JSON line each.

mod count;
mod eval;
mod kge;
mod machine;
mod ops;
mod plain;
mod prepare;
mod report;
mod setup;
mod step;
mod workload;

use clap::{Args, Subcommand};
use dualk_sdk::Result;

/// Arguments of `dualk bench`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Bench {
    #[command(subcommand)]
    what: What,
}

/// What is measured.
#[derive(Subcommand)]
enum What {
    /// Whole training steps of each stage.
    Step(step::Step),
    /// The forward pass and the metrics of an evaluation, and all measures of a table's row.
    Eval(eval::Eval),
    /// Every operation of `dualk_sdk::ops`, against its plain formulation and the machine.
    Ops(ops::Ops),
    /// Training steps of an embedding of a knowledge graph.
    Kge(kge::Kge),
    /// From raw tables to cohort, vocabulary, split and graph, over made-up files of any size.
    Prepare(prepare::Prepare),
    /// Memory bandwidth and matrix products of this machine.
    Machine(machine::Machine),
    /// Write the made-up graph and patients of a stage, for the same measurement in another program.
    Workload(step::Export),
}

const EXAMPLES: &str = "Sizes default to those of MIMIC-IV. Examples:
  dualk bench step --table
  dualk bench step --stage pretrain --steps 10 --threads 1
  dualk bench step --stage finetune --set model.code_fusion.type=gru
  dualk bench step --nodes 500 --edges 8000 --features 64 --widths 32,32 --batch 16
  dualk bench eval --patients 1000
  dualk bench ops --only attention,propagate
  dualk bench machine --table
  dualk bench kge --batch 512 --negatives 1024
  dualk bench prepare --rows 1000000,10000000 --gzip";

impl Bench {
    pub fn run(self) -> Result<()> {
        match self.what {
            What::Step(command) => command.run(),
            What::Eval(command) => command.run(),
            What::Ops(command) => command.run(),
            What::Kge(command) => command.run(),
            What::Prepare(command) => command.run(),
            What::Machine(command) => command.run(),
            What::Workload(command) => command.run(),
        }
    }
}
