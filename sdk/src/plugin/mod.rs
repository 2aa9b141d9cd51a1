//! Plugins: what they export, how they are checked and loaded, and the registry of components.
//!
//! A plugin is a Rust shared library that links the same SDK library as its host. [`export_plugin!`](crate::export_plugin)
//! gives it a [`Descriptor`], plain bytes that [`inspect`] reads from the file before anything of the plugin runs.

mod descriptor;
mod loader;
mod option_info;
mod options;
mod registrar;
mod registry;
mod search;
mod trust;

pub use descriptor::{DESCRIPTOR_SYMBOL, Descriptor, Stamp, anchor};
pub use loader::{Inspection, LoadedPlugin, inspect};
pub use option_info::OptionInfo;
pub use registrar::{ComponentInfo, Registrar};
pub use registry::Registry;
pub use search::{plugin_file_name, search_path};
pub use trust::{LockedPlugin, PluginsLock, Trust};
