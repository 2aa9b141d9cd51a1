//! Writing files and folders so that a reader finds the old ones or the new ones, whole, and nobody else reads them.
//!
//! All of the SDK's writing goes through here: files are created for their owner alone, a folder is made beside its
//! place ([`Draft`]) and exchanged for what is there in one step, and tests make any single operation fail
//! (`fault`).

mod access;
mod draft;
mod fault;
mod file;
mod live;
mod tensors;

pub use access::{Access, common_folder, own_folder};
pub(crate) use draft::lock_new;
pub use draft::{Draft, exchange, exchange_all, folder, lock_folder, sweep};
pub use file::{Cause, Output, append, blank, copy, create, replace, sync_tree, write};
pub(crate) use file::{rename, sync_folder};
pub use live::{abandon, forget, remember};
pub(crate) use tensors::floats;
pub use tensors::{Numbers, Tensor, tensors};
