use super::TrustArgs;
use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::component::Slot;
use dualk_sdk::error::Mistakes;
use dualk_sdk::plugin::{ComponentInfo, OptionInfo};
use std::path::{Path, PathBuf};

/// Columns of the terminal that lines are made for.
const COLUMNS: usize = 80;

/// Arguments of `dualk list`.
#[derive(Args)]
pub struct List {
    /// Only this slot, or components of this name, with their options.
    name: Option<String>,
    /// Load this plugin too.
    #[arg(long, value_name = "FILE")]
    plugin: Vec<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
}

impl List {
    pub fn run(self) -> Result<()> {
        let mut registry = self.trust.registry(Path::new("."))?;
        // What cannot be loaded keeps nobody from the list of the others; it is told of below that.
        let mut mistakes = Mistakes::default();
        for file in &self.plugin {
            mistakes.note(registry.load(file, None));
        }
        mistakes.note(registry.load_shipped());
        let name = self.name.as_deref();
        let shown: Vec<&ComponentInfo> = match name {
            Some(name) => mistakes.note(registry.named(name)).unwrap_or_default(),
            None => registry.components().collect(),
        };
        let is_named = |slot: Slot| name.is_none_or(|name| slot.name() == name);
        let is_shown = |slot: &Slot| is_named(*slot) || shown.iter().any(|info| info.slot == *slot);
        let width = shown.iter().map(|info| info.name.len()).max().unwrap_or(0);
        for each in Slot::ALL.into_iter().filter(is_shown) {
            println!("{each}");
            for info in shown.iter().filter(|info| info.slot == each) {
                beside(2, info.name, width, info.about);
                if name.is_some() {
                    describe(info, width);
                }
            }
        }
        mistakes.done()
    }
}

/// Where a component comes from, below its line, and its options; names of components are so wide.
fn describe(info: &ComponentInfo, width: usize) {
    if !info.citation.is_empty() {
        beside(2, "", width, info.citation);
    }
    println!("  {:width$}  from {}", "", info.plugin);
    let options = info.options();
    let longest = options.iter().map(|option| option.name.len()).max().unwrap_or(0);
    for OptionInfo { name, kind, default, about } in &options {
        beside(4, name, longest, &format!("{kind}, default {default}"));
        beside(4, "", longest, about);
    }
}

/// Prints a name of so many letters behind an indent, and beside it a text in lines that fit a terminal.
fn beside(indent: usize, name: &str, width: usize, text: &str) {
    let lines = lines_of(text, COLUMNS.saturating_sub(indent + width + 2));
    println!("{:indent$}{name:width$}  {}", "", lines.first().map_or("", String::as_str));
    lines.iter().skip(1).for_each(|line| println!("{:indent$}{:width$}  {line}", "", ""));
}

/// The words of a text in lines of at most so many letters; a longer word has a line of its own.
fn lines_of(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::lines_of;

    #[test]
    fn texts_are_broken_between_words() {
        assert_eq!(lines_of("one two\nthree", 7), ["one two", "three"]);
        assert_eq!(lines_of("of ε₁ incomprehensibility", 5), ["of ε₁", "incomprehensibility"]);
        assert!(lines_of("", 5).is_empty());
    }
}
