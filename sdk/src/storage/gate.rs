//! A gate that every operation on files passes, and that is shut for good before a program ends: what is half written goes.
//!
//! `tests/loom` compiles this file with the locks of loom, and tries every order of the steps of several threads.

use super::locks::{Mutex, RwLock, RwLockReadGuard};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

/// A gate, and what is half written behind it.
pub struct Gate {
    /// Whether it is open. Operations hold it for reading.
    pub open: RwLock<bool>,
    /// What goes when it is shut.
    pub half: Mutex<Vec<PathBuf>>,
}

impl Gate {
    /// Lets an operation through, which goes on until the guard goes; `None` once it is shut. One that has passed does not pass again
    /// before it is done.
    pub fn pass(&self) -> Option<RwLockReadGuard<'_, bool>> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        if *open { Some(open) } else { None }
    }

    /// From now on [`Gate::shut`] removes this. What an operation creates is remembered before the operation is done: in between it could be
    /// shut, and know nothing of it.
    pub fn remember(&self, path: &Path) {
        self.half.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_owned());
    }

    /// From now on [`Gate::shut`] leaves this alone: it is whole, or gone.
    pub fn forget(&self, path: &Path) {
        self.half.lock().unwrap_or_else(PoisonError::into_inner).retain(|half| half != path);
    }

    /// Waits for the operations that have passed and lets no other pass from then on; then `remove` has what is half written.
    pub fn shut(&self, remove: impl Fn(&Path)) {
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = false;
        let half = std::mem::take(&mut *self.half.lock().unwrap_or_else(PoisonError::into_inner));
        half.iter().for_each(|path| remove(path));
    }
}
