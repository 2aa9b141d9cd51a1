//! `dualk cache`: what is kept between runs.

use clap::{Args, Subcommand};
use dualk_sdk::cache::{Cache, Entry, State};
use dualk_sdk::data::SECONDS_PER_DAY;
use dualk_sdk::{Error, Result};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Arguments of `dualk cache`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct CacheCommand {
    #[command(subcommand)]
    action: Action,
    /// Folder of the cache. Default: that of the user.
    #[arg(long, global = true)]
    folder: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  dualk cache ls
  dualk cache gc --unused 30d --keep 20GB
  dualk cache verify --repair";

#[derive(Subcommand)]
enum Action {
    /// List the entries, the last used first.
    Ls,
    /// Remove what was not used for a time, and what does not fit.
    Gc {
        /// Remove what was not used for so long: 12h, 30d, 8w.
        #[arg(long, value_parser = duration)]
        unused: Option<Duration>,
        /// Keep at most so much, the last used: 500MB, 20GB.
        #[arg(long, value_parser = bytes)]
        keep: Option<u64>,
        /// Remove everything.
        #[arg(long, conflicts_with_all = ["unused", "keep"])]
        all: bool,
    },
    /// Compare every file with what was written.
    Verify {
        /// Remove damaged entries: they are made anew.
        #[arg(long)]
        repair: bool,
    },
}

impl CacheCommand {
    pub fn run(self) -> Result<()> {
        let cache = self.folder.map(Cache::at).or_else(Cache::of_user).ok_or_else(|| {
            Error::user("there is no cache").help("DUALK_CACHE is `off`, or there is no home folder: give --folder")
        })?;
        match self.action {
            Action::Ls => list(&cache),
            Action::Gc { unused, keep, all } => collect(&cache, unused, if all { Some(0) } else { keep }),
            Action::Verify { repair } => verify(&cache, repair),
        }
    }
}

fn list(cache: &Cache) -> Result<()> {
    let entries = cache.entries()?;
    for entry in &entries {
        println!("{}", line(entry));
    }
    println!("{} in {}", count(&entries), cache.root().display());
    Ok(())
}

fn collect(cache: &Cache, unused: Option<Duration>, keep: Option<u64>) -> Result<()> {
    if unused.is_none() && keep.is_none() {
        return Err(Error::user("nothing says what to remove")
            .help("give --unused 30d, --keep 20GB or --all; `dualk cache ls` shows what there is"));
    }
    let (removed, left) = (cache.collect(unused, keep)?, cache.entries()?);
    println!("removed {}; {} left in {}", count(&removed), count(&left), cache.root().display());
    left.iter()
        .filter(|entry| is_unreadable(entry))
        .for_each(|entry| eprintln!("warning: left alone: {}", line(entry)));
    Ok(())
}

fn is_unreadable(entry: &Entry) -> bool {
    matches!(entry.state, State::Unreadable(_))
}

fn verify(cache: &Cache, repair: bool) -> Result<()> {
    let (unreadable, read): (Vec<Entry>, Vec<Entry>) = cache.verify()?.into_iter().partition(is_unreadable);
    let (damaged, others): (Vec<Entry>, Vec<Entry>) =
        read.into_iter().partition(|entry| matches!(entry.state, State::Damaged(_)));
    let sound = others.iter().filter(|entry| entry.state == State::Complete).count();
    for entry in damaged.iter().chain(&unreadable) {
        println!("{}", line(entry));
    }
    println!("{sound} sound, {} damaged, {} unreadable", damaged.len(), unreadable.len());
    if repair {
        damaged.iter().try_for_each(|entry| cache.remove(entry))?;
    } else if !damaged.is_empty() {
        return Err(Error::user("the cache has damaged entries; a run that needs one makes it anew")
            .at_file(cache.root())
            .help("`dualk cache verify --repair` removes them now"));
    }
    match unreadable.is_empty() {
        true => Ok(()),
        false => Err(Error::user("the cache has entries that cannot be read, which nothing removes")
            .at_file(cache.root())
            .help("mend the rights or the disk, or remove their folders yourself")),
    }
}

/// An entry as a line: age, size, kind, what it is, its state, its folder.
fn line(entry: &Entry) -> String {
    let age = SystemTime::now().duration_since(entry.used).unwrap_or_default();
    let state = match &entry.state {
        State::Complete => String::new(),
        State::Unfinished => "  unfinished".into(),
        State::Damaged(what) => format!("  damaged: {what}"),
        State::Unreadable(what) => format!("  cannot be read: {what}"),
    };
    let name = entry.path.file_name().unwrap_or_default().to_string_lossy();
    format!("{:>6}  {:>9}  {:7} {}{state}  [{name}]", ago(age), size(entry.bytes), entry.kind, entry.about)
}

fn count(entries: &[Entry]) -> String {
    let bytes = entries.iter().map(|entry| entry.bytes).sum();
    let noun = if entries.len() == 1 { "entry" } else { "entries" };
    format!("{} {noun}, {}", entries.len(), size(bytes))
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

const DAY: u64 = SECONDS_PER_DAY as u64;

fn ago(age: Duration) -> String {
    match age.as_secs() {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min", s / 60),
        s if s < 2 * DAY => format!("{} h", s / 3600),
        s => format!("{} d", s / DAY),
    }
}

/// A number and one of these units, in what the first factor counts.
fn quantity(text: &str, units: &[(&str, u64)], example: &str) -> std::result::Result<u64, String> {
    let wrong = || format!("expected a number and a unit, such as {example}");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(text[digits..].trim())).ok_or_else(wrong)?;
    number.checked_mul(unit.1).ok_or_else(wrong)
}

fn duration(text: &str) -> std::result::Result<Duration, String> {
    let units = [("s", 1), ("min", 60), ("h", 3600), ("d", DAY), ("w", 7 * DAY)];
    quantity(text, &units, "12h, 30d or 8w").map(Duration::from_secs)
}

fn bytes(text: &str) -> std::result::Result<u64, String> {
    quantity(
        text,
        &[("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000)],
        "500MB or 20GB",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_units() {
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(bytes("20gb"), Ok(20_000_000_000));
        for wrong in ["", "30", "d", "30 years", "-1d", "99999999999999999999d", "é"] {
            assert!(duration(wrong).is_err() && bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_and_ages_are_short() {
        assert_eq!([size(12), size(3_400_000), size(20_000_000_000)], ["0.0 kB", "3.4 MB", "20.0 GB"]);
        let shown = [5, 3599, 7200, 86_400 * 3].map(|s| ago(Duration::from_secs(s)));
        assert_eq!(shown, ["5 s", "59 min", "2 h", "3 d"]);
    }
}
