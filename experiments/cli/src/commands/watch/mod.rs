//! `dualk watch`: how a run goes, in the terminal.

mod course;
mod epochs;
mod follow;
mod steps;
mod terminal;
mod view;

use clap::Args;
use dualk_sdk::{Error, Result};
use follow::Follow;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::path::PathBuf;
use std::time::Duration;
pub use terminal::restore;
use terminal::{Ansi, Raw};

/// Arguments of `dualk watch`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  dualk watch runs\n  dualk watch runs/quickstart-1a2b3c4d\n  dualk watch runs --once\n\n\
    Keys: q, Esc and Ctrl-C leave; the run goes on."
)]
pub struct Watch {
    /// A run's folder, or one of runs: the latest.
    #[arg(default_value = "runs")]
    run: PathBuf,
    /// Print one picture as text, as without a terminal.
    #[arg(long)]
    once: bool,
    /// Seconds between two looks.
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    every: f64,
}

impl Watch {
    pub fn run(self) -> Result<()> {
        if !(0.05..=3600.0).contains(&self.every) {
            return Err(Error::user(format!("expected 0.05 to 3600 seconds, found {}", self.every)).help("--every 1"));
        }
        let mut follow = Follow::of(&self.run)?;
        let failed = |e: std::io::Error| Error::io("write to the terminal", "standard output", e);
        let raw = match self.once {
            true => None,
            false => Raw::enter(),
        };
        let Some(raw) = raw else {
            print!("{}", picture(&mut follow, 100, 32)?);
            return Ok(());
        };
        let mut terminal = Terminal::new(Ansi::default()).map_err(failed)?;
        terminal.clear().map_err(failed)?;
        loop {
            let state = follow.look()?;
            terminal.draw(|frame| view::draw(frame, &state)).map_err(failed)?;
            if raw.leaves_within(Duration::from_secs_f64(self.every)) {
                return Ok(());
            }
        }
    }
}

/// One picture as text.
fn picture(follow: &mut Follow, width: u16, height: u16) -> Result<String> {
    let state = follow.look()?;
    let failed = |e| Error::program(format!("cannot draw: {e}"));
    let mut terminal = Terminal::new(TestBackend::new(width, height)).map_err(failed)?;
    terminal.draw(|frame| view::draw(frame, &state)).map_err(failed)?;
    let buffer = terminal.backend().buffer();
    let line = |y: u16| {
        let text: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        text.trim_end().to_owned() + "\n"
    };
    Ok((0..height).map(line).collect())
}
