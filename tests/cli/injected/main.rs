//! Every single write, sync, change of a name and removal of an entry of the cache fails once, in every command that has any: afterwards the old result is
//! whole or the new one is, and the error names a path and the cause.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story
#![cfg(unix)]

mod cache;
mod cohorts;
mod graphs;
mod import;
mod installations;
mod patients;
mod plugins;
#[path = "../program/mod.rs"]
mod program;
mod published;
mod runs;
mod support;
mod sweeps;
