//! What commands print: results on standard output, what is said beside them on standard error.
//!
//! These macros take the place of those of the standard library, which panic where nothing can be written.

use dualk_sdk::boundary::guard::refuse;
use dualk_sdk::error::Blame;
use dualk_sdk::{Error, Result};
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write, stderr, stdout};

/// The end of a command whose results nobody reads any more, as in `dualk list | head`: quiet, with the number of SIGPIPE.
pub const CLOSED: Blame = Blame::Signal(PIPE);
const PIPE: u8 = 13;

macro_rules! print {
    ($($text:tt)*) => { $crate::output::print(format_args!($($text)*)) };
}

macro_rules! println {
    () => { $crate::output::print(format_args!("\n")) };
    ($($text:tt)*) => { $crate::output::print(format_args!("{}\n", format_args!($($text)*))) };
}

macro_rules! eprintln {
    ($($text:tt)*) => { $crate::output::note(format_args!("{}\n", format_args!($($text)*))) };
}

/// Prints a part of the results. Where it cannot be written, the command ends with an error that says so.
pub fn print(text: Arguments<'_>) {
    let written = stdout().lock().write_fmt(text);
    written.unwrap_or_else(|e| refuse(unwritten(e)));
}

/// Prints what is held back of the results.
///
/// # Errors
/// When it cannot be written.
pub fn finish() -> Result<()> {
    printed(Ok(()))
}

/// Ends what others printed: help, and the version.
///
/// # Errors
/// When it could not be written.
pub fn printed(written: io::Result<()>) -> Result<()> {
    written.and_then(|()| stdout().flush()).map_err(unwritten)
}

/// Says something beside the results. No work ends because it cannot be written.
pub fn note(text: Arguments<'_>) {
    let _ = stderr().lock().write_fmt(text);
}

fn unwritten(error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::BrokenPipe => Error::stopped(PIPE, "nobody reads standard output"),
        _ => Error::io("write the results", "standard output", error),
    }
}
