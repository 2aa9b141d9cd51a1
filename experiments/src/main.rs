//! `dualk`: experiments on health records from the command line. Everything it does is in `dualk-sdk`.

mod commands;
mod memory;

use clap::Parser;
use commands::Command;
use std::process::ExitCode;

/// Knowledge-guided prediction on electronic health records.
#[derive(Parser)]
#[command(name = "dualk", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  dualk run experiments/quickstart.toml
  dualk run experiments/quickstart.toml --set model.graph_encoder.type=gcn
  dualk check experiments/mimic4.toml --set data.parser.root=/data/mimic-iv/hosp
  dualk list graph_encoder
  dualk eval runs/quickstart-1a2b3c4d";

fn main() -> ExitCode {
    // `dualk list | head` ends quietly.
    sigpipe::reset();
    memory::keep();
    let outcome = dualk_sdk::plugin::guard::catch(|| Cli::parse().command.run());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
