//! Signals: training saves and stops; other work leaves nothing half-written and ends.

use crate::commands::restore_terminal;
use dualk_sdk::error::without_passwords;
use dualk_sdk::experiment::Stop;
use dualk_sdk::{Error, Result, storage};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::{exit, signal_name};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

static STOP: OnceLock<Stop> = OnceLock::new();
static HANDLE: OnceLock<Handle> = OnceLock::new();

/// The wish of the user to stop.
pub fn stop() -> Stop {
    STOP.get_or_init(Stop::new).clone()
}

/// The same, for work that the very command of this process goes on with, with `more` behind it where that is not there.
pub fn stop_of(more: &[&str]) -> Stop {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    stop().gone_on_by(&command(words, more))
}

/// A command as a shell reads it, but for passwords of servers, with `more` behind it where that is not there.
fn command(mut words: Vec<String>, more: &[&str]) -> String {
    let missing: Vec<String> =
        more.iter().filter(|word| !words.iter().any(|given| given == *word)).map(ToString::to_string).collect();
    words.extend(missing);
    words.iter().map(|word| quoted(&without_passwords(word))).collect::<Vec<_>>().join(" ")
}

/// A word between quotes where a shell would make something else of it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,@%+".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Looks at SIGINT and SIGTERM from now on. Without that, the system would end the program, as before.
pub fn watch() {
    // A file that grows beyond a limit of the system is an error of who writes it, and no end without a word.
    let _ = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    let _ = HANDLE.set(signals.handle());
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let name = signal_name(signal).unwrap_or("signal");
            restore_terminal();
            let stop = stop();
            if stop.is_listened() && stop.requested().is_none() {
                eprintln!("{name}: saving a checkpoint after this step, then stopping; once more stops at once");
                stop.request(signal as u8);
            } else if stop.is_listened() {
                eprintln!("error: stopped by {name} at once: the last checkpoint is the one before");
                exit(128 + signal);
            } else {
                storage::abandon();
                eprintln!("error: stopped by {name}; nothing half-written is left");
                exit(128 + signal);
            }
        }
    });
}

/// Looks at one more signal.
///
/// # Errors
/// When the system does not let programs handle it.
pub fn also_on(signal: i32) -> Result<()> {
    let Some(handle) = HANDLE.get() else { return Ok(()) };
    handle.add_signal(signal).map_err(|e| Error::user(format!("signal {signal} cannot be handled: {e}")))
}

/// A signal by name or number.
pub fn signal(text: &str) -> std::result::Result<i32, String> {
    const KNOWN: [&str; 9] = ["HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "TERM", "XCPU", "CONT"];
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let by_name = |number: &i32| signal_name(*number).is_some_and(|known| known.strip_prefix("SIG") == Some(name));
    let accepted = |number: &i32| KNOWN.iter().any(|known| signal_name(*number) == Some(&format!("SIG{known}")));
    let number = (SIGHUP..64).find(by_name).or_else(|| name.parse().ok());
    number.filter(accepted).ok_or_else(|| format!("expected one of {}", KNOWN.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_written_as_a_shell_reads_them() {
        let of = |words: &[&str], more: &[&str]| command(words.iter().map(ToString::to_string).collect(), more);
        let run = ["dualk", "run", "my runs/a.toml", "--set", "stage[0].epochs=5"];
        let expected = "dualk run 'my runs/a.toml' --set 'stage[0].epochs=5'";
        assert_eq!(of(&run, &["--resume"]), format!("{expected} --resume"));
        assert_eq!(of(&run, &[]), expected);
        let told = ["dualk", "run", "a.toml", "--set", "output.mlflow=https://me:secret@host"];
        assert_eq!(of(&told, &[]), "dualk run a.toml --set 'output.mlflow=https://***@host'");
        assert_eq!(
            of(&["dualk", "run", "a.toml", "--resume", "it's", ""], &["--resume"]),
            r"dualk run a.toml --resume 'it'\''s' ''"
        );
    }

    #[test]
    fn signals_have_names_and_numbers() {
        assert_eq!(signal("USR1"), signal("SIGUSR1"));
        assert_eq!(signal("usr1"), Ok(signal_hook::consts::SIGUSR1));
        assert_eq!(signal("15"), Ok(SIGTERM));
        for wrong in ["", "KILL", "9", "99", "-1", "never"] {
            assert!(signal(wrong).is_err(), "{wrong}");
        }
    }
}
