//! The program with an operation that fails, and what is looked at afterwards.

use super::program::{refused, said, with_cache};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

/// A small experiment.
pub const MANIFEST: &str = r#"name = "small"
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

/// `DUALK_FAULT_TURN`, or 0: with each turn an operation fails with the next of the errors, and where some are tried these
/// are others.
pub fn turn() -> usize {
    std::env::var("DUALK_FAULT_TURN").map_or(0, |turn| turn.parse().unwrap())
}

/// The error of the operation of this number, and what is said of it.
pub fn error_of(number: usize) -> (&'static str, &'static str) {
    ERRORS[(number + turn()) % ERRORS.len()]
}

/// Runs the program in a folder, which holds its cache too, with an operation that fails where `fault` says so.
pub fn dualk(folder: &Path, arguments: &[&str], fault: Option<&str>) -> Output {
    let mut command = with_cache(folder, arguments);
    if let Some(fault) = fault {
        command.env("DUALK_FAULT", fault);
    }
    let tools = folder.join("tools");
    if tools.is_dir() {
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env("PATH", std::env::join_paths([tools].into_iter().chain(std::env::split_paths(&path))).unwrap());
    }
    command.output().unwrap()
}

/// Every file below a folder with its bytes, but for what differs from run to run.
pub fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
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

/// Weights of the finished ones among the runs of a folder, in order.
pub fn weights(runs: &Path) -> Vec<Vec<u8>> {
    let runs = fs::read_dir(runs).into_iter().flatten().map(|e| e.unwrap().path());
    let finished = runs.filter(|run| !run.to_string_lossy().contains("unfinished"));
    let mut weights: Vec<_> = finished.map(|run| fs::read(run.join("model.safetensors")).unwrap()).collect();
    weights.sort();
    weights
}

/// Lets every `step`-th operation of `arguments` fail, all of them where `DUALK_FAULT_ALL` is set. `before` makes the
/// place, `check` looks at it after a failure.
pub fn fail_each(step: usize, arguments: &[&str], before: impl Fn(&Path), check: impl Fn(&Path, &str)) -> usize {
    let step = if std::env::var_os("DUALK_FAULT_ALL").is_some() { 1 } else { step };
    let numbers = (1 + turn() % step..).step_by(step);
    numbers.take_while(|number| fails(&number.to_string(), *number, arguments, &before, &check)).count()
}

/// Lets the operation `place` of `arguments` fail with one of the errors; `false` when there is no such operation.
pub fn fails(
    place: &str,
    number: usize,
    arguments: &[&str],
    before: &impl Fn(&Path),
    check: &impl Fn(&Path, &str),
) -> bool {
    let (error, text) = error_of(number);
    let folder = tempfile::tempdir().unwrap();
    before(folder.path());
    let output = dualk(folder.path(), arguments, Some(&format!("{place}:{error}")));
    let said = said(&output);
    if !said.contains("fault injected") {
        assert!(output.status.success(), "{said}");
        return false;
    }
    let when = format!("{arguments:?}, operation {place}, {error}:\n{said}");
    match output.status.code() {
        // What is beside the result, such as the cache and checkpoints, is not worth a run.
        Some(0) => assert!(said.contains("warning: no"), "{when}"),
        code => {
            assert_eq!(code, Some(2), "{when}");
            assert!(said.contains(text) && said.contains("-->"), "names neither cause nor path: {when}");
        }
    }
    check(folder.path(), &when);
    true
}

/// Writes [`MANIFEST`] to a folder, as `small.toml`.
pub fn manifest(folder: &Path) {
    fs::write(folder.join("small.toml"), MANIFEST).unwrap();
}

/// Names in a folder that no user gave and no command should leave.
pub fn leftovers(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with('.')).collect()
}

/// A command that writes to `out` of `folder`, where something is, refuses and changes nothing of it.
pub fn keeps_what_is_there(command: &[&str], folder: &Path, out: &str) {
    for (name, _) in contents(&folder.join(out)) {
        fs::write(folder.join(out).join(name), "theirs").unwrap();
    }
    let before = contents(folder);
    refused(&dualk(folder, command, None), &["not empty"]);
    assert!(contents(folder) == before, "{command:?}");
}
