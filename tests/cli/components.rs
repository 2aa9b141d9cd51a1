//! Every shipped component passes the checks that its author would run.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story

mod program;

use dualk_sdk::component::Slot;
use dualk_sdk::plugin::Registry;
use dualk_sdk::serde_json::Value as Json;
use dualk_sdk::testing::examine;
use dualk_sdk::toml::{Table, Value};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Components whose files their own plugins' tests write, where they are checked.
const ELSEWHERE: [&str; 7] = ["csv", "eicu", "hake", "i2b2", "meds", "mimic3", "omop"];

/// Options that make a component small, or name files that it needs.
fn options(slot: Slot, name: &str, folder: &Path) -> Table {
    let file = |file: &str| folder.join(file).to_string_lossy().into_owned();
    let text = match (slot, name) {
        (Slot::Parser, "synthetic") => "patients = 60\ncodes = 40\nlabs = 9\nclusters = 4".to_owned(),
        (Slot::Parser, "mimic4") => format!("root = {:?}\ncode_system = \"icd10\"", file("raw")),
        (Slot::NodeInit, "random") => "dim = 5".to_owned(),
        (Slot::NodeInit, "text") => format!("path = {:?}", file("vectors.csv")),
        (Slot::GraphEncoder, "gat" | "gatv2" | "transformer") => "dims = [8, 6]\nheads = 2".to_owned(),
        (Slot::GraphEncoder, "gcn" | "sage" | "gin") => "dims = [8, 6]".to_owned(),
        (Slot::GraphEncoder, "gram") => "hidden = 7".to_owned(),
        (Slot::GraphEncoder, "sgc") => "dim = 6".to_owned(),
        (Slot::KgeModel, _) => "dim = 5".to_owned(),
        (Slot::Fusion, "gru" | "lstm" | "dipole" | "retain") => "hidden = 6".to_owned(),
        (Slot::PatientEncoder, "behrt") => "dim = 8\nheads = 2\nlayers = 1\nfeed_forward = 8\ndropout = 0.0".to_owned(),
        (Slot::PatientEncoder, "chet") => "graph = 6\nhidden = 7\nattention = 5".to_owned(),
        (Slot::Lab, "linear") => "dim = 7".to_owned(),
        (Slot::Lab, "mlp") => "dims = [8, 7]".to_owned(),
        (Slot::Head, "mlp") => "decoder = [8, 7]\nclassifier = [8]".to_owned(),
        (Slot::Head, "tied") => "hidden = 8\ndecoder = [8, 7]".to_owned(),
        (Slot::Objective, "chronic_excluded") => format!("path = {:?}", file("chronic.txt")),
        _ => String::new(),
    };
    text.parse().unwrap()
}

#[test]
fn every_shipped_component_passes_the_checks() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("vectors.csv"), "428.0,0.5,-1,2\n428.1,1,0,0.25\n").unwrap();
    fs::write(folder.path().join("chronic.txt"), "401.9\n250.00\n").unwrap();
    program::succeed(folder.path(), &["synth", "--patients", "150", "--lab-rows", "4000", "--seed", "1", "raw"]);
    let mut registry = Registry::new();
    registry.load_shipped().unwrap();
    let mut failures = Vec::new();
    let components = registry.components().filter(|info| !ELSEWHERE.contains(&info.name));
    for info in components {
        let report = examine(&registry, info.slot, info.name, options(info.slot, info.name, folder.path())).unwrap();
        assert!(report.checks.len() >= 4, "{report}");
        if !report.passed() {
            failures.push(report.to_string());
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Values just beyond the bounds that a schema declares.
fn beyond(schema: &Json) -> Vec<Value> {
    let bound = |name: &str| schema.get(name).and_then(Json::as_f64);
    let whole = schema["type"].to_string().contains("integer");
    let number = |x: f64| if whole { Value::Integer(x as i64) } else { Value::Float(x) };
    let (least, most) = (bound("minimum").map(|m| m - 1.0), bound("maximum").map(|m| m + 1.0));
    let outside = [least, most, bound("exclusiveMinimum"), bound("exclusiveMaximum")];
    let mut found: Vec<Value> = outside.into_iter().flatten().map(number).collect();
    if !whole && !found.is_empty() {
        found.extend([f64::NAN, f64::INFINITY].map(Value::Float));
    }
    found.extend(schema.get("minItems").map(|_| Value::Array(Vec::new())));
    let items = schema.get("items").map(beyond).unwrap_or_default();
    found.extend(items.into_iter().map(|item| Value::Array(vec![item])));
    found
}

#[test]
fn what_components_are_stands_in_one_column_of_the_list() {
    let printed = program::succeed(Path::new("."), &["list"]);
    assert!(printed.lines().all(|line| line.chars().count() <= 80), "{printed}");
    let rows = printed.lines().filter_map(|line| line.strip_prefix("  ")).filter(|row| !row.starts_with(' '));
    let places: BTreeSet<usize> = rows
        .map(|row| {
            let (name, about) = row.split_once(' ').unwrap();
            name.len() + 1 + about.len() - about.trim_start().len()
        })
        .collect();
    assert_eq!(places.len(), 1, "{printed}");
}

/// Errors of options say `dualk list` with the name of the component.
#[test]
fn the_list_takes_a_slot_or_a_component() {
    let list = |name: &str| program::succeed(Path::new("."), &["list", name]);
    let gat = list("gat");
    assert!(gat.starts_with("graph_encoder\n  gat  ") && gat.contains("\n    heads "), "{gat}");
    let unindented = |printed: &str| -> Vec<String> {
        printed.lines().filter(|line| !line.starts_with(' ')).map(str::to_owned).collect()
    };
    assert_eq!(unindented(&gat), ["graph_encoder"]);
    let names = gat.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    assert_eq!(names.count(), 1, "others are not shown: {gat}");
    // Two slots have one of this name.
    assert_eq!(unindented(&list("hake")), ["node_init", "kge_model"]);
    let slot = list("graph_encoder");
    assert!(slot.contains("\n  gat ") && slot.contains("\n  gcn ") && unindented(&slot).len() == 1, "{slot}");
    let says = ["neither a slot nor a component is named `gta`", "did you mean `gat`?", "add --plugin FILE"];
    program::refuse(Path::new("."), &["list", "gta"], &says);
    program::refuse(Path::new("."), &["list", "graph_encoders"], &["did you mean `graph_encoder`?"]);
}

/// A terminal of 80 columns breaks longer lines wherever they are.
#[test]
fn help_of_options_fits_a_terminal() {
    let commands = "|run|sweep|compare|watch|report|check|prepare|eval|scrub|export|icd|import|list|synth|schema|install|package|\
        doctor|bench|cache|cache ls|cache gc|cache verify|kge|kge train|kge eval|kge nearest|kge curves|kge plot|kge graph|\
        plugin|plugin new|plugin build|plugin check|plugin lock|plugin inspect";
    for command in commands.split('|') {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let printed = program::succeed(Path::new("."), &arguments);
        let shown = printed.lines().take_while(|line| !line.contains("Examples:"));
        let long: Vec<&str> = shown.filter(|line| line.chars().count() > 80).collect();
        assert!(long.is_empty(), "dualk {command}: {long:#?}");
    }
}

#[test]
fn what_is_outside_of_a_declared_range_is_refused_by_its_key() {
    let mut registry = Registry::new();
    registry.load_shipped().unwrap();
    let mut tried = 0;
    for info in registry.components() {
        let options = info.schema.get("properties").and_then(Json::as_object).into_iter().flatten();
        for (key, value) in options.flat_map(|(key, schema)| beyond(schema).into_iter().map(move |value| (key, value)))
        {
            let table = Table::from_iter([(key.clone(), value.clone())]);
            let place = format!("{} {}: {key} = {value}", info.slot, info.name);
            let error = registry.check(info.slot, info.name, table).expect_err(&place).to_string();
            assert!(error.starts_with(&format!("`{key}")), "{place}: {error}");
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried} values");
}
