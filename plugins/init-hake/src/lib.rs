//! Node initialisers that read vectors: HAKE's, and those of a text file.

mod hake;
mod lines;
mod table;
mod text;

pub use hake::HakeOptions;
pub use text::TextOptions;

dualk_sdk::export_plugin! {
    node_init: HakeOptions,
    node_init: TextOptions,
}
