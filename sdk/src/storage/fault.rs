//! Makes one operation fail, for tests of what a full disk or a missing right leaves behind.
//!
//! `DUALK_FAULT=7:ENOSPC` makes the seventh operation of the process fail as if the disk were full. Without the
//! variable this costs one comparison an operation.

use super::live;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is about to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A file or folder is created or opened for writing.
    Create,
    /// Bytes are written.
    Write,
    /// What was written is forced to the disk.
    Sync,
    /// A name changes.
    Rename,
}

/// Errors that a test may ask for: names and numbers of Linux.
const ERRORS: [(&str, i32); 5] = [("EIO", 5), ("EACCES", 13), ("EMFILE", 24), ("ENOSPC", 28), ("EROFS", 30)];

/// Does what `step` names, or fails where a test wants that.
pub(super) fn at<T>(step: Step, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    static PLAN: OnceLock<Option<(usize, i32)>> = OnceLock::new();
    static DONE: AtomicUsize = AtomicUsize::new(0);
    let _open = live::open();
    if let Some((number, error)) = PLAN.get_or_init(|| plan(&std::env::var("DUALK_FAULT").ok()?))
        && DONE.fetch_add(1, Ordering::Relaxed) + 1 == *number
    {
        eprintln!("fault injected: {step:?}");
        return Err(io::Error::from_raw_os_error(*error));
    }
    operation()
}

/// Number of the operation and of the error.
fn plan(text: &str) -> Option<(usize, i32)> {
    let (number, error) = text.split_once(':')?;
    let (_, error) = ERRORS.iter().find(|(name, _)| *name == error)?;
    Some((number.parse().ok()?, *error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_names_operation_and_error() {
        assert_eq!(plan("7:ENOSPC"), Some((7, 28)));
        assert_eq!(io::Error::from_raw_os_error(28).kind(), io::ErrorKind::StorageFull);
        for none in ["", "7", "x:EIO", "7:EBAD"] {
            assert_eq!(plan(none), None);
        }
    }
}
