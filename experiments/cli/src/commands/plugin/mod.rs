//! `dualk plugin`: from nothing to a shared library that a manifest can name.

mod build;
mod check;
mod inspect;
mod lock;
mod new;
mod scaffold;
mod sdk;

use clap::{Args, Subcommand};
use dualk_sdk::Result;

/// Arguments of `dualk plugin`.
#[derive(Args)]
pub struct Plugin {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Write a small plugin that works, to start from.
    New(new::New),
    /// Compile a plugin against the SDK that this program runs on.
    Build(build::Build),
    /// Check a plugin's components: shapes, gradients, odd inputs, options.
    Check(check::Check),
    /// Write plugins.lock beside a manifest: its plugins, by SHA-256.
    Lock(lock::Lock),
    /// Show what a plugin's file says of itself, and run none of it.
    Inspect(inspect::Inspect),
}

impl Plugin {
    pub fn run(self) -> Result<()> {
        match self.action {
            Action::New(command) => command.run(),
            Action::Build(command) => command.run(),
            Action::Check(command) => command.run(),
            Action::Inspect(command) => command.run(),
            Action::Lock(command) => command.run(),
        }
    }
}
