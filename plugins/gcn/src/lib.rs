//! Graph convolution encoder.

mod gcn;

pub use gcn::{Gcn, GcnConv, GcnOptions};

dualk_sdk::export_plugin! { graph_encoder: GcnOptions }
