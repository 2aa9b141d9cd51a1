//! Graph encoders that propagate features.

mod gcn;
mod lightgcn;

pub use gcn::{Gcn, GcnConv, GcnOptions};
pub use lightgcn::{LightGcn, LightGcnOptions};

dualk_sdk::export_plugin! {
    graph_encoder: GcnOptions,
    graph_encoder: LightGcnOptions,
}
