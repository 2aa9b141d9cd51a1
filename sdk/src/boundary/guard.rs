//! Panics inside plugins end the run with an error that names the plugin.

use crate::{Error, Result, error};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// Calls of [`catch`] that run now, on all threads.
static WATCHED: AtomicUsize = AtomicUsize::new(0);
/// Calls of [`run_on_cells`] that run now, on all threads.
static ON_CELLS: AtomicUsize = AtomicUsize::new(0);
/// The last panic of a thread that is in no call of these, but that one may wait for: its words and its place.
static OF_WORKER: Mutex<Option<(String, String)>> = Mutex::new(None);
/// What a scope of threads panics with where one of them did, in the place of that one's words.
const OF_SCOPE: &str = "a scoped thread panicked";

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A panic that happened inside a plugin.
struct PluginPanic {
    origin: String,
    message: String,
}

/// A mistake of the user's that is found where no error can be returned, such as in the forward pass of a model.
struct Refusal(Error);

/// Ends what [`catch`] runs with this error; where nothing of it runs, with a panic that says it.
pub fn refuse(error: Error) -> ! {
    match DEPTH.get() {
        0 => panic!("{error}"),
        _ => std::panic::panic_any(Refusal(error)),
    }
}

/// Calls into a plugin. A panic there goes on as one that [`catch`] turns into an error naming `origin`.
pub fn run<R>(origin: &str, call: impl FnOnce() -> R) -> R {
    watched(call).unwrap_or_else(|payload| of_plugin(origin, payload, |words| words))
}

/// As [`run`], of a plugin that has cells of tables at hand: the words of a panic may hold some, and are hidden as values are.
pub fn run_on_cells<R>(origin: &str, call: impl FnOnce() -> R) -> R {
    ON_CELLS.fetch_add(1, Ordering::Relaxed);
    let outcome = watched(call);
    ON_CELLS.fetch_sub(1, Ordering::Relaxed);
    outcome.unwrap_or_else(|payload| of_plugin(origin, payload, error::value))
}

/// Goes on with a panic inside a plugin, whose words are `told` so.
fn of_plugin(origin: &str, payload: Box<dyn Any + Send>, told: fn(String) -> String) -> ! {
    if payload.is::<PluginPanic>() || payload.is::<Refusal>() {
        resume_unwind(payload);
    }
    let (words, place) = said(&*payload);
    resume_unwind(Box::new(PluginPanic { origin: origin.to_owned(), message: told(words) + &place }))
}

/// Runs `call`; a panic becomes an error instead of a trace.
///
/// # Errors
/// What `call` returns, or the panic, with the plugin that it happened in.
pub fn catch<R>(call: impl FnOnce() -> Result<R>) -> Result<R> {
    // Of an earlier panic that somebody made an error of.
    take_of_worker();
    WATCHED.fetch_add(1, Ordering::Relaxed);
    let outcome = watched(call);
    WATCHED.fetch_sub(1, Ordering::Relaxed);
    outcome.unwrap_or_else(|payload| {
        Err(payload.downcast::<Refusal>().map_or_else(error_of, |refusal| {
            LAST.take();
            refusal.0
        }))
    })
}

/// The error that a panic becomes.
fn error_of(payload: Box<dyn Any + Send>) -> Error {
    match payload.downcast_ref::<PluginPanic>() {
        Some(panic) => Error::program(format!("{} panicked: {}", panic.origin, panic.message))
            .help("this is a defect of the plugin: report it to its author"),
        None => Error::program(format!("internal error: {}", message_of(&*payload)))
            .help("this is a defect of dualk: please report it with the manifest"),
    }
}

/// Panics when a module's output has another shape than expected, so that the module is blamed, and not the part that gets the
/// output. `as_says` tells what the expectation is from, such as `its width() says`.
pub fn has_shape(output: [usize; 2], expected: [usize; 2], as_says: &str) {
    assert!(output == expected, "the output is {output:?}, expected {expected:?}, as {as_says}");
}

/// Calls into a library that panics over damaged files. A panic becomes its message.
pub fn attempt<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    watched(call).map_err(|payload| message_of(&*payload))
}

/// Keeps panics that become errors off standard error, and notes their place for the error; those of threads without a name, which
/// go on in the thread that waits for them, too, and of any thread while a plugin has cells at hand. It wraps the panic hook of the
/// process, so it is for programs to ask for; the first call counts.
pub fn keep_panics_quiet() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |info| {
            let place = || info.location().map(|l| format!(" ({}:{})", l.file(), l.line())).unwrap_or_default();
            let of_worker = || WATCHED.load(Ordering::Relaxed) > 0 && std::thread::current().name().is_none();
            if DEPTH.get() > 0 {
                LAST.set(Some(place()));
            } else if of_worker() || ON_CELLS.load(Ordering::Relaxed) > 0 {
                *of_worker_noted() = Some((words_of(info.payload()), place()));
            } else {
                previous(info);
            }
        }));
    });
}

/// Catches a panic of `call`.
fn watched<R>(call: impl FnOnce() -> R) -> Result<R, Box<dyn Any + Send>> {
    DEPTH.set(DEPTH.get() + 1);
    let outcome = catch_unwind(AssertUnwindSafe(call));
    DEPTH.set(DEPTH.get() - 1);
    outcome
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let (words, place) = said(payload);
    words + &place
}

/// The words of a panic and where it was, if that was noted: of a thread that was waited for, its own.
fn said(payload: &(dyn Any + Send)) -> (String, String) {
    let (words, place) = (words_of(payload), LAST.take());
    match take_of_worker() {
        Some(noted) if words == OF_SCOPE => noted,
        Some((_, of_worker)) => (words, place.unwrap_or(of_worker)),
        None => (words, place.unwrap_or_default()),
    }
}

fn words_of(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "no message".to_owned(),
    }
}

fn of_worker_noted() -> MutexGuard<'static, Option<(String, String)>> {
    OF_WORKER.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take_of_worker() -> Option<(String, String)> {
    of_worker_noted().take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_of_the_users_stays_one() {
        keep_panics_quiet();
        let error = catch(|| -> Result<()> { run("plugin", || refuse(Error::user("too large").at_key("batch"))) });
        let error = error.unwrap_err();
        assert_eq!((error.exit_code(), error.to_string().as_str()), (2, "`batch`: too large"));
        let uncaught = catch_unwind(|| refuse(Error::user("too large"))).unwrap_err();
        assert_eq!(uncaught.downcast_ref::<String>().unwrap(), "too large");
    }

    #[test]
    fn another_shape_is_refused_with_what_it_is_expected_from() {
        has_shape([3, 4], [3, 4], "its input is");
        keep_panics_quiet();
        let error = catch(|| -> Result<()> {
            has_shape([3, 4], [3, 5], "its input is");
            Ok(())
        });
        let error = error.unwrap_err().to_string();
        assert!(error.contains("the output is [3, 4], expected [3, 5], as its input is"), "{error}");
    }

    #[test]
    fn a_panic_names_the_innermost_plugin() {
        keep_panics_quiet();
        let error = catch(|| -> Result<()> { run("outer", || run("inner (libinner.so)", || panic!("boom {}", 7))) });
        let error = error.unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().starts_with("inner (libinner.so) panicked: boom 7 ("), "{error}");
    }

    #[test]
    fn words_of_a_panic_that_may_hold_cells_are_hidden() {
        keep_panics_quiet();
        let error = catch(|| -> Result<()> { run_on_cells("parser `own`", || panic!("patient {}", 77_120_000)) });
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("parser `own` panicked: (--show-values shows it) ("), "{error}");
        assert!(error.contains("guard.rs:") && !error.contains("77120000"), "{error}");
    }

    #[test]
    fn a_scope_says_what_its_thread_said() {
        keep_panics_quiet();
        let scope = || -> Result<()> {
            std::thread::scope(|scope| drop(scope.spawn(|| panic!("batch {}", 7))));
            Ok(())
        };
        let error = catch(|| run("plugin", scope)).unwrap_err().to_string();
        assert!(error.starts_with("plugin panicked: batch 7 (") && error.contains("guard.rs:"), "{error}");
    }
}
