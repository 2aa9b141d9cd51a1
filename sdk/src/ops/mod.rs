//! Graph and set operations that encoders and fusions are built on.

mod dense;
mod sets;

pub use dense::{Adjacency, attention, propagate};
pub use sets::{PaddedSets, Pooling, pool, softmax_pool};
