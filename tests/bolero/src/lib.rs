//! Pickles, checkpoints of PyTorch and descriptors of plugins, from the sources of the program and the SDK.

// What these call the SDK.
extern crate self as dualk_sdk;

#[allow(dead_code)]
#[path = "../../../sdk/src/error.rs"]
pub mod error;

pub use error::{Error, Result};

/// Stands in for the SDK's.
pub struct Registrar<'a>(std::marker::PhantomData<&'a ()>);

#[allow(dead_code)]
#[path = "../../../sdk/src/plugin/descriptor.rs"]
mod descriptor;

#[allow(dead_code)]
#[path = "../../../experiments/cli/src/commands/import"]
pub mod import {
    pub mod pickle;
    pub mod torch;
}

/// Whether there is a descriptor in the bytes of a file.
pub fn is_described(file: &[u8]) -> bool {
    descriptor::find(file).is_some()
}
