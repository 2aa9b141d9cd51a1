//! Triples of several sources, joined: each once, with ids for the names of entities and relations.

use super::extracted;
use super::names::{Names, Triple, filter};
use super::source_tables::{alignment, cooccurrence, hierarchy, renaming};
use super::sources::{GraphSource, OfCohort};
use super::written::Form;
use crate::data::hierarchy::ancestors;
use crate::{Error, Result};
use std::collections::{HashMap, HashSet};

/// Triples that sources were joined to.
#[derive(Debug, Default)]
pub struct Triples {
    /// Entities by index.
    pub entities: Names,
    /// Relations by index.
    pub relations: Names,
    /// Distinct triples, in the order of the sources.
    pub triples: Vec<Triple>,
    known: HashSet<Triple>,
    repeated: usize,
}

impl Triples {
    fn add(&mut self, head: &str, relation: &str, tail: &str) {
        let (head, relation) = (self.entities.add(head), self.relations.add(relation));
        let triple = Triple { head, relation, tail: self.entities.add(tail) };
        match self.known.insert(triple) {
            true => self.triples.push(triple),
            false => self.repeated += 1,
        }
    }

    /// Joins sources, which stand at `key` of a manifest, and leaves out entities in fewer than `least` triples; with a
    /// line on each source.
    ///
    /// # Errors
    /// Those of the sources, and where they leave nothing.
    pub fn join(
        sources: &[GraphSource],
        key: &str,
        least: usize,
        cohort: Option<&OfCohort<'_>>,
    ) -> Result<(Self, Vec<String>)> {
        let (mut joined, mut notes) = (Self::default(), Vec::new());
        for (i, source) in sources.iter().enumerate() {
            let before = (joined.triples.len(), joined.repeated);
            source.read(&mut joined, cohort).map_err(|e| e.within_key(&format!("{key}[{i}]")))?;
            let (new, repeated) = (joined.triples.len() - before.0, joined.repeated - before.1);
            notes.push(format!("source {i}: {new} triples, and {repeated} that were there already"));
        }
        if least > 1 {
            (joined.entities, joined.relations, joined.triples) =
                filter(&joined.entities, &joined.relations, joined.triples, least);
        }
        match joined.triples.is_empty() {
            true => Err(Error::user("the sources have no triples, or `least` leaves none").at_key(key)),
            false => Ok((joined, notes)),
        }
    }
}

impl GraphSource {
    /// Adds its triples to those of the sources before it.
    fn read(&self, graph: &mut Triples, cohort: Option<&OfCohort<'_>>) -> Result<()> {
        let cohort = || match cohort {
            Some(cohort) => Ok(cohort),
            None => self.check_without_cohort().and_then(|()| Err(Error::program("a source without its cohort"))),
        };
        match self {
            Self::Icd { edition, relation } => {
                for code in cohort()?.codes.iter().filter(|code| !code.is_empty() && !code.contains(':')) {
                    let above = ancestors(code, *edition);
                    let chain = std::iter::once(code).chain(&above);
                    chain.zip(&above).for_each(|(code, parent)| graph.add(code, relation, parent));
                }
                Ok(())
            }
            Self::Parser { strength } => {
                let facts = (cohort()?.facts)(*strength)?;
                facts.iter().for_each(|(head, relation, tail)| graph.add(head, relation, tail));
                Self::check_facts(&facts)
            }
            Self::Hierarchy { path, relation } => {
                hierarchy(path.required("path")?, |code, parent| graph.add(code, relation, parent))
            }
            Self::Text { path, names, similarity, least } => {
                let align = names.given().map(|names| alignment(names, *similarity, &graph.entities)).transpose()?;
                let found = extracted::read(path.required("path")?, &align.unwrap_or_default())?;
                let mut counts: HashMap<&str, usize> = HashMap::new();
                found.iter().for_each(|t| *counts.entry(&t[1]).or_default() += 1);
                found.iter().filter(|t| counts[t[1].as_str()] >= *least).for_each(|[h, r, t]| graph.add(h, r, t));
                Ok(())
            }
            Self::Table { path, prefixes, relation, columns, heading } => {
                let form = Form { columns, heading: *heading, relation: relation.as_deref() };
                let renamed = renaming(prefixes);
                form.read(path.required("path")?, |h, r, t| graph.add(&renamed(h), r, &renamed(t)))
            }
            Self::Cooccurrence { path, levels } => {
                cooccurrence(path.required("path")?, levels, |h, r, t| graph.add(h, r, t))
            }
        }
    }
}
