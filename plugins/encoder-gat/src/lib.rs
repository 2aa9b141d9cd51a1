//! Graph encoders with attention over edges.

mod gat;
mod gatv2;
mod heads;
mod transformer;

pub use gat::{Gat, GatConv, GatOptions};
pub use gatv2::{GatV2, GatV2Conv, GatV2Options};
pub use transformer::{Transformer, TransformerConv, TransformerOptions};

dualk_sdk::export_plugin! {
    graph_encoder: GatOptions,
    graph_encoder: GatV2Options,
    graph_encoder: TransformerOptions,
}
