//! Graph and set operations that encoders and fusions are built on.

mod dense;
mod edges;
mod sets;

pub use dense::{Adjacency, attention, propagate};
pub use edges::{attention_with_edges, dot_attention, dynamic_attention, edge_weights, max_over_edges};
pub use edges::{reweighted, with_mean_self_loops};
pub use sets::{PaddedSets, Pooling, pool, softmax_pool};
