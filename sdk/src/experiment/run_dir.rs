//! The folder of a run. It is written under a temporary name and renamed when the run is complete.

use super::outcome::Outcome;
use crate::{Error, Result};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A run being written, or a finished one.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    target: Option<PathBuf>,
}

impl RunDir {
    /// Starts the run of a resolved manifest in `runs`. Its name carries the hash of the manifest, so that another
    /// manifest never overwrites it.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn create(runs: &Path, name: &str, manifest: &str) -> Result<Self> {
        let hash = Sha256::digest(manifest.as_bytes()).iter().take(4).map(|b| format!("{b:02x}")).collect::<String>();
        let target = runs.join(format!("{name}-{hash}"));
        let path = runs.join(format!(".{name}-{hash}.{}", std::process::id()));
        fs::create_dir_all(path.join("checkpoints")).map_err(|e| Error::io("create the run folder", &path, e))?;
        let run = Self { path, target: Some(target) };
        run.write("manifest.toml", manifest.as_bytes())?;
        Ok(run)
    }

    /// A finished run.
    ///
    /// # Errors
    /// When the folder is none.
    pub fn open(path: &Path) -> Result<Self> {
        match path.join("manifest.toml").is_file() && path.join("result.json").is_file() {
            true => Ok(Self { path: path.to_owned(), target: None }),
            false => Err(Error::user("this is no run folder: it lacks manifest.toml or result.json")
                .at_file(path)
                .help("`dualk run` prints the folder of its run")),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file of the run.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<()> {
        let file = self.file(name);
        fs::write(&file, contents).map_err(|e| Error::io("write", file, e))
    }

    /// Writes a file of JSON.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let text =
            serde_json::to_string_pretty(value).map_err(|e| Error::program(format!("cannot write {name}: {e}")))?;
        self.write(name, text.as_bytes())
    }

    /// Adds a line to a file.
    pub fn append(&self, name: &str, line: &str) -> Result<()> {
        let file = self.file(name);
        let mut out =
            OpenOptions::new().create(true).append(true).open(&file).map_err(|e| Error::io("write", &file, e))?;
        writeln!(out, "{line}").map_err(|e| Error::io("write", &file, e))
    }

    /// The results of a finished run.
    pub fn outcome(&self) -> Result<Outcome> {
        let file = self.file("result.json");
        let text = fs::read(&file).map_err(|e| Error::io("read", &file, e))?;
        serde_json::from_slice(&text).map_err(|e| Error::user(format!("this is no result: {e}")).at_file(file))
    }

    /// Gives the run its name, in place of an earlier run of the same manifest.
    ///
    /// # Errors
    /// When the folder cannot be renamed; the run then stays under its temporary name.
    pub fn finish(mut self) -> Result<Self> {
        let Some(target) = self.target.take() else { return Ok(self) };
        let fail = |e| Error::io("rename the run folder", &target, e);
        let old = target.with_extension("old");
        if target.exists() {
            if old.exists() {
                fs::remove_dir_all(&old).map_err(fail)?;
            }
            fs::rename(&target, &old).map_err(fail)?;
        }
        File::open(&self.path).and_then(|f| f.sync_all()).map_err(fail)?;
        fs::rename(&self.path, &target).map_err(fail)?;
        if old.exists() {
            fs::remove_dir_all(&old).map_err(fail)?;
        }
        self.path = target;
        Ok(self)
    }
}

impl Drop for RunDir {
    /// An unfinished run leaves nothing behind.
    fn drop(&mut self) {
        if self.target.is_some() {
            let _ = fs::remove_dir_all(&self.path);
            let _ = self.path.parent().map(fs::remove_dir); // only when it is empty
        }
    }
}
