//! Graph encoders that propagate features.

mod gcn;
mod lightgcn;
mod sgc;

pub use gcn::{Gcn, GcnConv, GcnOptions};
pub use lightgcn::{LightGcn, LightGcnOptions};
pub use sgc::{Sgc, SgcOptions};

dualk_sdk::export_plugin! {
    graph_encoder: GcnOptions,
    graph_encoder: LightGcnOptions,
    graph_encoder: SgcOptions,
}
