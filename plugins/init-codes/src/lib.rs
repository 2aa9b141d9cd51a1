//! Node initialisers that look at codes alone: random numbers, and ancestors in the hierarchy.

mod one_hot_hierarchy;
mod random;

pub use one_hot_hierarchy::HierarchyOptions;
pub use random::{Distribution, RandomOptions};

dualk_sdk::export_plugin! {
    node_init: HierarchyOptions,
    node_init: RandomOptions,
}
