//! The program, and plugins made with it in temporary folders.

use dualk_sdk::component::Slot;
use dualk_sdk::toml::Table;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program under test; the SDK and the shipped plugins lie beside it.
pub const DUALK: &str = env!("CARGO_BIN_EXE_dualk");

/// A program as a shell would start it that knows nothing of the `cargo test` around: no library path, no chosen
/// toolchain, no target folder. What cargo needs is in its cache, since the workspace depends on it too.
pub fn program(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(name);
    command.current_dir(folder).env("CARGO_NET_OFFLINE", "true").env("DUALK_CACHE", "off");
    for variable in ["LD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "RUSTUP_TOOLCHAIN", "CARGO_TARGET_DIR"] {
        command.env_remove(variable);
    }
    command
}

/// A folder whose plugins may be loaded: one in `/tmp`, where others can write, would be refused.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Runs `dualk` in a folder.
pub fn dualk(folder: &Path, arguments: &[&str]) -> Output {
    program(DUALK, folder).args(arguments).output().unwrap()
}

/// Runs `dualk`, which must succeed; its standard output.
pub fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = dualk(folder, arguments);
    assert!(output.status.success(), "dualk {arguments:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `dualk`, which must fail with that exit code and no trace; its standard error.
pub fn fail(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = dualk(folder, arguments);
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "dualk {arguments:?}: {error}");
    assert!(!error.contains("thread '") && !error.contains("stack backtrace"), "{error}");
    error
}

/// Standard error as text.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A file beside the program.
pub fn beside(file: &str) -> PathBuf {
    Path::new(DUALK).with_file_name(file)
}

/// Name of a shared library.
pub fn library(name: &str) -> String {
    format!("{DLL_PREFIX}{name}{DLL_SUFFIX}")
}

/// A new plugin in `folder/name`, with `source` in place of the template's when it is given.
pub fn new(folder: &Path, name: &str, slot: Slot, source: Option<&str>) -> PathBuf {
    succeed(folder, &["plugin", "new", name, "--slot", slot.name()]);
    let project = folder.join(name);
    if let Some(source) = source {
        fs::write(project.join("src/lib.rs"), source).unwrap();
    }
    project
}

/// Builds a plugin; its shared library, from the line that the program prints for the manifest.
pub fn build(project: &Path) -> PathBuf {
    let printed = succeed(project, &["plugin", "build"]);
    let (_, lines) = printed.split_once("[[plugin]]").unwrap();
    lines.parse::<Table>().unwrap()["path"].as_str().unwrap().into()
}

/// `bytes` with `new` in every place of `old`, which is as long.
pub fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut edited = bytes.to_vec();
    let places: Vec<usize> = (0..=bytes.len() - old.len()).filter(|&i| bytes[i..].starts_with(old)).collect();
    assert!(!places.is_empty() && old.len() == new.len());
    places.iter().for_each(|&place| edited[place..place + old.len()].copy_from_slice(new));
    edited
}
