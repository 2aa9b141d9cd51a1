//! Every shipped component passes the checks that its author would run.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too

use dualk_sdk::component::Slot;
use dualk_sdk::plugin::Registry;
use dualk_sdk::testing::examine;
use dualk_sdk::toml::Table;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Components whose files their own plugins' tests write, where they are checked.
const ELSEWHERE: [&str; 6] = ["csv", "eicu", "hake", "meds", "mimic3", "omop"];

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
    let mut synth = Command::new(env!("CARGO_BIN_EXE_dualk"));
    synth.args(["synth", "--patients", "150", "--lab-rows", "4000", "--seed", "1"]).arg(folder.path().join("raw"));
    assert!(synth.output().unwrap().status.success());
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
