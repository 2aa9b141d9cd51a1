//! Node initialisers.

mod hake;
mod lines;
mod one_hot_hierarchy;
mod random;
mod table;
mod text;

pub use hake::HakeOptions;
pub use one_hot_hierarchy::HierarchyOptions;
pub use random::{Distribution, RandomOptions};
pub use text::TextOptions;

dualk_sdk::export_plugin! {
    node_init: HakeOptions,
    node_init: HierarchyOptions,
    node_init: RandomOptions,
    node_init: TextOptions,
}
