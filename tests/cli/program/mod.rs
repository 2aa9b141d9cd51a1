//! The program under test in a folder, and what came of it.

#![allow(dead_code)] // each test program uses a part of it

pub mod mimic4;

use dualk_sdk::serde_json::{Value, from_slice};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// The program in a folder, without a cache.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dualk"));
    command.current_dir(folder).env("DUALK_CACHE", "off").args(arguments);
    command
}

/// The program in a folder that holds its cache, too.
pub fn with_cache(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = command(folder, arguments);
    command.env("DUALK_CACHE", folder.join("cache"));
    command
}

/// Runs the program in a folder, without a cache.
pub fn dualk(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

/// Runs the program, which must succeed; its standard output.
pub fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = dualk(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    printed(&output)
}

/// Runs the program, which must fail by the user's mistake and say all of this.
pub fn refuse(folder: &Path, arguments: &[&str], says: &[&str]) {
    let output = dualk(folder, arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
    refused(&output, says);
}

/// Standard error as text.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Standard output of a command that must have succeeded.
pub fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard error of a command that must have failed by the user's mistake, and said all of this.
pub fn refused(output: &Output, says: &[&str]) -> String {
    let error = said(output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    says.iter().for_each(|part| assert!(error.contains(part), "lacks {part:?}: {error}"));
    error
}

/// The run that a command printed.
pub fn run_folder(printed: &str) -> String {
    printed.lines().find_map(|line| line.strip_prefix("run: ")).unwrap().to_owned()
}

/// The results of a run.
pub fn result(run: &Path) -> Value {
    from_slice(&fs::read(run.join("result.json")).unwrap()).unwrap()
}

/// Losses and metrics of every epoch of a run, without the time that it took.
pub fn epochs(run: &Path) -> Vec<String> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| line.split(",\"seconds\"").next().unwrap().to_owned()).collect()
}

/// A small experiment on made-up patients, with these stages.
pub fn small(stages: &str) -> String {
    format!("{SMALL}\n{stages}")
}

/// It, but for its stages.
const SMALL: &str = r#"name = "small"
seed = 3

[backend]
device = "cpu"

[data]
parser = { type = "synthetic", patients = 400, codes = 120, labs = 30, clusters = 8 }
split = { type = "random", train = 0.6, valid = 0.2, test = 0.2 }

[model]
node_init = { type = "random", dim = 16 }
graph_encoder = { type = "gat", dims = [16, 16] }
lab = { type = "linear", dim = 16 }
head = { decoder = [16, 16], classifier = [32], dropout = 0.1 }
"#;
