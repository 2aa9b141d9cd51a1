//! What runs keep for each other, through the program.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story

mod program;

use dualk_sdk::component::ParserContext;
use dualk_sdk::progress::Silent;
use dualk_sdk::serde_json::{self, Value};
use program::{epochs, printed, run_folder, said, small, with_cache};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const STAGES: &str = r#"[[stage]]
type = "lab"
epochs = 2

[[stage]]
type = "finetune"
epochs = 2
"#;

/// A folder with a manifest, runs and a cache of its own.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("small.toml"), small(STAGES)).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        with_cache(self.folder.path(), arguments)
    }

    fn dualk(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the manifest; its run folder and what was said.
    fn run(&self, more: &[&str]) -> (PathBuf, String) {
        let output = self.dualk(&[&["run", "small.toml"], more].concat());
        finished(self.folder.path(), &output)
    }

    fn entries(&self) -> Vec<PathBuf> {
        let all = fs::read_dir(self.path("cache")).into_iter().flatten().map(|e| e.unwrap().path());
        all.filter(|path| path.is_dir()).collect()
    }
}

fn finished(folder: &Path, output: &Output) -> (PathBuf, String) {
    (folder.join(run_folder(&printed(output))), said(output))
}

/// Weights and metrics of a run.
fn results(run: &Path) -> [Vec<u8>; 2] {
    ["model.safetensors", "checkpoints/1-lab.safetensors"].map(|name| fs::read(run.join(name)).unwrap())
}

#[test]
fn a_second_run_takes_everything_from_the_cache_with_the_same_results() {
    let place = Place::new();
    let (plain, said) = place.run(&["--no-cache", "--set", "output.runs=plain"]);
    assert!(!said.contains("from the cache") && place.entries().is_empty(), "{said}");
    let (first, said) = place.run(&["--set", "output.runs=first"]);
    assert!(!said.contains("from the cache"), "{said}");
    assert_eq!(place.entries().len(), 3, "a cohort and two stages");
    let (second, said) = place.run(&["--set", "output.runs=second"]);
    for line in ["cohort: from the cache", "1-lab: from the cache", "2-finetune: from the cache"] {
        assert!(said.contains(line), "{said}");
    }
    for other in [&first, &second] {
        assert_eq!(results(&plain), results(other));
        assert_eq!(epochs(&plain), epochs(other));
    }
    let rows = |run: &Path| -> Value {
        serde_json::from_slice::<Value>(&fs::read(run.join("result.json")).unwrap()).unwrap()["stages"].take()
    };
    assert_eq!(rows(&plain), rows(&second));
}

#[test]
fn what_changed_is_computed_anew_and_nothing_else() {
    let place = Place::new();
    place.run(&[]);
    let taken = |setting: &str| -> Vec<&str> {
        let (_, said) = place.run(&["--set", setting]);
        let kept = ["cohort", "1-lab", "2-finetune"];
        kept.into_iter().filter(|what| said.contains(&format!("{what}: from the cache"))).collect()
    };
    assert_eq!(taken("model.graph_encoder.type=gcn"), ["cohort"], "an encoder never parses again");
    assert_eq!(
        taken("data.split={ type = \"random\", train = 0.5, valid = 0.3, test = 0.2 }"),
        ["cohort"],
        "nor does a split"
    );
    assert_eq!(taken("stage[1].lr=0.002"), ["cohort", "1-lab"], "nor does a later stage train an earlier one");
    assert_eq!(taken("stage[0].epochs=3"), ["cohort"]);
    assert!(taken("data.parser.patients=390").is_empty());
    assert_eq!(taken("seed=4"), ["cohort"], "made-up patients have a seed of their own");
    assert!(taken("data.parser.seed=4").is_empty());
    assert_eq!(taken("name=other"), ["cohort", "1-lab", "2-finetune"], "a name changes nothing");
}

#[test]
fn fusions_that_the_patient_encoder_does_not_ask_for_train_nothing_anew() {
    let place = Place::new();
    let run = |encoder: &str, fusion: &str| {
        let settings = [format!("model.patient_encoder={encoder}"), format!("model.code_fusion={fusion}")];
        let (_, said) = place.run(&["--set", &settings[0], "--set", &settings[1], "--set", "stage[1].epochs=1"]);
        said.contains("2-finetune: from the cache")
    };
    assert!(!run("behrt", "mean") && run("behrt", "sum"));
    assert!(!run("fusions", "mean") && !run("fusions", "sum"));
}

#[test]
fn changed_tables_are_read_again() {
    let place = Place::new();
    let options = dualk_plugin_parser_synthetic::SyntheticOptions { patients: 300, ..Default::default() };
    let parser = dualk_sdk::component::BuildParser::build(options).unwrap();
    let cohort = parser.parse(&ParserContext { progress: &Silent, compat: false, seed: 1, learns: None }).unwrap();
    dualk_plugin_parser_synthetic::write_raw(&cohort, &place.path("raw")).unwrap();
    let map = place.path("raw/icd10-icd9.csv");
    let text = format!("[data]\nparser = {{ type = \"mimic4\", root = \"raw\", icd_map = {map:?} }}\n");
    fs::write(place.path("raw.toml"), text).unwrap();
    let cached = || {
        let output = place.dualk(&["prepare", "raw.toml", "--out", "out"]);
        let said = said(&output);
        assert!(output.status.success(), "{said}");
        said.contains("cohort: from the cache")
    };
    assert!(!cached());
    let summary = fs::read(place.path("out/summary.json")).unwrap();
    assert!(cached());
    assert_eq!(fs::read(place.path("out/summary.json")).unwrap(), summary);
    // A byte of a table, then of the table of codes.
    for table in ["raw/labevents.csv", "raw/icd10-icd9.csv"] {
        let table = place.path(table);
        let text = fs::read_to_string(&table).unwrap();
        fs::write(&table, text.trim_end()).unwrap();
        assert!(!cached(), "{}", table.display());
        assert!(cached());
    }
}

#[test]
fn two_runs_at_once_do_not_disturb_each_other() {
    let place = Place::new();
    let start = |runs: &str| -> Child {
        let mut command = place.command(&["run", "small.toml", "--set", &format!("output.runs={runs}")]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start("a"), start("b")];
    let runs = both.map(|child| finished(place.folder.path(), &child.wait_with_output().unwrap()).0);
    assert_eq!(results(&runs[0]), results(&runs[1]));
    assert_eq!(place.entries().len(), 3);
    assert!(place.dualk(&["cache", "verify"]).status.success());
}

#[test]
fn a_killed_run_leaves_only_whole_entries() {
    let place = Place::new();
    let (plain, _) = place.run(&["--no-cache", "--set", "output.runs=plain"]);
    // Killed as soon as something is there, whole or not; then at other moments.
    for pause in [0, 3, 10, 30] {
        let mut child =
            place.command(&["run", "small.toml"]).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while place.entries().is_empty() && begun.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(place.dualk(&["cache", "verify"]).status.success());
        let (run, _) = place.run(&["--set", "output.runs=after"]);
        assert_eq!(results(&plain), results(&run));
        assert!(place.dualk(&["cache", "gc", "--all"]).status.success());
        place.entries().into_iter().for_each(|left| fs::remove_dir_all(left).unwrap());
    }
}

#[test]
fn damage_is_found_and_mended() {
    let place = Place::new();
    let (first, _) = place.run(&[]);
    let results_before = results(&first);
    for entry in place.entries() {
        let file = ["weights.safetensors", "cohort.safetensors"].map(|name| entry.join(name));
        let file = file.iter().find(|file| file.exists()).unwrap();
        let mut bytes = fs::read(file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(file, bytes).unwrap();
    }
    let output = place.dualk(&["cache", "verify"]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(printed.contains("differs from what was written") && printed.contains("0 sound, 3 damaged"), "{printed}");
    let (again, said) = place.run(&[]);
    assert!(!said.contains("from the cache"), "{said}");
    assert_eq!(results_before, results(&again));
    assert!(place.dualk(&["cache", "verify"]).status.success());
}

#[test]
fn a_cache_that_cannot_be_written_stops_no_run() {
    let place = Place::new();
    fs::write(place.path("cache"), "a file in its place").unwrap();
    let (_, said) = place.run(&[]);
    assert!(said.contains("warning: not cached"), "{said}");
}

#[test]
fn the_command_lists_and_removes() {
    let place = Place::new();
    let cache = |arguments: &[&str]| {
        let output = place.dualk(&[&["cache"], arguments].concat());
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    assert!(cache(&["ls"]).1.starts_with("0 entries"));
    place.run(&[]);
    let listed = cache(&["ls"]).1;
    assert!(listed.contains("synthetic: 400 patients") && listed.contains("small 2-finetune"), "{listed}");
    let (code, said) = cache(&["gc"]);
    assert!(code == Some(2) && said.contains("--unused 30d"), "{said}");
    assert!(cache(&["gc", "--unused", "1h"]).1.starts_with("removed 0 entries"));
    assert!(cache(&["gc", "--unused", "0s"]).1.starts_with("removed 3 entries"));
    assert!(cache(&["ls"]).1.starts_with("0 entries"));
}

#[test]
fn the_command_leaves_alone_what_is_not_the_caches_or_cannot_be_read() {
    let place = Place::new();
    let refused = |arguments: &[&str], says: &str| {
        let output = place.dualk(&[&["cache"], arguments].concat());
        let said = said(&output);
        assert!(output.status.code() == Some(2) && said.contains(says), "{said}");
    };
    let thesis = place.path("work").join(format!("photos-{}", "0".repeat(32))).join("thesis.tex");
    fs::create_dir_all(thesis.parent().unwrap()).unwrap();
    fs::write(&thesis, "mine").unwrap();
    refused(&["gc", "--all", "--folder", "work"], "not marked as a cache of dualk");
    refused(&["verify", "--repair", "--folder", "work"], "found: photos-");
    assert!(thesis.is_file());
    place.run(&[]);
    let cohort = place.entries().into_iter().find(|entry| entry.join("cohort.safetensors").exists()).unwrap();
    fs::remove_file(cohort.join("cohort.safetensors")).unwrap();
    fs::create_dir(cohort.join("cohort.safetensors")).unwrap();
    refused(&["verify", "--repair"], "cannot be read, which nothing removes");
    assert!(cohort.is_dir());
}
