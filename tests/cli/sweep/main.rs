//! Sweeps and comparisons through the program.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story

mod compared;
mod mistakes;
mod patients;
#[path = "../program/mod.rs"]
mod program;
mod stopped;
mod support;
mod trained;
mod tuned;
