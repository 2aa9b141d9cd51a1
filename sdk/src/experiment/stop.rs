//! Ending a run early, from a signal or another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// A wish to stop that training looks at after every step: it saves what it needs to go on, and ends with
/// [`Error::stopped`](crate::Error::stopped). Copies are one wish.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    signal: Arc<AtomicU8>,
    listening: Arc<AtomicUsize>,
    /// What goes on with the work.
    command: Option<Arc<str>>,
}

impl Stop {
    /// A request that nobody has made yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same wish, for work that this command goes on with, such as `dualk run mine.toml --resume`: whoever stops it is told.
    #[must_use]
    pub fn gone_on_by(self, command: &str) -> Self {
        Self { command: Some(command.into()), ..self }
    }

    /// The command that goes on with the work.
    pub(crate) fn command(&self) -> Option<&str> {
        self.command.as_deref()
    }

    /// Asks to stop, as the signal of this number would (2 for SIGINT, 15 for SIGTERM); 0 withdraws it.
    pub fn request(&self, signal: u8) {
        self.signal.store(signal, Ordering::SeqCst);
    }

    /// The signal, once somebody asked.
    pub fn requested(&self) -> Option<u8> {
        Some(self.signal.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }

    /// Whether something runs that will stop when it is asked. Other work, such as reading tables, does not look and has
    /// nothing to save.
    pub fn is_listened(&self) -> bool {
        self.listening.load(Ordering::SeqCst) > 0
    }

    /// From now until the guard goes, requests are looked at.
    pub(crate) fn listen(&self) -> Listening {
        self.listening.fetch_add(1, Ordering::SeqCst);
        Listening(self.listening.clone())
    }
}

/// How people call a signal.
pub(crate) fn name_of(signal: u8) -> String {
    match signal {
        2 => "SIGINT".to_owned(),
        15 => "SIGTERM".to_owned(),
        // Others have other numbers elsewhere.
        10 if cfg!(target_os = "linux") => "SIGUSR1".to_owned(),
        12 if cfg!(target_os = "linux") => "SIGUSR2".to_owned(),
        other => format!("signal {other}"),
    }
}

pub(crate) struct Listening(Arc<AtomicUsize>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
