//! Slot `parser`: raw tables → cohort.

use super::Component;
use crate::data::Cohort;
use crate::{Progress, Result};

/// What a parser gets from the experiment.
pub struct ParserContext<'a> {
    /// Where to show progress.
    pub progress: &'a dyn Progress,
    /// Whether to reproduce the published quirks (`compat = "dualk"`).
    pub compat: bool,
    /// Seed of the experiment, for parsers that generate data.
    pub seed: u64,
}

/// Reads raw tables into a [`Cohort`].
pub trait Parser: Send + Sync {
    /// Checks what can be known without reading everything: files exist, have their columns.
    fn check(&self) -> Result<()> {
        Ok(())
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
