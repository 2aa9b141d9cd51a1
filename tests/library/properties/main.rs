//! What holds whatever the input: metrics, kernels and models against plain formulations of their definitions, and results
//! that depend neither on the order of patients nor on how many are looked at together, nor on the number of threads.
//!
//! 100 cases a property, or as many as `PROPTEST_CASES` says.

#[path = "../support/plugins.rs"]
mod plugins;

mod cohorts;
mod kernels;
mod models;
mod rankings;
mod support;
