//! Graph attention encoder.

mod gat;

pub use gat::{Gat, GatConv, GatOptions};

dualk_sdk::export_plugin! { graph_encoder: GatOptions }
