//! The descriptor of plugins, which the loader reads as bytes, and its tests.

/// Stands in for the SDK's.
pub struct Registrar<'a>(std::marker::PhantomData<&'a ()>);

#[allow(dead_code)]
#[path = "../../../sdk/src/plugin/descriptor.rs"]
mod descriptor;
