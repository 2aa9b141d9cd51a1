//! Lists of different lengths, and in which numbers kernels read tables.

mod precision;
mod ragged;

pub use precision::Precision;
pub use ragged::Ragged;
