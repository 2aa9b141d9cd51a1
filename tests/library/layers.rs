//! The modules of the SDK stand in layers: each may know those below it, and none above. Its tests are held to that, too.

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
    "data",
    "ops",
    "cache",
    "component",
    "model",
    "train",
    "recipe",
    "plugin",
    "kge",
    "slots",
    "prelude",
    "testing",
    "experiment",
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

/// Every slot has a row of the catalogue, and a check by its name, as the page on plugins says.
#[test]
fn the_book_lists_every_slot() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("book/src/catalogue.md")).unwrap();
    let testing = files(&root.join("sdk/src/testing"));
    let checks: String = testing.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    for slot in Slot::ALL {
        assert!(page.contains(&format!("\n| `{slot}` | ")), "book/src/catalogue.md has no row for {slot}");
        assert!(checks.contains(&format!("pub fn check_{slot}<")), "there is no check_{slot}");
    }
}

/// The code of a file without comments.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The methods between the braces that open behind `start`.
fn methods<'t>(code: &'t str, start: &str) -> BTreeSet<&'t str> {
    let from = code.find(start).unwrap_or_else(|| panic!("no `{start}`"));
    let mut depth = 0;
    let is_end = |(_, c): &(usize, char)| {
        depth += i32::from(*c == '{') - i32::from(*c == '}');
        *c == '}' && depth == 0
    };
    let (length, _) = code[from..].char_indices().find(is_end).unwrap_or_else(|| panic!("`{start}` is not closed"));
    let lines = code[from..from + length].lines();
    lines.filter_map(|line| line.strip_prefix("    fn ")?.split(['(', '<']).next()).collect()
}

/// What wraps the component of a plugin hands every call on, the optional ones, too: one that it forgets would be answered by
/// the trait, and not by the plugin. All of them do so under the guard that names the plugin in a panic.
#[test]
fn every_call_into_a_plugin_is_handed_on_under_guard() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/src");
    let files = ["component", "recipe", "kge"].map(|folder| files(&root.join(folder))).concat();
    let all: String = files.iter().map(|file| code(&fs::read_to_string(file).unwrap()) + "\n").collect();
    let boxed = ["Objective", "Meter", "Parser", "NodeInit", "Loss", "Recipe", "EmbeddingModel"];
    let boxed = boxed.map(|name| (name, format!("impl {name} for Guarded<dyn {name}>"), "run(&self.origin, "));
    let modules = ["GraphEncoder", "Fusion", "LabEncoder", "PatientEncoder", "Head"];
    let modules = modules.map(|name| (name, format!("impl {name} for {name}Module"), "self.guard("));
    // A meter is made by an objective, and is of no slot.
    assert_eq!(boxed.len() + modules.len() - 1, Slot::ALL.len(), "a slot is missing here");
    for (name, wrapper, guard) in boxed.iter().chain(&modules) {
        let [ours, theirs] = [wrapper.clone(), format!("pub trait {name}")].map(|start| methods(&all, &start));
        assert!(!ours.is_empty() && ours == theirs, "{wrapper} has {ours:?}, and the trait {theirs:?}");
        let from = all.find(wrapper.as_str()).unwrap();
        let body = all[from..].split("\n}").next().unwrap();
        assert!(body.matches(*guard).count() >= ours.len(), "{wrapper} calls {guard} less often than it has methods");
    }
}

/// What stands after `prefix`, such as `crate::`, in braces or not.
fn named(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in code.split(prefix).skip(1) {
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

/// Names of modules that paths begin with, as those in a list for a macro may.
fn beginnings(code: &str) -> BTreeSet<&str> {
    let first = |(at, _): (usize, &str)| {
        let outer = code[..at].trim_end_matches(|c: char| c.is_alphanumeric() || c == '_');
        (!outer.ends_with([':', '$'])).then_some(&code[outer.len()..at])
    };
    code.match_indices("::").filter_map(first).filter(|name| LAYERS.contains(name)).collect()
}

/// Names of the modules inside of a module.
fn inside(root: &Path, own: &str) -> BTreeSet<String> {
    let folder = root.join(own);
    let all = if folder.is_dir() { files(&folder) } else { Vec::new() };
    let parts = |file: &PathBuf| parts(file.strip_prefix(&folder).unwrap());
    all.iter().flat_map(parts).collect()
}

/// The modules that a file is in, itself included.
fn parts(file: &Path) -> Vec<String> {
    let file = file.with_extension("");
    file.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
}

/// What `crate::X` means for the names that the root re-exports, and for a macro, which is at the root wherever it stands.
fn module(name: &str) -> Option<&'static str> {
    match name {
        "Error" | "Result" => Some("error"),
        "Progress" => Some("progress"),
        "vectorized_fn" => Some("simd"),
        name => LAYERS.into_iter().find(|layer| *layer == name),
    }
}

/// The module and another that it imports, with the files that do; those of tests, too, where they are asked for.
fn imports(tests: bool) -> BTreeMap<(String, &'static str), BTreeSet<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/src");
    let mut found: BTreeMap<_, BTreeSet<PathBuf>> = BTreeMap::new();
    for file in files(&root) {
        let relative = file.strip_prefix(&root).unwrap();
        let parts = parts(relative);
        let text = code(&fs::read_to_string(&file).unwrap());
        let text = match tests {
            true => text.as_str(),
            false if parts.iter().any(|part| part.ends_with("tests")) => continue,
            false => text.split("\nmod tests {").next().unwrap_or_default(),
        };
        let inside = inside(&root, &parts[0]);
        let begun = beginnings(text).into_iter().filter(|name| !inside.contains(*name)).map(str::to_owned);
        let names = named(text, "crate::").into_iter().chain(begun).filter_map(|name| module(&name));
        for other in names.filter(|other| *other != parts[0]) {
            found.entry((parts[0].clone(), other)).or_default().insert(relative.to_owned());
        }
    }
    found
}

#[test]
fn no_module_knows_one_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/src");
    let own = |file: &PathBuf| parts(file.strip_prefix(&root).unwrap()).swap_remove(0);
    let modules: BTreeSet<String> = files(&root).iter().map(own).collect();
    let layers: BTreeSet<String> = LAYERS.map(str::to_owned).into_iter().collect();
    assert_eq!(modules, layers, "the modules of sdk/src, and those to which tests/library/layers.rs gives a layer");
    let place = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    let mut upward = imports(true);
    upward.retain(|(own, other), _| place(other) > place(own));
    assert!(upward.is_empty(), "imports that run upward: {upward:#?}");
}

/// Whether arrows lead from a module to another.
fn lead(arrows: &BTreeSet<(&str, &str)>, from: &str, to: &str) -> bool {
    let mut next = arrows.iter().filter(|(own, _)| *own == from);
    next.any(|(_, other)| *other == to || lead(arrows, other, to))
}

/// Each arrow of the book's drawing is an import, and arrows lead to whatever is imported.
#[test]
fn the_book_draws_the_imports() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let drawing = fs::read_to_string(root.join("book/src/img/layers.svg")).unwrap();
    let titles = drawing.split("<title>").filter_map(|rest| rest.split_once("</title>"));
    let arrows: BTreeSet<(&str, &str)> = titles.filter_map(|(title, _)| title.split_once(" imports ")).collect();
    let mut imports: BTreeSet<(String, &str)> = imports(false).into_keys().collect();
    imports.retain(|(own, _)| own != "lib");
    for (own, other) in &arrows {
        assert!(
            imports.contains(&((*own).to_owned(), *other)),
            "an arrow is drawn from {own} to {other}, an import is not there"
        );
    }
    for (own, other) in &imports {
        assert!(lead(&arrows, own, other), "{own} imports {other}, and no arrows of layers.svg lead there");
    }
}

#[test]
fn names_in_braces_are_found() {
    let text = "use crate::{Error, data::{Ragged, Sets}, ops};\nuse crate::graph::Graph; // crate::never\n$crate::simd::level()";
    let found: Vec<String> = named(&code(text), "crate::").into_iter().collect();
    assert_eq!(found, ["Error", "data", "graph", "ops", "simd"]);
    let text = "list! { Recipe: recipe = recipe::RecipeSlot }\nuse super::kge::X;\nimpl std::error::Error for Y {} // kge::never";
    assert_eq!(beginnings(&code(text)).into_iter().collect::<Vec<_>>(), ["recipe"]);
}

/// What a module exports, or uses itself: each name with the module inside of it that this is of.
fn exports(main: &str) -> BTreeMap<&str, &str> {
    let lists = main.split("\npub").filter_map(|rest| {
        let rest = rest.trim_start_matches("(crate)").trim_start_matches("(super)");
        rest.strip_prefix(" use ")?.split_once(';')?.0.split_once("::")
    });
    lists.flat_map(|(module, names)| words(names).map(move |name| (name, module))).collect()
}

/// The modules inside of a module, each with the others that it names, in its tests, too.
fn modules_of(own: &str) -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/src").join(own);
    let main = code(&fs::read_to_string(root.join("mod.rs")).unwrap());
    // What it exports stands for the module that it is of.
    let exports = exports(&main);
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files(&root) {
        let parts = parts(file.strip_prefix(&root).unwrap());
        let depth = parts.len() - usize::from(parts.last().unwrap() == "mod");
        if depth == 0 {
            continue;
        }
        let text = code(&fs::read_to_string(&file).unwrap());
        let (used, tests) = text.split_once("\nmod tests {").unwrap_or((text.as_str(), ""));
        let path = format!("crate::{own}::");
        // Tests at the end of a file are one module deeper.
        let above = [(used, "super::".repeat(depth)), (tests, "super::".repeat(depth + 1))];
        let names = above.iter().flat_map(|(code, above)| [named(code, &path), named(code, above)]);
        let module = |name: String| exports.get(name.as_str()).map_or(name.clone(), |module| (*module).to_owned());
        found.entry(parts[0].clone()).or_default().extend(names.flatten().map(module));
    }
    let all: BTreeSet<String> = found.keys().cloned().collect();
    found.iter_mut().for_each(|(own, names)| names.retain(|name| name != own && all.contains(name)));
    found
}

/// Those that are in a cycle, or between two of them.
fn cycles(mut left: BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    // What knows nothing that is left, or what nothing that is left knows, is in no cycle.
    loop {
        let before = left.len();
        let all: BTreeSet<String> = left.keys().cloned().collect();
        left.values_mut().for_each(|names| names.retain(|name| all.contains(name)));
        left.retain(|_, names| !names.is_empty());
        let known: BTreeSet<String> = left.values().flatten().cloned().collect();
        left.retain(|module, _| known.contains(module));
        if left.len() == before {
            return left;
        }
    }
}

#[test]
fn modules_inside_of_one_do_not_know_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/src");
    let folders = LAYERS.into_iter().filter(|layer| root.join(layer).is_dir());
    let found: BTreeMap<&str, _> = folders.map(|layer| (layer, modules_of(layer))).collect();
    assert!(found["experiment"].len() > 30 && found["data"].len() > 20 && found["ops"].len() > 10, "{found:#?}");
    for (own, inner, other) in [
        ("experiment", "run", "underway"),
        ("data", "ids", "tables"),
        ("ops", "edges", "adjacency"),
        ("plugin", "registry", "loader"),
        ("train", "fit", "evaluate"),
    ] {
        assert!(found[own][inner].contains(other), "{own}/{inner} names {:?}", found[own][inner]);
    }
    let cycles: BTreeMap<&str, _> = found.into_iter().map(|(own, modules)| (own, cycles(modules))).collect();
    assert!(cycles.values().all(BTreeMap::is_empty), "modules that know each other: {cycles:#?}");
}

#[test]
fn modules_that_know_each_other_are_found() {
    let modules = [("a", "b"), ("b", "c"), ("c", "b"), ("d", "")];
    let modules =
        modules.map(|(own, name)| (own.to_owned(), words(name).map(str::to_owned).collect::<BTreeSet<String>>()));
    assert_eq!(cycles(BTreeMap::from(modules)).into_keys().collect::<Vec<_>>(), ["b", "c"]);
    let main = "mod a;\n\npub use a::{\n    One, two,\n};\npub(crate) use b::three;\npub mod c;\n";
    assert_eq!(exports(main), BTreeMap::from([("One", "a"), ("two", "a"), ("three", "b")]));
}
