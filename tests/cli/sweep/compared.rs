//! Which runs can be compared, and what their rows are called.

use super::support::{Place, run};
use std::fs;

#[test]
fn what_cannot_be_compared_is_refused_by_name() {
    let place = Place::new("");
    let base = run(&place, &[]);
    let cohort = run(&place, &["data.parser.patients=420"]);
    let split = run(&place, &["data.split.seed=7"]);
    let task = run(&place, &["stage[1].task={ type = \"rare\", most = 40 }"]);
    let longer = run(&place, &["stage[1].epochs=2"]);
    for (other, what) in [(&cohort, "cohorts"), (&split, "splits"), (&task, "tasks")] {
        let error = place.refused(&["compare", &base, other]);
        assert!(error.contains(&format!("these runs have different {what}")), "{error}");
    }
    let rows = place.json(&["compare", &base, &longer, "--format", "json"]);
    assert_eq!(rows.iter().map(|r| r["name"].as_str().unwrap()).collect::<Vec<_>>(), ["epochs = 3", "epochs = 2"]);
    assert!(rows[0]["metrics"]["R@10"]["sd"].is_null(), "one run has no spread");
    assert!(place.refused(&["compare", "nowhere"]).contains("nowhere"));
    // A page of somebody else, or of a version whose pages do not say whose they are.
    for text in ["[data]\n", "<!doctype html>\n<html lang=\"en\">\n<title>Mine</title>\n"] {
        fs::write(place.path("other"), text).unwrap();
        let error = place.refused(&["compare", &base, "--report", "other"]);
        assert!(error.contains("is no page of dualk; it was not replaced"), "{error}");
        assert!(error.contains("give another file, or remove this one"), "{error}");
        assert_eq!(fs::read_to_string(place.path("other")).unwrap(), text);
    }
    let list = "[\n  {\n    \"name\": \"Alice\",\n    \"age\": 3\n  }\n]\n";
    for text in ["[data]\n", "[1, 2]\n", "% paper\n", "a list:\n· one\n", list] {
        fs::write(place.path("other"), text).unwrap();
        assert!(place.refused(&["compare", &base, "--out", "other"]).contains("is no table of a comparison"), "{text}");
        assert_eq!(fs::read_to_string(place.path("other")).unwrap(), text);
    }
    for format in ["table", "json", "csv", "latex", "markdown", "table"] {
        place.ok(&["compare", &base, "--format", format, "--out", "table"]);
    }
    place.ok(&["compare", &base, "--report", &format!("{base}/report.html")]);
    assert!(place.refused(&["compare", "runs"]).contains("these runs have different"));
}

#[test]
fn names_that_manifests_give_are_kept_where_several_folders_are_compared() {
    let place = Place::new(
        "[[sweep.list]]\nname = \"plain\"\n[[sweep.list]]\nname = \"deep\"\n\"model.graph_encoder.dims\" = [16, 16, 16]\n\
         [[sweep.list]]\n\"stage[1].lr\" = 0.01\n",
    );
    place.ok(&["sweep", "small.toml", "--out", "out", "--jobs", "3", "--threads", "1"]);
    let alone = run(&place, &["name=alone"]);
    let names = |folders: &[&str]| -> Vec<String> {
        let rows = place.json(&[&["compare", "--format", "json"], folders].concat());
        rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&["out", &alone]), ["plain", "deep", "small", "alone"]);
    let mut of_runs = names(&["out/runs", &alone]);
    of_runs.sort();
    assert_eq!(of_runs, ["alone", "deep", "plain", "small"]);
}

/// A copy that `dualk scrub` puts beside its run was one of the runs.
#[test]
fn scrubbed_copies_beside_runs_are_passed_over() {
    let place = Place::new("");
    let base = run(&place, &[]);
    let copy = place.ok(&["scrub", &base]);
    let copy = copy.trim_end();
    assert!(copy.ends_with("-shareable"), "{copy}");
    let runs = |folder: &str| -> Vec<u64> {
        let rows = place.json(&["compare", folder, "--format", "json"]);
        rows.iter().map(|row| row["runs"].as_u64().unwrap()).collect()
    };
    assert_eq!(runs("runs"), [1]);
    assert_eq!(runs(copy), [1], "it is named");
    let watched = place.ok(&["watch", "runs", "--once"]);
    assert!(!watched.contains("-shareable"), "{watched}");
}
