//! Trainings that are killed or stopped, and go on to the same numbers.

use super::program::{command, dualk, printed, refuse, run_folder, said, succeed};
use super::support::{tensors, write};
use dualk_sdk::serde_json::{Value, from_str};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The file of that name in a folder of a run, where one has it.
fn left(folder: &Path, file: &str) -> Option<PathBuf> {
    let runs = fs::read_dir(folder.join("runs")).into_iter().flatten().flatten();
    runs.map(|entry| entry.path().join(file)).find(|path| path.exists())
}

/// The checkpoints of the only run whose names begin with `prefix`, in order.
pub fn checkpoints(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let runs = fs::read_dir(folder.join("runs")).into_iter().flatten().flatten();
    let all = runs.flat_map(|run| fs::read_dir(run.path().join("resume")).into_iter().flatten().flatten());
    let number = |name: String| name.strip_prefix(prefix)?.parse::<u64>().ok();
    let numbered = all.filter(|entry| number(entry.file_name().into_string().unwrap()).is_some());
    let mut found: Vec<PathBuf> = numbered.map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// Begins a command and kills it once its run has so many checkpoints.
fn kill_at(folder: &Path, arguments: &[&str], count: usize) {
    kill_once(folder, arguments, |found| found.len() >= count);
}

/// Begins a command and kills it once its run has a checkpoint after so many steps.
fn kill_after(folder: &Path, arguments: &[&str], steps: u64) {
    let number = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().parse::<u64>().unwrap();
    kill_once(folder, arguments, |found| found.last().is_some_and(|last| number(last) >= steps));
}

/// Begins a command and kills it once its run has such checkpoints.
fn kill_once(folder: &Path, arguments: &[&str], has: impl Fn(&[PathBuf]) -> bool) {
    let mut child = command(folder, arguments).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    while !has(&checkpoints(folder, "")) && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Begins a command and ends it by a signal once its run has a file.
pub fn interrupt(folder: &Path, arguments: &[&str], begun: &str, (name, number): (&str, i32)) {
    let mut child = command(folder, arguments).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    while left(folder, begun).is_none() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args([&format!("-{number}"), &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let log = said(&output);
    assert_eq!(output.status.code(), Some(128 + number), "{log}");
    let command = format!("{} --resume", arguments.join(" "));
    let stopped = format!("stopped by {name} after step");
    for says in [stopped.as_str(), "a checkpoint is saved: ", "/resume/", "go on: ", &command] {
        assert!(log.contains(says), "lacks {says:?}: {log}");
    }
}

#[test]
fn an_interrupted_training_goes_on_to_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let whole = run_folder(&succeed(folder, &["kge", "train", "tree.toml"]));
    let (expected, lines) = (tensors(&folder.join(&whole)), history(&folder.join(&whole)));
    // A hundred, and two looks at the validation triples between.
    assert_eq!(lines.len(), 102);
    fs::remove_dir_all(folder.join(&whole)).unwrap();
    let settings = ["--set", "output.checkpoint_minutes=1e-9"];
    let name = run_folder(&succeed(folder, &[&["kge", "train", "tree.toml"], &settings[..]].concat()));
    fs::remove_dir_all(folder.join(&name)).unwrap();
    assert!(checkpoints(folder, "").is_empty(), "a finished run needs no checkpoint");
    // Checkpoints after every step, whatever they cost, and a process that is killed once there is one after these.
    let every = ["kge", "train", "tree.toml", "--set", "output.checkpoint_minutes=0"];
    for steps in [1, 300, 600] {
        kill_after(folder, &every, steps);
        assert!(!checkpoints(folder, "").is_empty(), "{steps}");
        let output = dualk(folder, &["kge", "train", "tree.toml", "--resume"]);
        let log = said(&output);
        assert!(output.status.success() && log.contains("going on after step"), "{log}");
        let run = folder.join(run_folder(&printed(&output)));
        assert!(tensors(&run) == expected, "other numbers after {steps} steps");
        assert_eq!(history(&run), lines, "after {steps} steps");
        assert!(checkpoints(folder, "").is_empty());
        fs::remove_dir_all(run).unwrap();
    }
}

/// The lines of a run's `metrics.jsonl` without their times.
fn history(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let mut line: Value = from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("seconds").unwrap();
        line
    };
    text.lines().map(line).collect()
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_serves() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let whole = run_folder(&succeed(folder, &["kge", "train", "tree.toml"]));
    let expected = tensors(&folder.join(&whole));
    // A checkpoint after every step; the last of them damaged, and all.
    let every = ["kge", "train", "tree.toml", "--set", "output.checkpoint_minutes=0"];
    for (damaged, says) in [(1, "going on after step"), (2, "starting from the beginning")] {
        fs::remove_dir_all(folder.join("runs")).unwrap();
        kill_at(folder, &every, 2);
        let found = checkpoints(folder, "");
        let flip = |checkpoint: &PathBuf| {
            let file = checkpoint.join("state.safetensors");
            let mut bytes = fs::read(&file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(file, bytes).unwrap();
        };
        let [older @ .., before, last] = &found[..] else { panic!("{found:?}") };
        older.iter().for_each(|about_to_go| fs::remove_dir_all(about_to_go).unwrap());
        [last, before][..damaged].iter().copied().for_each(flip);
        let output = dualk(folder, &["kge", "train", "tree.toml", "--resume"]);
        let log = said(&output);
        assert!(output.status.success() && log.contains(says), "{log}");
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let named = format!("resume/{}: state.safetensors differs from what was written", name(last));
        assert!(log.contains(&named), "{log}");
        if damaged == 1 {
            let step: u64 = name(before).parse().unwrap();
            assert!(log.contains(&format!("going on after step {step}\n")), "{log}");
        }
        let run = run_folder(&printed(&output));
        assert!(tensors(&folder.join(&run)) == expected, "other numbers");
    }
}

#[cfg(unix)]
#[test]
fn a_signal_saves_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let long = ["kge", "train", "tree.toml", "--set", "train.steps=1000000"];
    interrupt(folder, &long, "metrics.jsonl", ("SIGTERM", 15));
    assert!(!checkpoints(folder, "").is_empty());
    let run = left(folder, "metrics.jsonl").unwrap();
    let says = ["not finished: it stopped: stopped by SIGTERM", "`dualk kge train MANIFEST --resume`"];
    refuse(folder, &["kge", "eval", run.parent().unwrap().to_str().unwrap()], &says);
}

/// A graph that is learnt in a moment, and whose test triples are ranked for longer.
#[cfg(unix)]
fn write_wide(folder: &Path) {
    let triples = folder.join("wide");
    fs::create_dir(&triples).unwrap();
    let text = |count: u32, by: u32| (0..count).map(|i| format!("e{i}\tr\te{}\n", i + by)).collect::<String>();
    for (part, text) in [("train", text(30_000, 1)), ("valid", String::new()), ("test", text(4_000, 2))] {
        fs::write(triples.join(format!("{part}.txt")), text).unwrap();
    }
    let manifest = "name = \"wide\"\n[data]\ntriples = \"wide\"\n[model]\ntype = \"transe\"\ndim = 32\n[train]\nsteps = 3\nbatch = 8\nnegatives = 4\n[evaluate]\nbootstrap = 0\n";
    fs::write(folder.join("wide.toml"), manifest).unwrap();
}

/// All steps were done, and it was said that nothing half-written is left; then training began again after its first step.
#[cfg(unix)]
#[test]
fn a_signal_while_triples_are_ranked_loses_no_training() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_wide(folder);
    // The vectors are written once the last step is done.
    interrupt(folder, &["kge", "train", "wide.toml"], "model.safetensors", ("SIGINT", 2));
    let run = left(folder, "status.json").unwrap();
    let status: Value = from_str(&fs::read_to_string(&run).unwrap()).unwrap();
    assert_eq!(status["state"], "stopped", "{status}");
    let vectors = |run: &Path| fs::read(run.join("model.safetensors")).unwrap();
    let trained = vectors(run.parent().unwrap());
    let output = dualk(folder, &["kge", "train", "wide.toml", "--resume"]);
    let log = said(&output);
    assert!(log.contains("going on after step 3\n") && !log.contains("3 steps in "), "{log}");
    let run = folder.join(run_folder(&printed(&output)));
    assert!(vectors(&run) == trained, "other numbers");
    assert!(checkpoints(folder, "").is_empty() && history(&run).last().unwrap()["step"] == 3);
}

/// Without `--resume` a training begins anew, says what it could have gone on with, and takes the place of it.
#[test]
fn an_interrupted_training_is_found_where_nobody_asks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    kill_after(folder, &["kge", "train", "tree.toml", "--set", "output.checkpoint_minutes=0"], 1);
    let run = left(folder, "status.json").unwrap();
    let name = run.parent().unwrap().file_name().unwrap().to_string_lossy();
    let output = dualk(folder, &["kge", "train", "tree.toml"]);
    let log = said(&output);
    let is_told = |line: &str| line.starts_with("starting anew; --resume would go on with ") && line.ends_with(&*name);
    assert!(output.status.success() && log.lines().any(is_told), "{name}: {log}");
    assert!(checkpoints(folder, "").is_empty());
}

#[test]
#[cfg(target_os = "linux")]
fn a_scheduler_stops_an_embedding_by_a_signal_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let train = ["kge", "train", "tree.toml", "--set", "train.steps=2000000", "--stop-signal", "USR1"];
    // Signals are looked at before this file is there.
    interrupt(folder, &train, "metrics.jsonl", ("SIGUSR1", 10));
    assert!(checkpoints(folder, "").last().unwrap().join("state.safetensors").is_file());
}
