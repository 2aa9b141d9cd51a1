//! What is half written at the moment, so that a signal leaves nothing of it.

use super::gate::Gate;
use super::locks::{Mutex, RwLock, RwLockReadGuard};
use std::fs;
use std::path::Path;

/// That of this process.
static GATE: Gate = Gate { open: RwLock::new(true), half: Mutex::new(Vec::new()) };

/// Lets an operation begin, which goes on until the guard goes. Waits for good once everything was abandoned.
pub(super) fn open() -> RwLockReadGuard<'static, bool> {
    loop {
        match GATE.pass() {
            Some(open) => return open,
            None => std::thread::park(),
        }
    }
}

/// From now on [`abandon`] removes this. What an operation creates is remembered inside of it.
pub fn remember(path: &Path) {
    GATE.remember(path);
}

/// From now on [`abandon`] leaves this alone: it is whole, or gone.
pub fn forget(path: &Path) {
    GATE.forget(path);
}

/// Removes everything that is half written and stops all writing of this process for good: for a program that is about
/// to end.
pub fn abandon() {
    GATE.shut(|path| {
        let _ = match path.is_dir() {
            true => fs::remove_dir_all(path),
            false => fs::remove_file(path),
        };
    });
}
