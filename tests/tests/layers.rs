//! The modules of the SDK stand in layers: each may know those below it, and none above.

use dualk_sdk::component::Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the lowest to the highest; book/src/architecture.md says what each is.
const LAYERS: [&str; 24] = [
    "error",
    "memory",
    "simd",
    "progress",
    "options",
    "boundary",
    "sparse",
    "storage",
    "device",
    "graph",
    "ops",
    "data",
    "cache",
    "component",
    "model",
    "train",
    "recipe",
    "plugin",
    "experiment",
    "kge",
    "slots",
    "testing",
    "prelude",
    "lib",
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

/// Words of letters, digits and underscores.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The page for those who have no sources lists every operation and every way to make an error.
#[test]
fn the_book_lists_what_plugins_use() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let functions = |text: &str| -> Vec<String> {
        text.split("pub fn ").skip(1).filter_map(|rest| words(rest).next().map(str::to_owned)).collect()
    };
    let exported = read("sdk/src/ops/mod.rs");
    let exported = exported.lines().filter_map(|line| line.strip_prefix("pub use ")?.rsplit_once("::"));
    let mut names: Vec<String> = exported.flat_map(|(_, names)| words(names)).map(str::to_owned).collect();
    let errors = read("sdk/src/error.rs");
    let (_, errors) = errors.split_once("impl Error {").unwrap();
    names.extend(functions(errors.split_once("/// Mistakes that are collected").unwrap().0));
    names.extend(functions(&read("sdk/src/testing/mod.rs")));
    names.extend(functions(&read("sdk/src/options/mod.rs")));
    // For the program and for options themselves.
    let inner = ["stopped", "within_key", "blame", "message", "key", "places", "map_places", "exit_code", "as_path"];
    assert!(names.len() > 40, "{names:?}");
    let page = read("book/src/plugin-reference.md");
    let listed: BTreeSet<&str> = words(&page).collect();
    names.retain(|name| !inner.contains(&name.as_str()) && !listed.contains(name.as_str()));
    assert!(names.is_empty(), "book/src/plugin-reference.md does not list {names:?}");
}

/// Every slot has a row of the page on plugins, and a check by its name, as that page says.
#[test]
fn the_book_lists_every_slot() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("book/src/plugin.md")).unwrap();
    let testing = files(&root.join("sdk/src/testing"));
    let checks: String = testing.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    for slot in Slot::ALL {
        assert!(page.contains(&format!("\n| `{slot}` | ")), "book/src/plugin.md has no row for {slot}");
        assert!(checks.contains(&format!("pub fn check_{slot}<")), "there is no check_{slot}");
    }
}

/// The code of a file without comments and without its tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The modules that `crate::…` names, in braces or not.
fn named(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        let Some(list) = rest.strip_prefix('{') else {
            found.insert(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut item = String::new();
        for c in list.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    found.insert(word(item.trim()));
                    item.clear();
                    continue;
                }
                _ => (),
            }
            item.push(c);
        }
        found.insert(word(item.trim()));
    }
    found
}

/// What `crate::X` means for the names that the root re-exports.
fn module(name: &str) -> Option<&str> {
    match name {
        "Error" | "Result" => Some("error"),
        "Progress" => Some("progress"),
        name => LAYERS.into_iter().find(|layer| *layer == name),
    }
}

#[test]
fn no_module_knows_one_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/src");
    let place = |name: &str| LAYERS.iter().position(|layer| *layer == name).unwrap();
    let mut upward: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for file in files(&root) {
        let relative = file.strip_prefix(&root).unwrap();
        let own = relative.components().next().unwrap().as_os_str().to_string_lossy().replace(".rs", "");
        assert!(LAYERS.contains(&own.as_str()), "sdk/src/{own} has no layer: give it one in tests/tests/layers.rs");
        seen.insert(own.clone());
        if relative.ends_with("tests.rs") || relative.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        for other in named(&code(&fs::read_to_string(&file).unwrap())).iter().filter_map(|name| module(name)) {
            if place(other) > place(&own) {
                upward.entry(format!("{own} -> {other}")).or_default().insert(relative.display().to_string());
            }
        }
    }
    assert!(upward.is_empty(), "imports that run upward: {upward:#?}");
    assert_eq!(seen.len(), LAYERS.len(), "a layer is named that does not exist: {seen:?}");
}

#[test]
fn names_in_braces_are_found() {
    let text = "use crate::{Error, data::{Ragged, Sets}, ops};\nuse crate::graph::Graph; // crate::never\n$crate::simd::level()";
    let found: Vec<String> = named(&code(text)).into_iter().collect();
    assert_eq!(found, ["Error", "data", "graph", "ops", "simd"]);
}
