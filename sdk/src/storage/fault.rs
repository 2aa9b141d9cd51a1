//! Makes one operation fail, for tests of what a full disk or a missing right leaves behind.
//!
//! `DUALK_FAULT=7:ENOSPC` makes the seventh operation of the process fail as if the disk were full, `DUALK_FAULT=rename
//! 2:EIO` its second change of a name. Without the variable this costs one comparison an operation.

use super::live;
use crate::progress::say;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An operation that is about to be done.
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
    /// A file or folder is removed.
    Remove,
}

/// Errors that a test may ask for: names and numbers of Linux.
const ERRORS: [(&str, i32); 7] =
    [("EIO", 5), ("EACCES", 13), ("EINVAL", 22), ("EMFILE", 24), ("ENOSPC", 28), ("EROFS", 30), ("ENOSYS", 38)];

const STEPS: [(&str, Step); 5] = [
    ("create", Step::Create),
    ("write", Step::Write),
    ("sync", Step::Sync),
    ("rename", Step::Rename),
    ("remove", Step::Remove),
];

/// Does what `step` names, or fails where a test wants that.
pub(super) fn at<T>(step: Step, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    static DONE: AtomicUsize = AtomicUsize::new(0);
    let _open = live::open();
    if let Some(plan) = PLAN.get_or_init(|| plan(&std::env::var("DUALK_FAULT").ok()?))
        && plan.step.is_none_or(|only| only == step)
        && DONE.fetch_add(1, Ordering::Relaxed) + 1 == plan.number
    {
        say(format_args!("fault injected: {step:?}"));
        return Err(io::Error::from_raw_os_error(plan.error));
    }
    operation()
}

/// What fails, and how.
#[derive(Debug, PartialEq)]
struct Plan {
    /// The only kind of operation that counts.
    step: Option<Step>,
    number: usize,
    error: i32,
}

fn plan(text: &str) -> Option<Plan> {
    let (place, error) = text.split_once(':')?;
    let (_, error) = ERRORS.iter().find(|(name, _)| *name == error)?;
    let (step, number) = match place.split_once(' ') {
        Some((step, number)) => (Some(STEPS.iter().find(|(name, _)| *name == step)?.1), number),
        None => (None, place),
    };
    Some(Plan { step, number: number.parse().ok()?, error: *error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_names_operation_and_error() {
        assert_eq!(plan("7:ENOSPC"), Some(Plan { step: None, number: 7, error: 28 }));
        assert_eq!(plan("rename 2:EIO"), Some(Plan { step: Some(Step::Rename), number: 2, error: 5 }));
        assert_eq!(plan("remove 1:EACCES"), Some(Plan { step: Some(Step::Remove), number: 1, error: 13 }));
        assert_eq!(io::Error::from_raw_os_error(28).kind(), io::ErrorKind::StorageFull);
        for none in ["", "7", "x:EIO", "7:EBAD", "go 2:EIO", "2 rename:EIO"] {
            assert_eq!(plan(none), None);
        }
    }
}
