//! Graph encoders that propagate features, and the one that does not.

mod gcn;
mod lightgcn;
mod none;

pub use gcn::{Gcn, GcnConv, GcnOptions};
pub use lightgcn::{LightGcn, LightGcnOptions};
pub use none::{NoEncoder, NoneOptions};

dualk_sdk::export_plugin! {
    graph_encoder: GcnOptions,
    graph_encoder: LightGcnOptions,
    graph_encoder: NoneOptions,
}
