//! Writing files and folders so that a reader finds the old ones or the new ones, whole, and nobody else reads them.
//!
//! All of the SDK's writing goes through here: files are created for their owner alone, a folder is made beside its
//! place ([`Draft`]) and exchanged for what is there in one step, and tests make any single operation fail
//! (`fault`).

mod access;
mod draft;
mod fault;
mod file;
mod gate;
mod live;
mod locks;
mod temporary;
mod tensors;
#[cfg(all(test, target_os = "linux"))]
mod tests;

pub(crate) use access::folder_for;
pub use access::{Access, common_folder, like, own_folder};
pub(crate) use draft::ASIDE;
pub use draft::{Draft, check_free, checked_folder, exchange, exchange_all, folder};
pub use file::{Cause, Output, append, blank, check_replaceable, copy, create, output, replace, sync_tree, write};
pub(crate) use file::{remove, remove_folder, remove_whole, rename, sync_file, sync_folder};
pub use live::{abandon, forget, remember};
pub use temporary::Scratch;
pub(crate) use temporary::{LOCK, Temporary, hold, is_held, is_own, new_folder, sweep_locks};
pub use tensors::{Numbers, Tensor, check_seal, sealed, tensors};
pub(crate) use tensors::{floats, hex};
