//! Attention fusions: DuaLK's simple one, the global ones, a gated one and a transformer.

mod attention;
mod gated;
mod global;
mod transformer;

pub use attention::{Attention, AttentionOptions};
pub use gated::{Gated, GatedOptions};
pub use global::{Global, GlobalOptions};
pub use transformer::{Transformer, TransformerOptions};

dualk_sdk::export_plugin! {
    fusion: AttentionOptions,
    fusion: GatedOptions,
    fusion: GlobalOptions,
    fusion: TransformerOptions,
}
