//! The files of a new plugin, from the templates in `scaffold/`.

use dualk_sdk::component::Slot;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};

macro_rules! template {
    ($file:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/scaffold/", $file))
    };
}

/// The files of a plugin: paths and texts.
pub fn files(slot: Slot, name: &str) -> Vec<(&'static str, String)> {
    let template = template(slot);
    let library = format!("{DLL_PREFIX}{}{DLL_SUFFIX}", name.replace('-', "_"));
    let fill = |text: &str| {
        let text = text.replace("@NAME@", name).replace("@SLOT@", slot.name());
        let text = text.replace("@LIBRARY@", &library).replace("@TITLE@", template.title);
        text.replace("@COMMAND@", command(slot)).replace("@PROFILE@", profile(slot))
    };
    let mut files = vec![
        ("Cargo.toml", fill(template!("Cargo.toml.in"))),
        ("README.md", fill(template!("README.md.in"))),
        (".gitignore", fill(template!("gitignore.in"))),
        ("experiment.toml", fill(&experiment(slot))),
        ("src/lib.rs", fill(template.source)),
    ];
    if slot == Slot::Parser {
        files.push(("visits.csv", template!("visits.csv").to_owned()));
    }
    if slot == Slot::KgeModel {
        files.push(("triples.tsv", template!("triples.tsv").to_owned()));
    }
    files
}

/// Slots and their templates: the Rust files of `scaffold/`, which `build.rs` lists.
const TEMPLATES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// What a plugin for a slot is made from: a file of `scaffold/` by the slot's name. Its first lines begin with `//@ `.
struct Template {
    /// What the component does, for the README: the first of these lines.
    title: &'static str,
    /// The lines of the manifest that name the component: the others.
    lines: Vec<&'static str>,
    /// The `lib.rs`: what follows.
    source: &'static str,
}

/// The template of a slot. A test makes sure that every slot has one.
fn template(slot: Slot) -> Template {
    let found = TEMPLATES.iter().find(|(name, _)| *name == slot.name());
    let mut source = found.map_or("", |&(_, text)| text);
    let mut notes = Vec::new();
    while let Some((note, rest)) = source.strip_prefix("//@ ").and_then(|text| text.split_once('\n')) {
        notes.push(note);
        source = rest;
    }
    let mut notes = notes.into_iter();
    Template { title: notes.next().unwrap_or_default(), lines: notes.collect(), source }
}

/// The command that trains with a component of the slot.
pub fn command(slot: Slot) -> &'static str {
    match slot {
        Slot::KgeModel => "kge train",
        _ => "run",
    }
}

/// How a component is compiled. Most say which operations of the SDK follow one another, compiled there: optimising the
/// names of burn's operations in a loss takes seven seconds, and no step is faster for it.
fn profile(slot: Slot) -> &'static str {
    match slot {
        Slot::Parser | Slot::KgeModel => "",
        _ => {
            "\n# What computes is compiled in the SDK. Take this out where the plugin has loops of its own.\n\
              [profile.release]\nopt-level = 1\n"
        }
    }
}

/// The manifest, with the new component in place of a shipped one.
fn experiment(slot: Slot) -> String {
    match slot {
        Slot::KgeModel => template!("embedding.toml").to_owned(),
        _ => with_lines(template!("experiment.toml"), &template(slot).lines),
    }
}

/// A manifest with these lines in place of those with their keys. A key that it lacks is one of the model.
fn with_lines(manifest: &str, lines: &[&str]) -> String {
    let place = |own: &str| manifest.lines().find(|line| key(line) == key(own)).unwrap_or("[model]");
    let mut text = String::new();
    for line in manifest.lines() {
        let ours: Vec<&str> = lines.iter().copied().filter(|own| place(own) == line).collect();
        let kept = (ours.is_empty() || line == "[model]").then_some(line);
        kept.into_iter().chain(ours).for_each(|line| text.extend([line, "\n"]));
    }
    text
}

/// The key of a line `key = value`, or all of another line.
fn key(line: &str) -> &str {
    line.split_once(" = ").map_or(line, |(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_gets_its_component_into_the_manifest() {
        for slot in Slot::ALL {
            assert!(!template(slot).title.is_empty(), "{slot} has no template");
            let files = files(slot, "my-part");
            assert!(files.iter().all(|(_, text)| !text.contains("//@")), "{slot}: a note is left");
            let left = ["@NAME@", "@SLOT@", "@LIBRARY@", "@TITLE@", "@COMMAND@", "@PROFILE@"];
            let filled = |text: &str| left.iter().all(|placeholder| !text.contains(placeholder));
            assert!(files.iter().all(|(_, text)| filled(text)), "{slot}: a placeholder is left");
            let (_, manifest) = files.iter().find(|(file, _)| *file == "experiment.toml").unwrap();
            let named = manifest.matches("type = \"my-part\"").count();
            assert_eq!(named, if slot == Slot::Fusion { 2 } else { 1 }, "{slot}: {manifest}");
        }
    }

    #[test]
    fn lines_take_the_place_of_their_keys_or_join_the_model() {
        let manifest = "seed = 1\n\n[model]\nlab = \"a\" # one\nhead = 2\n";
        let filled = with_lines(manifest, &["lab = \"b\"", "reader = \"c\"", "seed = 3"]);
        assert_eq!(filled, "seed = 3\n\n[model]\nreader = \"c\"\nlab = \"b\"\nhead = 2\n");
    }
}
