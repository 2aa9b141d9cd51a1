//! Embeddings of knowledge graphs from the command line: train, evaluate, go on, look around, and into a model.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story

mod graphs;
mod interrupted;
mod mistakes;
mod models;
#[path = "../program/mod.rs"]
mod program;
mod support;
mod trained;
mod vectors;
