//! Graph encoders that look at codes and not at the disease graph: GRAM over their hierarchy, and the one that does nothing.

mod gram;
mod none;

pub use gram::{Gram, GramOptions};
pub use none::{NoEncoder, NoneOptions};

dualk_sdk::export_plugin! {
    graph_encoder: GramOptions,
    graph_encoder: NoneOptions,
}
