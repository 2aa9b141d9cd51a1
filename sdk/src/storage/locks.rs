//! The locks of the [gate](super::gate). Its test has those of loom in their place.

pub(super) use std::sync::{Mutex, RwLock, RwLockReadGuard};
