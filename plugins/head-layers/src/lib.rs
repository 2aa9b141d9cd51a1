//! Heads: from vectors to logits.

mod knowledge;
mod linear;
mod mlp;
mod tied;

pub use knowledge::{KnowledgeHead, KnowledgeOptions, Propagation};
pub use linear::{LinearHead, LinearOptions};
pub use mlp::{Classifier, Decoder, MlpHead, MlpOptions};
pub use tied::{Tied, TiedHead, TiedOptions};

dualk_sdk::export_plugin! { head: MlpOptions, head: LinearOptions, head: TiedOptions, head: KnowledgeOptions }
