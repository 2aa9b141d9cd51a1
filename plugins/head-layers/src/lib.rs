//! Heads: from vectors to logits.

mod linear;
mod mlp;

pub use linear::{LinearHead, LinearOptions};
pub use mlp::{Classifier, Decoder, MlpHead, MlpOptions};

dualk_sdk::export_plugin! { head: MlpOptions, head: LinearOptions }
