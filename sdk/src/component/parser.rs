//! Slot `parser`: raw tables → cohort.

use super::{Builds, Component, Slot, SlotKind};
use crate::boundary::Guarded;
use crate::boundary::guard::run_on_cells as run;
use crate::data::Cohort;
use crate::data::knowledge::Fact;
use crate::data::labs::Rule;
use crate::{Error, Progress, Result};
use std::path::PathBuf;
use std::sync::Arc;

/// Whether each patient of a cohort is one to learn from: in pretraining or train.
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
    /// For each admission, by its row, whether the cut points of laboratory values (quantiles, intervals) are computed from its
    /// results: those of patients to learn from. Where `rule` has cut points, the cohort remembers these patients. Its
    /// patients, admissions and persons must be there.
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
    /// Whether a random split changes the cohort: where cut points of laboratory values are computed from patients to learn from.
    pub split: bool,
}

/// Reads raw tables into a [`Cohort`]. An experiment builds one and asks it for all that is below, in any order and some of it
/// several times: files may have changed in between. [`Opened`](crate::data::tables::Opened) keeps tables from one call to the
/// next as long as they have not.
pub trait Parser: Send + Sync {
    /// Checks what can be known without reading everything: files exist, have their columns.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// What the cohort is made from beside the options, for the cache and the identity of a run; `None`, the default, when that
    /// cannot be told: the cohort is then never cached, and a changed table is known by what came of it alone.
    fn inputs(&self) -> Option<Inputs> {
        None
    }

    /// Reads the tables.
    ///
    /// # Errors
    /// Name the file and line; never a value beyond an identifier.
    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort>;

    /// For parsers of synthetic patients: oracles, which know how the patients were generated. `visits` are rows of the
    /// admissions of `cohort`, which [`Parser::parse`] gave; with `under_way` the laboratory items of these visits are known
    /// too. What is asked is whether any code of a group is recorded; each of `groups` has codes by their place in
    /// [`Cohort::code_names`]. Other parsers give none.
    ///
    /// # Errors
    /// When the cohort is another one.
    fn oracles(
        &self,
        context: &ParserContext<'_>,
        cohort: &Cohort,
        visits: &[usize],
        under_way: bool,
        groups: &[Vec<u32>],
    ) -> Result<Vec<Oracle>> {
        let _ = (context, cohort, visits, under_way, groups);
        Ok(Vec::new())
    }

    /// For parsers of synthetic patients: a knowledge graph over codes, by their texts, and laboratory items, by their
    /// identifiers. A triple is true with probability `strength`; the others have a random code as their tail. Other parsers
    /// give none.
    ///
    /// # Errors
    /// When that cannot be told.
    fn knowledge(&self, strength: f64) -> Result<Vec<Fact>> {
        let _ = strength;
        Ok(Vec::new())
    }
}

/// True probabilities of codes, known because the patients are synthetic: no model can be expected to do better.
#[derive(Debug, Clone, PartialEq)]
pub struct Oracle {
    /// Its name, which says what it knows.
    pub name: String,
    /// For each visit the probability of each group: that any of its codes is recorded.
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
        groups: &[Vec<u32>],
    ) -> Result<Vec<Oracle>> {
        let oracles = run(&self.origin, || self.inner.oracles(context, cohort, visits, under_way, groups))?;
        let is_whole = |oracle: &Oracle| {
            oracle.chances.len() == visits.len() && oracle.chances.iter().all(|row| row.len() == groups.len())
        };
        match oracles.iter().find(|oracle| !is_whole(oracle)) {
            None => Ok(oracles),
            Some(Oracle { name, .. }) => {
                let message =
                    format!("{}: the oracle `{name}` has not one chance for each visit and group", self.origin);
                Err(Error::program(message).help(format!("{} visits, {} groups", visits.len(), groups.len())))
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    /// Gives chances of so many groups, whatever it is asked.
    struct Knows(usize);

    impl Parser for Knows {
        fn parse(&self, _: &ParserContext<'_>) -> Result<Cohort> {
            Ok(Cohort::default())
        }

        fn oracles(
            &self,
            _: &ParserContext<'_>,
            _: &Cohort,
            visits: &[usize],
            _: bool,
            _: &[Vec<u32>],
        ) -> Result<Vec<Oracle>> {
            let chances = visits.iter().map(|_| vec![0.5; self.0]).collect();
            Ok(vec![Oracle { name: "all".to_owned(), chances }])
        }
    }

    #[test]
    fn oracles_have_a_chance_for_each_visit_and_group() {
        let context = ParserContext { progress: &Silent, compat: false, seed: 0, learns: None };
        let of = |chances: usize| {
            let parser: Guarded<dyn Parser> =
                Guarded { origin: "parser `knows`".into(), inner: Box::new(Knows(chances)) };
            parser.oracles(&context, &Cohort::default(), &[0, 1], false, &[vec![0], vec![1, 2]])
        };
        assert_eq!(of(2).unwrap().len(), 1);
        for chances in [1, 3] {
            let error = of(chances).unwrap_err();
            assert_eq!(error.exit_code(), 1);
            let text = error.to_string();
            assert!(
                text.contains("parser `knows`: the oracle `all` has not one chance") && text.contains("2 groups"),
                "{text}"
            );
        }
    }
}
