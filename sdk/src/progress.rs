//! Showing long work to a person.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Where progress goes: a terminal, a log, nowhere.
pub trait Progress: Send + Sync {
    /// Starts a task of `total` units, or of unknown length.
    fn begin(&self, what: &str, unit: &str, total: Option<u64>) -> Box<dyn Task>;

    /// A line for the reader and the log.
    fn line(&self, text: &str);
}

/// A running task.
pub trait Task: Send {
    /// `by` more units are done.
    fn advance(&mut self, by: u64);

    /// So many units were done before this process: they count, but not for the rate.
    fn go_on_from(&mut self, done: u64) {
        self.advance(done);
    }

    /// Text shown beside the bar, such as the current loss.
    fn message(&mut self, text: &str);

    /// The task is over; `summary` stays visible unless empty.
    fn finish(self: Box<Self>, summary: &str);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: &str, _: Option<u64>) -> Box<dyn Task> {
        Box::new(Silent)
    }

    fn line(&self, _: &str) {}
}

impl Task for Silent {
    fn advance(&mut self, _: u64) {}
    fn message(&mut self, _: &str) {}
    fn finish(self: Box<Self>, _: &str) {}
}

/// A line on standard error. Work goes on where it cannot be written: on a full disk, or when nobody reads any more.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(stderr(), "{line}");
}

/// Progress bars with rate and remaining time on a terminal, plain lines elsewhere; both on standard error.
#[derive(Debug, Clone, Copy)]
pub struct Console {
    terminal: bool,
}

impl Default for Console {
    fn default() -> Self {
        Self { terminal: stderr().is_terminal() }
    }
}

impl Progress for Console {
    fn begin(&self, what: &str, unit: &str, total: Option<u64>) -> Box<dyn Task> {
        if self.terminal {
            return Box::new(Bar::new(what, unit, total));
        }
        let now = Instant::now();
        Box::new(Lines {
            what: what.into(),
            unit: unit.into(),
            total,
            done: 0,
            before: 0,
            text: String::new(),
            start: now,
            last: now,
        })
    }

    fn line(&self, text: &str) {
        say(text);
    }
}

struct Bar(indicatif::ProgressBar);

impl Bar {
    fn new(what: &str, unit: &str, total: Option<u64>) -> Self {
        let template = match total {
            Some(_) => format!("{{prefix:24}} {{bar:28}} {{pos}}/{{len}} {unit} {{per_sec}} ETA {{eta}} {{msg}}"),
            None => format!("{{prefix:24}} {{spinner}} {{pos}} {unit} {{per_sec}} {{msg}}"),
        };
        let style = indicatif::ProgressStyle::with_template(&template);
        let bar = total.map_or_else(indicatif::ProgressBar::new_spinner, indicatif::ProgressBar::new);
        bar.set_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()));
        bar.set_prefix(what.to_owned());
        Self(bar)
    }
}

impl Task for Bar {
    fn advance(&mut self, by: u64) {
        self.0.inc(by);
    }

    fn go_on_from(&mut self, done: u64) {
        self.0.set_position(done);
        self.0.reset_eta();
    }

    fn message(&mut self, text: &str) {
        self.0.set_message(text.to_owned());
    }

    fn finish(self: Box<Self>, summary: &str) {
        let prefix = self.0.prefix();
        self.0.finish_and_clear();
        if !summary.is_empty() {
            say(format_args!("{prefix:24} {summary}"));
        }
    }
}

/// Every ten seconds a line, and one at the end.
struct Lines {
    what: String,
    unit: String,
    total: Option<u64>,
    done: u64,
    /// Units that were done before this process.
    before: u64,
    text: String,
    start: Instant,
    last: Instant,
}

impl Lines {
    /// The line after so many seconds.
    fn after(&self, seconds: f64) -> String {
        let rate = (self.done - self.before) as f64 / seconds;
        let total = match self.total {
            Some(total) if rate > 0.0 => {
                format!("/{total} {} ETA {:.0} s", self.unit, total.saturating_sub(self.done) as f64 / rate)
            }
            _ => format!(" {}", self.unit),
        };
        format!("{:24} {}{total} {rate:.1}/s {}", self.what, self.done, self.text)
    }
}

impl Task for Lines {
    fn advance(&mut self, by: u64) {
        self.done += by;
        if self.last.elapsed() < Duration::from_secs(10) {
            return;
        }
        self.last = Instant::now();
        say(self.after(self.start.elapsed().as_secs_f64()));
    }

    fn go_on_from(&mut self, done: u64) {
        (self.done, self.before) = (done, done);
    }

    fn message(&mut self, text: &str) {
        text.clone_into(&mut self.text);
    }

    fn finish(self: Box<Self>, summary: &str) {
        if !summary.is_empty() {
            say(format_args!("{:24} {summary}", self.what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_before_is_no_part_of_the_rate() {
        let now = Instant::now();
        let (what, unit) = ("training".to_owned(), "steps".to_owned());
        let mut task =
            Lines { what, unit, total: Some(10_000), done: 0, before: 0, text: String::new(), start: now, last: now };
        task.go_on_from(5800);
        task.advance(100);
        assert_eq!(task.after(10.0).trim_end(), "training                 5900/10000 steps ETA 410 s 10.0/s");
    }
}
