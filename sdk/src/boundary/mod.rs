//! What stands between the SDK and the code of plugins: panics that name their plugin, and burn modules behind trait
//! objects.

mod erased;
pub mod guard;
mod guarded;

pub(crate) use erased::{
    ErasedMapper, ErasedVisitor, MapperToErased, VisitorToErased, map_with, slot_module, visit_with,
};
pub(crate) use guarded::Guarded;
