//! What stands between the SDK and the code of plugins: panics that name their plugin, and burn modules behind trait
//! objects.

mod erased;
pub mod guard;
mod guarded;

pub use erased::{AsSlot, SlotModule};
pub(crate) use guarded::Guarded;
