//! Slot `parser`: raw tables → cohort.

use super::{Builds, Component, Slot, SlotKind};
use crate::boundary::Guarded;
use crate::boundary::guard::run;
use crate::data::Cohort;
use crate::data::knowledge::Fact;
use crate::data::labs::Rule;
use crate::{Progress, Result};
use std::path::PathBuf;
use std::sync::Arc;

/// Tells of each patient of a cohort whether it is learnt from.
pub type Learns<'a> = dyn Fn(&Cohort) -> Vec<bool> + Sync + 'a;

/// What a parser gets from the experiment.
pub struct ParserContext<'a> {
    /// Where to show progress.
    pub progress: &'a dyn Progress,
    /// Whether to reproduce the published quirks (`compat = "dualk"`).
    pub compat: bool,
    /// Seed of the experiment, for parsers that generate data.
    pub seed: u64,
    /// Whether each patient of a cohort is learnt from, once its patients and admissions are known; `None` where everybody is
    /// looked at, as with the published split. [`ParserContext::cut_from`] is what parsers need of it.
    pub learns: Option<&'a Learns<'a>>,
}

impl ParserContext<'_> {
    /// Whether the results of each admission, by its row, say where values of laboratory items are cut: those of patients who
    /// are learnt from. Where `rule` cuts, the cohort remembers these patients. Its patients, admissions and persons must be
    /// there.
    pub fn cut_from(&self, cohort: &mut Cohort, rule: Rule) -> Vec<bool> {
        let from = match self.learns {
            Some(learns) if rule.cuts() => learns(cohort),
            _ => vec![true; cohort.patients.len()],
        };
        if rule.cuts() {
            cohort.cut_from = (0..).zip(&from).filter(|(_, from)| **from).map(|(p, _)| p).collect();
        }
        from.iter().enumerate().flat_map(|(p, &from)| std::iter::repeat_n(from, cohort.visits(p))).collect()
    }
}

/// What a cohort is made from beside the parser's options.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inputs {
    /// Every file that is read. Files that an option of type [`FilePath`](super::FilePath) names need not be among them.
    pub files: Vec<PathBuf>,
    /// Whether the experiment's seed changes the cohort.
    pub seed: bool,
    /// Whether a random split changes the cohort: where values of laboratory items are cut.
    pub split: bool,
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

    /// For parsers that make patients up: how well anybody could predict. `visits` are rows of the admissions of `cohort`,
    /// which [`Parser::parse`] gave; with `under_way` the laboratory items of these visits are known too. Others have
    /// nothing to say.
    ///
    /// # Errors
    /// When the cohort is another one.
    fn oracles(
        &self,
        context: &ParserContext<'_>,
        cohort: &Cohort,
        visits: &[usize],
        under_way: bool,
    ) -> Result<Vec<Oracle>> {
        let _ = (context, cohort, visits, under_way);
        Ok(Vec::new())
    }

    /// For parsers that make patients up: how codes, by their texts, and laboratory items, by their identifiers, hang
    /// together. With the chance `strength` a fact is right; the others have any code as their tail. Others have nothing
    /// to say.
    ///
    /// # Errors
    /// When that cannot be told.
    fn knowledge(&self, strength: f64) -> Result<Vec<Fact>> {
        let _ = strength;
        Ok(Vec::new())
    }
}

/// Chances of codes that only somebody knows who made the patients up.
#[derive(Debug, Clone, PartialEq)]
pub struct Oracle {
    /// What it knows.
    pub name: String,
    /// For each visit the chance of each code of the cohort, by its place in [`Cohort::code_names`].
    pub chances: Vec<Vec<f32>>,
}

/// Options of a parser.
pub trait BuildParser: Component {
    /// Checks the options.
    fn build(self) -> Result<Box<dyn Parser>>;
}

impl Parser for Guarded<dyn Parser> {
    fn check(&self) -> Result<()> {
        run(&self.origin, || self.inner.check())
    }

    fn inputs(&self) -> Option<Inputs> {
        run(&self.origin, || self.inner.inputs())
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        run(&self.origin, || self.inner.parse(context))
    }

    fn oracles(
        &self,
        context: &ParserContext<'_>,
        cohort: &Cohort,
        visits: &[usize],
        under_way: bool,
    ) -> Result<Vec<Oracle>> {
        run(&self.origin, || self.inner.oracles(context, cohort, visits, under_way))
    }

    fn knowledge(&self, strength: f64) -> Result<Vec<Fact>> {
        run(&self.origin, || self.inner.knowledge(strength))
    }
}

/// The slot `parser`.
pub enum ParserSlot {}

impl SlotKind for ParserSlot {
    const SLOT: Slot = Slot::Parser;
    type Context<'a> = ();
    type Object = Box<dyn Parser>;
}

impl<C: BuildParser> Builds<ParserSlot> for C {
    fn build_object(self, _: &(), origin: &Arc<str>) -> Result<Box<dyn Parser>> {
        Ok(Box::new(Guarded { inner: self.build()?, origin: origin.clone() }))
    }
}
