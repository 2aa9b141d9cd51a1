//! Folders of small tables.

use dualk_sdk::prelude::*;
use dualk_sdk::progress::Silent;
use std::fs;
use std::path::Path;

pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, content: &str) {
        fs::write(self.path().join(name), content).unwrap();
    }
}

pub fn parse(options: impl BuildParser, compat: bool) -> Result<Cohort> {
    let cohort = options.build()?.parse(&ParserContext { progress: &Silent, compat, seed: 0 })?;
    cohort.validate().unwrap();
    Ok(cohort)
}
