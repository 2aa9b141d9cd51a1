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
use dualk_sdk::{Result, memory, options};

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
    /// The forward pass and the metrics of an evaluation.
    Eval(eval::Eval),
    /// Every operation of `dualk_sdk::ops`, beside a plain formulation.
    Ops(ops::Ops),
    /// Training steps of an embedding of a knowledge graph.
    Kge(kge::Kge),
    /// From raw tables to the disease graph, over made-up files.
    Prepare(prepare::Prepare),
    /// Memory bandwidth and matrix products of this machine.
    Machine(machine::Machine),
    /// Write graph and patients of a stage, for other programs.
    Workload(step::Export),
}

const EXAMPLES: &str = "Sizes default to those of MIMIC-IV. Examples:
  dualk bench step --table
  dualk bench step --stage pretrain --steps 10 --threads 1
  dualk bench step --stage finetune --set model.code_fusion.type=gru
  dualk bench step --nodes 500 --edges 8000 --targets 400 --features 64 --widths 32,32
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

/// The largest size that is taken: products of two are counted by every program, and are seldom in any memory.
const LARGEST: usize = 1 << 24;

/// A size of what is measured.
fn size(text: &str) -> std::result::Result<usize, String> {
    let size = text.parse().ok().filter(|size| *size <= LARGEST);
    size.ok_or_else(|| format!("expected a whole number up to {LARGEST}"))
}

/// Refuses tables of so many numbers that the machine has no memory for: the system would end the program.
fn check_room(what: &str, numbers: f64) -> Result<()> {
    let refused = options::check_room(what, numbers * 4.0, memory::available());
    refused.map_err(|e| e.help("ask for smaller sizes"))
}

#[cfg(test)]
mod tests {
    use super::{check_room, size};

    #[test]
    fn sizes_beyond_any_memory_are_refused() {
        assert_eq!(size("16777216"), Ok(1 << 24));
        for wrong in ["16777217", "1000000000000", "99999999999999999999", "-1", "many", ""] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert!(check_room("tables", 4.0).is_ok());
        if dualk_sdk::memory::available().is_some() {
            let error = check_room("tables", 1e18).unwrap_err();
            assert!(error.exit_code() == 2 && error.message().contains("tables take 4000000000.0 GB"), "{error}");
        }
    }
}
