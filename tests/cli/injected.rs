//! Every single write, sync and change of a name fails once, in every command that writes: afterwards the old result is
//! whole or the new one is, and the error names a path and the cause.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const MANIFEST: &str = r#"name = "small"
seed = 3

[backend]
device = "cpu"

[data]
parser = { type = "synthetic", patients = 150, codes = 60, labs = 12, clusters = 5 }
split = { type = "random", train = 0.6, valid = 0.2, test = 0.2 }

[model]
node_init = { type = "random", dim = 8 }
graph_encoder = { type = "gat", dims = [8] }
lab = { type = "linear", dim = 8 }
head = { decoder = [8, 8], classifier = [8], dropout = 0.1 }

[output]
runs = "runs"

[[stage]]
type = "lab"
epochs = 1

[[stage]]
type = "finetune"
epochs = 1
"#;

/// What the system says for each error, or what is said in its place.
const ERRORS: [(&str, &str); 4] = [
    ("ENOSPC", "No space left on device"),
    ("EIO", "Input/output error"),
    ("EMFILE", "Too many open files"),
    ("EACCES", "permission denied"),
];

fn dualk(folder: &Path, arguments: &[&str], fault: Option<(usize, &str)>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dualk"));
    command.current_dir(folder).env("DUALK_CACHE", folder.join("cache")).args(arguments);
    if let Some((number, error)) = fault {
        command.env("DUALK_FAULT", format!("{number}:{error}"));
    }
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every file below a folder with its bytes, but for what differs from run to run.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut open) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => drop(found.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap())),
            }
        }
    }
    found
}

/// Lets every `step`-th operation of `arguments` fail, all of them where `DUALK_FAULT_ALL` is set. `before` makes the
/// place, `check` looks at it after a failure.
fn fail_each(step: usize, arguments: &[&str], before: impl Fn(&Path), check: impl Fn(&Path, &str)) -> usize {
    let step = if std::env::var_os("DUALK_FAULT_ALL").is_some() { 1 } else { step };
    let mut failures = 0;
    for number in (1..).step_by(step) {
        let (error, text) = ERRORS[number % ERRORS.len()];
        let folder = tempfile::tempdir().unwrap();
        before(folder.path());
        let output = dualk(folder.path(), arguments, Some((number, error)));
        let said = said(&output);
        if !said.contains("fault injected") {
            assert!(output.status.success(), "{said}");
            return failures;
        }
        failures += 1;
        let when = format!("{arguments:?}, operation {number}, {error}:\n{said}");
        match output.status.code() {
            // What is beside the result, such as the cache and checkpoints, is not worth a run.
            Some(0) => assert!(said.contains("warning: no"), "{when}"),
            code => {
                assert_eq!(code, Some(2), "{when}");
                assert!(said.contains(text) && said.contains("-->"), "names neither cause nor path: {when}");
            }
        }
        check(folder.path(), &when);
    }
    failures
}

fn manifest(folder: &Path) {
    fs::write(folder.join("small.toml"), MANIFEST).unwrap();
}

/// Names in a folder that no user gave and no command should leave.
fn leftovers(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with('.')).collect()
}

#[test]
fn prepare() {
    let old = tempfile::tempdir().unwrap();
    manifest(old.path());
    let output = dualk(old.path(), &["prepare", "small.toml", "--out", "out"], None);
    assert!(output.status.success(), "{}", said(&output));
    let old = contents(&old.path().join("out"));
    let new = tempfile::tempdir().unwrap();
    manifest(new.path());
    assert!(
        dualk(new.path(), &["prepare", "small.toml", "--out", "out", "--set", "data.parser.seed=4"], None)
            .status
            .success()
    );
    let new = contents(&new.path().join("out"));
    assert_ne!(old, new);
    let before = |folder: &Path| {
        manifest(folder);
        fs::create_dir(folder.join("out")).unwrap();
        old.iter().for_each(|(name, bytes)| fs::write(folder.join("out").join(name), bytes).unwrap());
    };
    let failures = fail_each(
        1,
        &["prepare", "small.toml", "--out", "out", "--no-cache", "--set", "data.parser.seed=4"],
        before,
        |folder, when| {
            let found = contents(&folder.join("out"));
            assert!(found == old || found == new, "neither the old result nor the new one: {when}");
            assert_eq!(leftovers(folder), [""; 0], "{when}");
        },
    );
    assert!(failures > 15, "{failures}");
}

#[test]
fn run_and_its_cache() {
    let place = tempfile::tempdir().unwrap();
    manifest(place.path());
    assert!(dualk(place.path(), &["run", "small.toml"], None).status.success());
    let whole = |folder: &Path| -> Vec<Vec<u8>> {
        let runs = fs::read_dir(folder.join("runs")).into_iter().flatten().map(|e| e.unwrap().path());
        let finished = runs.filter(|run| !run.to_string_lossy().contains("unfinished"));
        finished.map(|run| fs::read(run.join("model.safetensors")).unwrap()).collect()
    };
    let weights = whole(place.path());
    assert_eq!(weights.len(), 1);
    let failures = fail_each(5, &["run", "small.toml"], manifest, |folder, when| {
        let found = whole(folder);
        assert!(found.is_empty() || found == weights, "{when}");
        let verified = dualk(folder, &["cache", "verify"], None);
        assert!(verified.status.success(), "{when}{}", said(&verified));
        // The next try ends well, from whatever is there.
        let again = dualk(folder, &["run", "small.toml", "--resume"], None);
        assert!(again.status.success(), "{when}{}", said(&again));
        assert_eq!(whole(folder), weights, "{when}");
        assert_eq!(fs::read_dir(folder.join("runs")).unwrap().count(), 1, "{when}");
    });
    assert!(failures > 12, "{failures}");
}

#[test]
fn evaluations_write_whole_predictions_or_none() {
    let place = tempfile::tempdir().unwrap();
    manifest(place.path());
    assert!(dualk(place.path(), &["run", "small.toml"], None).status.success());
    let run = fs::read_dir(place.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    let run = run.to_str().unwrap();
    let failures = fail_each(
        1,
        &["eval", run, "--predictions", "logits.parquet", "--no-cache"],
        |_| {},
        |folder, when| {
            assert!(
                contents(folder).is_empty() || contents(folder).keys().all(|f| f.ends_with("logits.parquet")),
                "{when}"
            );
        },
    );
    assert!(failures >= 4, "{failures}");
}

#[test]
fn new_plugins_are_whole_or_not_there() {
    let failures = fail_each(
        1,
        &["plugin", "new", "mine", "--slot", "loss"],
        |_| {},
        |folder, when| {
            let there = folder.join("mine/src/lib.rs").exists();
            let whole =
                ["Cargo.toml", "README.md", ".cargo/config.toml"].iter().all(|f| folder.join("mine").join(f).exists());
            assert!(!folder.join("mine").exists() || there && whole, "{when}");
            assert_eq!(leftovers(folder), [""; 0], "{when}");
        },
    );
    assert!(failures > 10, "{failures}");
}

/// A disk that is really full: a small file system in memory, where the test may make one.
#[test]
fn a_full_disk_is_the_users_to_mend() {
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path());
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=48k", "tmpfs"]).arg(&disk).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("no right to mount a file system here: not tried");
        return;
    }
    let outputs = [
        dualk(folder.path(), &["prepare", "small.toml", "--out", "disk/out", "--no-cache"], None),
        dualk(folder.path(), &["run", "small.toml", "--no-cache", "--set", "output.runs=disk/runs"], None),
    ];
    let left: Vec<_> = contents(&disk).into_keys().collect();
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    for output in outputs {
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("No space left on device") && said.contains("disk/"), "{said}");
    }
    assert!(left.is_empty(), "{left:?}");
}
