//! `dualk`: experiments on health records from the command line. What experiments are is in `dualk-sdk`; here
//! are the commands, and what is of the program alone: measurements, readers of published files, installation, the terminal.

#[macro_use]
mod output;

mod commands;
mod interrupt;
mod memory;
mod threads;

use clap::Parser;
use commands::Command;
use std::process::ExitCode;

/// Knowledge-guided prediction on electronic health records.
#[derive(Parser)]
#[command(name = "dualk", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Let errors show what tables hold: patient data.
    #[arg(long, global = true)]
    show_values: bool,
}

const EXAMPLES: &str = "Examples:
  dualk run experiments/quickstart.toml
  dualk run experiments/quickstart.toml --set model.graph_encoder=gcn
  dualk check experiments/mimic4.toml --set data.parser.root=/data/hosp
  dualk list graph_encoder
  dualk icd I48.91
  dualk eval runs/quickstart-1a2b3c4d5e6f7a8b";

fn main() -> ExitCode {
    memory::keep();
    quiet_display();
    interrupt::watch();
    dualk_sdk::boundary::guard::keep_panics_quiet();
    let outcome = dualk_sdk::boundary::guard::catch(|| {
        let Cli { command, show_values } = match Cli::try_parse() {
            Ok(cli) => cli,
            Err(mistake) if mistake.use_stderr() => mistake.exit(),
            Err(help) => return output::printed(help.print()),
        };
        if show_values {
            dualk_sdk::error::show_values();
        }
        threads::check()?;
        command.run().and_then(|()| output::finish())
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if error.blame() != output::CLOSED {
                eprintln!("error: {error}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// Looking for a GPU through OpenGL asks for a display, and Wayland's library prints an error of its own where there is
/// no session, as in a container. A place without one is looked at in silence.
#[cfg(target_os = "linux")]
fn quiet_display() {
    const PLACE: &str = "XDG_RUNTIME_DIR";
    if std::env::var_os(PLACE).is_none() {
        // SAFETY: no other thread runs yet.
        #[allow(unsafe_code)]
        unsafe {
            std::env::set_var(PLACE, "/nonexistent");
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn quiet_display() {}
