//! Graph encoders over the hierarchy of codes.

mod gram;

pub use gram::{Gram, GramOptions};

dualk_sdk::export_plugin! { graph_encoder: GramOptions }
