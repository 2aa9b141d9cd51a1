//! Attention fusions: DuaLK's simple one and the global ones.

mod attention;
mod global;

pub use attention::{Attention, AttentionOptions};
pub use global::{Global, GlobalOptions};

dualk_sdk::export_plugin! { fusion: AttentionOptions, fusion: GlobalOptions }
