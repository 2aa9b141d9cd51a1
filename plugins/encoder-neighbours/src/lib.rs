//! Graph encoders that join a node with an aggregate of its neighbours.

mod gin;
mod sage;

pub use gin::{Gin, GinConv, GinOptions, Norm};
pub use sage::{Aggregate, Sage, SageConv, SageOptions};

dualk_sdk::export_plugin! { graph_encoder: GinOptions, graph_encoder: SageOptions }
