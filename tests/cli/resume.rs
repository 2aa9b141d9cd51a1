//! Runs that are interrupted at any moment go on to the same digits.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story
#![cfg(unix)]

mod program;

use dualk_sdk::serde_json::{self, Value};
use program::{epochs, result, said, small};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// All kinds of stages, each with dropout; an optimizer that is carried on, steps of two batches, an early end; the best
/// epoch chosen on valid.
const STAGES: &str = r#"[output]
runs = "runs"
checkpoint_minutes = 0

[[stage]]
type = "lab"
epochs = 3

[[stage]]
type = "pretrain"
mode = "joint"
epochs = 2
batch = 64

[[stage]]
type = "pretrain"
mode = "individual"
epochs = 2
batch = 64
carry_optimizer = true

[[stage]]
type = "finetune"
epochs = 4
patience = 2
accumulate = 2
clip_norm = 1.0
optimizer = "adamw"
"#;

fn manifest() -> String {
    small(STAGES).replace("dropout = 0.1", "dropout = 0.3")
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(manifest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("small.toml"), manifest).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        program::command(self.folder.path(), arguments)
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Unfinished and finished runs.
    fn runs(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> =
            fs::read_dir(self.path("runs")).into_iter().flatten().map(|e| e.unwrap().path()).collect();
        found.sort();
        found
    }

    /// Name of the last whole checkpoint.
    fn last_checkpoint(&self) -> Option<String> {
        let checkpoints =
            self.runs().into_iter().flat_map(|run| fs::read_dir(run.join("resume")).into_iter().flatten());
        let names = checkpoints.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| !name.starts_with('.')).max()
    }

    /// Waits for the first checkpoint of the only run.
    fn wait_for_checkpoint(&self) -> PathBuf {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < Duration::from_secs(240), "no checkpoint");
            for run in self.runs() {
                let whole = |e: &fs::DirEntry| !e.file_name().to_string_lossy().starts_with('.');
                if fs::read_dir(run.join("resume")).is_ok_and(|all| all.flatten().any(|e| whole(&e))) {
                    return run;
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What a run leaves that is killed once it has a checkpoint.
    fn kill_at_checkpoint(&self) -> PathBuf {
        let mut child = self.start(&["run", "small.toml"]);
        let left = self.wait_for_checkpoint();
        child.kill().unwrap();
        child.wait().unwrap();
        left
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// All that must not depend on interruptions: weights, epochs and results, without times.
#[derive(PartialEq)]
struct Results {
    weights: Vec<(String, Vec<u8>)>,
    epochs: Vec<String>,
    tested: String,
    kept: Vec<String>,
}

fn results(run: &Path) -> Results {
    let mut weights = vec![("model".to_owned(), fs::read(run.join("model.safetensors")).unwrap())];
    for entry in fs::read_dir(run.join("checkpoints")).unwrap() {
        let path = entry.unwrap().path();
        weights.push((path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()));
    }
    weights.sort();
    let result = result(run);
    let kept = result["trained"].as_array().unwrap().iter().map(|t| format!("{} {}", t["stage"], t["epoch"]));
    Results { weights, epochs: epochs(run), tested: result["stages"].to_string(), kept: kept.collect() }
}

fn check_same(ours: &Results, plain: &Results, when: &str) {
    for (a, b) in ours.weights.iter().zip(&plain.weights) {
        assert!(a == b, "{when}: {} differs", a.0);
    }
    assert_eq!(ours.epochs, plain.epochs, "{when}");
    assert_eq!((&ours.tested, &ours.kept), (&plain.tested, &plain.kept), "{when}");
    assert_eq!(ours.weights.len(), plain.weights.len());
}

/// The run folder of the manifest, never interrupted.
fn plain(manifest: &str) -> Results {
    let place = Place::new(manifest);
    let output = place.run(&["run", "small.toml"]);
    assert!(output.status.success(), "{}", said(&output));
    let [run] = &place.runs()[..] else { panic!("{:?}", place.runs()) };
    results(run)
}

/// Numbers that look random, the same in every run of the test.
fn moments(count: u64) -> impl Iterator<Item = u64> {
    (0..count).scan(0x9e37_79b9_7f4a_7c15u64, |state, _| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some(*state >> 33)
    })
}

/// `kill -9` at 30 moments, in the middle of steps, evaluations and of writing checkpoints; most runs are killed many
/// times before they end.
#[test]
fn killed_at_any_moment_a_run_goes_on_to_the_same_digits() {
    let plain = plain(&manifest());
    let (mut kills, mut pauses) = (0, moments(1000));
    while kills < 30 {
        let (place, first) = (Place::new(&manifest()), kills);
        loop {
            let before = place.last_checkpoint();
            let mut child = place.start(&["run", "small.toml", "--resume"]);
            // Somewhere behind the next checkpoint: within a step, or within writing another one.
            while kills < 30 && child.try_wait().unwrap().is_none() && place.last_checkpoint() == before {
                std::thread::sleep(Duration::from_micros(500));
            }
            std::thread::sleep(Duration::from_micros(pauses.next().unwrap() % 150_000));
            if kills < 30 && child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
                continue;
            }
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", said(&output));
            break;
        }
        let runs = place.runs();
        let [run] = &runs[..] else { panic!("after {kills} kills there are {runs:?}") };
        println!("a run that was killed {} times", kills - first);
        check_same(&results(run), &plain, &format!("after {kills} kills"));
        assert!(!run.join("resume").exists() && !run.join("status.json").exists());
    }
}

#[test]
fn signals_save_and_say_how_to_go_on() {
    let plain = plain(&manifest());
    for (name, code, more) in [("-INT", 130, None), ("-TERM", 143, None), ("-USR1", 138, Some("USR1"))] {
        let place = Place::new(&manifest());
        let mut arguments = vec!["run", "small.toml"];
        arguments.extend(more.iter().flat_map(|signal| ["--stop-signal", signal]));
        let child = place.start(&arguments);
        let run = place.wait_for_checkpoint();
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let error = said(&output);
        assert_eq!(output.status.code(), Some(code), "{name}: {error}");
        let command = format!("{} --resume", arguments.join(" "));
        let saved = format!("{}/resume/", run.file_name().unwrap().to_string_lossy());
        for says in ["saving a checkpoint after this step", "a checkpoint is saved: ", &saved, "go on: ", &command] {
            assert!(error.contains(says), "lacks {says:?}: {error}");
        }
        let status: Value = serde_json::from_slice(&fs::read(run.join("status.json")).unwrap()).unwrap();
        assert_eq!(status["state"], "stopped");
        let refused = place.run(&["eval", run.to_str().unwrap()]);
        assert!(refused.status.code() == Some(2) && said(&refused).contains("not finished"), "{}", said(&refused));
        // Without --resume the reader is told; with it, the run goes on.
        let output = place.run(&["run", "small.toml", "--resume"]);
        assert!(said(&output).contains("going on with") && output.status.success(), "{}", said(&output));
        let [run] = &place.runs()[..] else { panic!("{:?}", place.runs()) };
        check_same(&results(run), &plain, name);
    }
}

/// Without `--resume` a run begins anew, says what it could have gone on with, and takes the place of it.
#[test]
fn an_interrupted_run_is_found_where_nobody_asks_for_it() {
    let plain = plain(&manifest());
    let place = Place::new(&manifest());
    let left = place.kill_at_checkpoint();
    let output = place.run(&["run", "small.toml"]);
    let error = said(&output);
    let line = format!("starting anew; --resume would go on with runs/{}", left.file_name().unwrap().to_string_lossy());
    assert!(output.status.success() && error.contains(&line), "{line}: {error}");
    let [run] = &place.runs()[..] else { panic!("{:?}", place.runs()) };
    check_same(&results(run), &plain, "begun anew");
}

#[test]
fn a_second_signal_stops_at_once_and_nothing_to_go_on_with_is_no_mistake() {
    let place = Place::new(&manifest().replace("epochs = 4\npatience = 2", "epochs = 4000"));
    let child = place.start(&["run", "small.toml", "--resume"]);
    place.wait_for_checkpoint();
    let begun = Instant::now();
    // Two at once may be one to the system.
    while begun.elapsed() < Duration::from_secs(20) {
        signal(&child, "-INT");
        std::thread::sleep(Duration::from_millis(2));
        if Command::new("kill").args(["-0", &child.id().to_string()]).status().is_ok_and(|s| !s.success()) {
            break;
        }
        if fs::read_to_string(format!("/proc/{}/stat", child.id())).is_ok_and(|stat| stat.contains(") Z")) {
            break;
        }
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(said(&output).contains("starting anew"), "{}", said(&output));
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_serves() {
    let plain = plain(&manifest());
    for damage in ["weights.safetensors", "state.cbor", "SHA256SUMS", "missing", "empty"] {
        let place = Place::new(&manifest());
        let mut child = place.start(&["run", "small.toml"]);
        let run = place.wait_for_checkpoint();
        // A second one, where it comes: the run goes on for many more.
        let first = place.last_checkpoint();
        while place.last_checkpoint() == first && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let mut checkpoints: Vec<PathBuf> = fs::read_dir(run.join("resume"))
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| !p.file_name().unwrap().to_string_lossy().starts_with('.'))
            .collect();
        checkpoints.sort();
        assert!((1..=3).contains(&checkpoints.len()), "{checkpoints:?}");
        let last = checkpoints.last().unwrap();
        let named = format!("resume/{}: ", last.file_name().unwrap().to_string_lossy());
        match damage {
            "missing" => fs::remove_file(last.join("optimizer.safetensors")).unwrap(),
            "empty" => fs::write(last.join("optimizer.safetensors"), "").unwrap(),
            file => {
                let mut bytes = fs::read(last.join(file)).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(last.join(file), bytes).unwrap();
            }
        }
        let output = place.run(&["run", "small.toml", "--resume"]);
        let error = said(&output);
        assert!(output.status.success(), "{damage}: {error}");
        assert!(error.contains("damaged checkpoint") && error.contains(&named), "{damage}: {error}");
        let found: Vec<PathBuf> = place.runs().into_iter().filter(|run| run.join("result.json").exists()).collect();
        check_same(&results(&found[0]), &plain, damage);
    }
}

/// A run that was trained with one seed had the manifest of another, to which its folder was edited meanwhile.
#[test]
fn a_run_that_goes_on_says_what_it_goes_on_with_whatever_became_of_its_folder() {
    let plain = plain(&manifest());
    let place = Place::new(&manifest());
    let left = place.kill_at_checkpoint();
    let files = ["manifest.toml", "identity.json"];
    let then = files.map(|name| fs::read_to_string(left.join(name)).unwrap());
    fs::write(left.join("manifest.toml"), then[0].replace("seed = ", "seed = 1")).unwrap();
    fs::write(left.join("identity.json"), "{").unwrap();
    fs::remove_dir_all(left.join("checkpoints")).unwrap();
    let output = place.run(&["run", "small.toml", "--resume"]);
    assert!(said(&output).contains("going on with") && output.status.success(), "{}", said(&output));
    let [run] = &place.runs()[..] else { panic!("{:?}", place.runs()) };
    assert_eq!(files.map(|name| fs::read_to_string(run.join(name)).unwrap()), then);
    let ours = results(run);
    assert_eq!((&ours.epochs, &ours.tested), (&plain.epochs, &plain.tested));
    assert!(ours.weights.last() == plain.weights.last(), "the weights differ");
}

/// What nobody else may read: every folder and file of a run is its owner's, unless the manifest says otherwise.
#[test]
fn run_folders_are_private_unless_widened() {
    fn modes(path: &Path, found: &mut Vec<(PathBuf, u32, bool)>) {
        let meta = fs::metadata(path).unwrap();
        found.push((path.to_owned(), meta.permissions().mode() & 0o777, meta.is_dir()));
        if meta.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| modes(&entry.unwrap().path(), found));
        }
    }
    for (access, folder_mode, file_mode) in [("private", 0o700, 0o600), ("group", 0o750, 0o640), ("all", 0o755, 0o644)]
    {
        let manifest = manifest().replace("runs = \"runs\"", &format!("runs = \"runs\"\naccess = \"{access}\""));
        let place = Place::new(&manifest);
        let output = place.command(&["run", "small.toml"]).env("DUALK_CACHE", place.path("cache")).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let mut found = Vec::new();
        // The folder of runs, which this one made, as well.
        modes(&place.path("runs"), &mut found);
        assert!(found.len() > 11);
        for (path, mode, is_folder) in &found {
            assert_eq!(*mode, if *is_folder { folder_mode } else { file_mode }, "{access}: {}", path.display());
        }
        found.clear();
        modes(&place.path("cache"), &mut found);
        for (path, mode, is_folder) in found {
            assert_eq!(mode, if is_folder { 0o700 } else { 0o600 }, "{}", path.display());
        }
        if access == "private" {
            let runs = place.runs();
            let run = runs[0].to_str().unwrap();
            let made = [
                &["eval", run, "--predictions", "made/logits.parquet"][..],
                &["export", run, "--out", "made/export", "--patients"],
                &["scrub", run, "--out", "made/scrubbed", "--with-weights"],
                &["prepare", "small.toml", "--out", "made/data"],
            ];
            fs::create_dir(place.path("made")).unwrap();
            made.iter().for_each(|command| assert!(place.run(command).status.success(), "{command:?}"));
            let mut found = Vec::new();
            modes(&place.path("made"), &mut found);
            assert!(found.len() > 15, "{found:?}");
            for (path, mode, is_folder) in found.iter().filter(|(path, ..)| *path != place.path("made")) {
                assert_eq!(*mode, if *is_folder { 0o700 } else { 0o600 }, "{}", path.display());
            }
        }
    }
}

/// A loss that stops being a number ends the stage with its place; what was good before is kept.
#[test]
fn a_loss_that_is_not_finite_names_its_place_and_keeps_the_last_checkpoint() {
    // A rate that makes the loss infinite, and one that no 32-bit number holds: a parameter is damaged first.
    for (lr, parts) in [
        ("1e30", ["stage 4-finetune, epoch 3, step", "not finite"]),
        ("1e300", ["stage 4-finetune, epoch 3, before step", "the parameter `"]),
    ] {
        let schedule = format!("schedule = {{ type = \"piecewise\", from = [2], lr = [{lr}] }}");
        let manifest = manifest().replace("epochs = 4\n", &format!("epochs = 4\nlr = 0.001\n{schedule}\n"));
        let place = Place::new(&manifest);
        let output = place.run(&["run", "small.toml"]);
        let error = said(&output);
        assert_eq!(output.status.code(), Some(2), "{error}");
        for part in parts.into_iter().chain(["--resume", "kept with its checkpoints"]) {
            assert!(error.contains(part), "lacks {part:?}: {error}");
        }
        let [run] = &place.runs()[..] else { panic!("{:?}", place.runs()) };
        let status: Value = serde_json::from_slice(&fs::read(run.join("status.json")).unwrap()).unwrap();
        assert_eq!(status["state"], "failed");
        assert!(status["reason"].as_str().unwrap().contains("epoch 3"), "{status}");
        assert!(run.join("metrics.jsonl").is_file() && run.join("log.txt").is_file());
    }
}

/// The last step of a stage, after which no loss is looked at, may damage weights, too.
#[test]
fn weights_that_the_last_step_damages_are_no_result() {
    let last = "epochs = 2\nlr = 0.001\nbatch = 1000\nselect = \"last\"\n\
                schedule = { type = \"piecewise\", from = [1], lr = [1e300] }\n";
    let manifest = manifest()
        .replace("checkpoint_minutes = 0", "checkpoint_minutes = inf")
        .replace("epochs = 4\npatience = 2\naccumulate = 2\n", last);
    assert!(manifest.contains("1e300") && manifest.contains("= inf"));
    let place = Place::new(&manifest);
    let output = place.run(&["run", "small.toml"]);
    let error = said(&output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    for part in ["stage 4-finetune, ", "the parameter `", "kept with its checkpoints"] {
        assert!(error.contains(part), "lacks {part:?}: {error}");
    }
    // The latter where a checkpoint is due at that moment.
    assert!(error.contains("after epoch 2: ") || error.contains("epoch 3, before step 1: "), "{error}");
    let [run] = &place.runs()[..] else { panic!("{:?}", place.runs()) };
    assert!(!run.join("result.json").exists());
}

#[test]
fn prepare_leaves_nothing_when_it_is_stopped() {
    let text = "[data]\nparser = { type = \"synthetic\", patients = 200000 }\n";
    let place = Place::new(text);
    for pause in [100, 300, 900] {
        let child = place.start(&["prepare", "small.toml", "--out", "out"]);
        std::thread::sleep(Duration::from_millis(pause));
        signal(&child, "-INT");
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            continue; // faster than the signal
        }
        // Before the program looks at signals, on a busy machine, the system ends it.
        assert!(matches!(output.status.code(), Some(130) | None), "{}", said(&output));
        let mut left: Vec<_> = fs::read_dir(place.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        // The signal may come when everything is written.
        match left.len() {
            2 => assert_eq!(fs::read_dir(place.path("out")).unwrap().count(), 6, "{left:?} after {pause} ms"),
            _ => assert_eq!(left, ["small.toml"], "after {pause} ms"),
        }
    }
}
