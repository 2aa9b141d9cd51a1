//! Slot `parser`: raw tables → cohort.

use super::Component;
use crate::data::Cohort;
use crate::{Progress, Result};
use std::path::PathBuf;

/// What a parser gets from the experiment.
pub struct ParserContext<'a> {
    /// Where to show progress.
    pub progress: &'a dyn Progress,
    /// Whether to reproduce the published quirks (`compat = "dualk"`).
    pub compat: bool,
    /// Seed of the experiment, for parsers that generate data.
    pub seed: u64,
}

/// What a cohort is made from beside the parser's options.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inputs {
    /// Every file that is read. Files that an option of type [`FilePath`](super::FilePath) names need not be among them.
    pub files: Vec<PathBuf>,
    /// Whether the experiment's seed changes the cohort.
    pub seed: bool,
}

/// Reads raw tables into a [`Cohort`].
pub trait Parser: Send + Sync {
    /// Checks what can be known without reading everything: files exist, have their columns.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// What the cohort is made from beside the options, for the cache; `None`, the default, when that cannot be told: the
    /// cohort is then never cached.
    fn inputs(&self) -> Option<Inputs> {
        None
    }

    /// Reads the tables.
    ///
    /// # Errors
    /// Name the file and line; never a value beyond an identifier.
    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort>;
}

/// Options of a parser.
pub trait BuildParser: Component {
    /// Checks the options.
    fn build(self) -> Result<Box<dyn Parser>>;
}
