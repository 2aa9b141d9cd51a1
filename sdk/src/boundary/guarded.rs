//! Objects of plugins, with their plugin's name on every panic.

use std::sync::Arc;

/// An object and how errors name it. Each slot's trait is implemented for it beside the trait.
pub(crate) struct Guarded<T: ?Sized> {
    pub origin: Arc<str>,
    pub inner: Box<T>,
}
