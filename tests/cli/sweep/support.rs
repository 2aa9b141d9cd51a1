//! A small experiment to vary, and how the program is asked to.

use super::program::{run_folder, said, small, with_cache};
use dualk_sdk::serde_json::{self, Value};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Stages of a small experiment.
const STAGES: &str = r#"[[stage]]
type = "lab"
epochs = 2

[[stage]]
type = "finetune"
epochs = 3
"#;

/// Two encoders, each with two seeds.
pub const ENCODERS: &str = r#"[sweep]
seeds = [1, 2]
grid = { "model.graph_encoder" = [{ type = "gat", dims = [16, 16] }, { type = "gcn", dims = [16, 16] }] }
"#;

/// A folder with the experiment and a cache of its own.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn new(sweep: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("small.toml"), small(&format!("{STAGES}\n{sweep}"))).unwrap();
        Self { folder }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        with_cache(self.folder(), arguments)
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Standard error of a command that the user got wrong.
    pub fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        said(&output)
    }

    pub fn json(&self, arguments: &[&str]) -> Vec<Value> {
        serde_json::from_str(&self.ok(arguments)).unwrap()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub fn logs(&self) -> Vec<String> {
        let members = fs::read_dir(self.path("out/members")).unwrap();
        members.map(|m| fs::read_to_string(m.unwrap().path().join("log.txt")).unwrap_or_default()).collect()
    }
}

/// The folder of a run with settings.
pub fn run(place: &Place, settings: &[&str]) -> String {
    let set = settings.iter().flat_map(|s| ["--set", s]);
    let arguments: Vec<&str> = ["run", "small.toml", "--set", "stage[0].epochs=1"].into_iter().chain(set).collect();
    run_folder(&place.ok(&arguments))
}
