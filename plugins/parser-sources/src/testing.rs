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
    parsed(options, &ParserContext { progress: &Silent, compat, seed: 0, learns: None })
}

/// The cohort where one patient alone is learnt from.
pub fn parse_learning_from(options: impl BuildParser, patient: i64) -> Cohort {
    let learns = |cohort: &Cohort| cohort.patients.iter().map(|&p| p == patient).collect::<Vec<bool>>();
    let context = ParserContext { progress: &Silent, compat: false, seed: 0, learns: Some(&learns) };
    parsed(options, &context).unwrap()
}

fn parsed(options: impl BuildParser, context: &ParserContext<'_>) -> Result<Cohort> {
    let cohort = options.build()?.parse(context)?;
    cohort.validate().unwrap();
    Ok(cohort)
}
