//! Devices by name, and the one random generator of the process.

pub mod generator;
mod named;

pub use named::*;
