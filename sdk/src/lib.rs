//! Knowledge-guided prediction on electronic health records, as an embeddable, plugin-based experiment SDK.
//!
//! - [`component`]: the slots of an experiment and the traits that plugins implement;
//! - [`data`], [`graph`]: cohorts, vocabularies, splits, the disease graph, ragged batches;
//! - [`ops`]: graph and set operations that encoders and fusions are built on;
//! - [`model`], [`train`]: the model that the slots form, and the loop that trains it in stages;
//! - [`recipe`]: methods: what the types of stages mean;
//! - [`kge`]: embeddings of knowledge graphs, from which node features start;
//! - [`plugin`]: loading shared libraries, and [`plugin::Registry`] for embedding without them;
//! - [`testing`]: one call that checks a component, for its author;
//! - [`experiment`]: manifests, runs and their results;
//! - [`cache`]: results of expensive stages, kept between runs;
//! - [`storage`]: files and folders that are whole or not there, for their owner alone;
//! - [`mod@options`], [`slots`], [`prelude`]: what plugin authors need: options with documentation, slots by name, all imports;
//! - [`boundary`]: panics of plugins as errors, and burn modules as trait objects;
//! - [`device`], [`simd`], [`sparse`], [`memory`]: devices and the random generator, vector instructions, lists of different
//!   lengths, the memory of the process;
//! - [`error`], [`progress`]: errors that name their place, and how long work is shown.
//!
//! This crate is a shared library that holds the process's only copy of burn; plugins use it as
//! [`dualk_sdk::burn`].

#![cfg_attr(test, allow(clippy::too_many_lines))] // a test is one story

// Macros of this crate name it as plugins do.
extern crate self as dualk_sdk;

pub mod boundary;
pub mod cache;
pub mod component;
pub mod data;
pub mod device;
pub mod error;
pub mod experiment;
pub mod graph;
pub mod kge;
pub mod memory;
pub mod model;
pub mod ops;
pub mod options;
pub mod plugin;
pub mod prelude;
pub mod progress;
pub mod recipe;
pub mod simd;
pub mod slots;
pub mod sparse;
pub mod storage;
pub mod testing;
pub mod train;

pub use burn;
pub use error::{Error, Result};
#[cfg(feature = "polars")]
pub use polars;
pub use progress::Progress;
pub use schemars;
pub use serde;
pub use serde_json;
pub use toml;
