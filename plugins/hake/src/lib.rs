//! Node initialisers: a table of vectors, such as HAKE's, and random numbers.

mod hake;
mod random;
mod table;

pub use hake::HakeOptions;
pub use random::{Distribution, RandomOptions};

dualk_sdk::export_plugin! { node_init: HakeOptions, node_init: RandomOptions }
