//! What is half written at the moment, so that a signal leaves nothing of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

static LIVE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
/// Held for reading by every operation, for good by [`abandon`].
static OPEN: RwLock<()> = RwLock::new(());

/// Waits for good once everything was abandoned.
pub(super) fn open() -> RwLockReadGuard<'static, ()> {
    OPEN.read().unwrap_or_else(PoisonError::into_inner)
}

/// From now on [`abandon`] removes this.
pub fn remember(path: &Path) {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_owned());
}

/// From now on [`abandon`] leaves this alone.
pub fn forget(path: &Path) {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner).retain(|live| live != path);
}

/// Removes everything that is half written and stops all writing of this process for good: for a program that is about
/// to end.
pub fn abandon() {
    std::mem::forget(OPEN.write().unwrap_or_else(PoisonError::into_inner));
    for path in LIVE.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let _ = match path.is_dir() {
            true => fs::remove_dir_all(&path),
            false => fs::remove_file(&path),
        };
    }
}
