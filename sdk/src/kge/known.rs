//! Which triples are known: what negatives must not be, and what rankings leave out.

use super::model::Side;
use crate::data::knowledge::Triple;
use std::collections::HashMap;
use std::ops::Range;

/// The known answers to each query: sorted entities by (entity, relation) and side.
#[derive(Debug, Clone, Default)]
pub struct Known {
    tails: Answers,
    heads: Answers,
}

#[derive(Debug, Clone, Default)]
struct Answers {
    ranges: HashMap<(u32, u32), Range<usize>>,
    entities: Vec<u32>,
}

impl Answers {
    fn new(mut triples: Vec<(u32, u32, u32)>) -> Self {
        triples.sort_unstable();
        triples.dedup();
        let mut answers = Self::default();
        for same in triples.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let start = answers.entities.len();
            answers.entities.extend(same.iter().map(|t| t.2));
            answers.ranges.insert((same[0].0, same[0].1), start..answers.entities.len());
        }
        answers
    }

    fn of(&self, entity: u32, relation: u32) -> &[u32] {
        match self.ranges.get(&(entity, relation)) {
            Some(range) => &self.entities[range.clone()],
            None => &[],
        }
    }
}

impl Known {
    /// The index of some triples.
    pub fn new<'a>(triples: impl IntoIterator<Item = &'a Triple> + Clone) -> Self {
        let tails = triples.clone().into_iter().map(|t| (t.head, t.relation, t.tail)).collect();
        let heads = triples.into_iter().map(|t| (t.tail, t.relation, t.head)).collect();
        Self { tails: Answers::new(tails), heads: Answers::new(heads) }
    }

    /// The known entities, sorted, for the open side of a triple.
    pub fn answers(&self, triple: Triple, open: Side) -> &[u32] {
        match open {
            Side::Tail => self.tails.of(triple.head, triple.relation),
            Side::Head => self.heads.of(triple.tail, triple.relation),
        }
    }
}

impl Triple {
    /// The entity that a query keeps when `open` is asked for, and the one that answers it.
    pub fn sides(self, open: Side) -> (u32, u32) {
        match open {
            Side::Tail => (self.head, self.tail),
            Side::Head => (self.tail, self.head),
        }
    }
}
