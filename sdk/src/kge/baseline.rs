//! A one-line baseline: a triple of training read backwards, else how often an entity answers the relation.

use super::known::Known;
use super::model::{Queries, Side};
use super::rank::Scorer;
use super::triples::KnowledgeGraph;
use crate::data::knowledge::Triple;
use std::collections::HashMap;

/// Scores (h, r, t) by whether (t, r, h) is a training triple, then by how many training triples of r have the entity on
/// the side that is asked for.
pub struct Backwards {
    known: Known,
    entities: usize,
    counts: HashMap<(Side, u32), HashMap<u32, u32>>,
}

impl Backwards {
    /// The rule for the training triples of a graph.
    pub fn new(graph: &KnowledgeGraph) -> Self {
        let mut counts: HashMap<(Side, u32), HashMap<u32, u32>> = HashMap::new();
        for t in &graph.train {
            for side in Side::BOTH {
                *counts.entry((side, t.relation)).or_default().entry(t.sides(side).1).or_default() += 1;
            }
        }
        Self { known: Known::new(&graph.train), entities: graph.entities.len(), counts }
    }
}

impl Scorer for Backwards {
    /// A row a triple with the scores of all entities.
    fn queries(&self, triples: &[Triple], open: Side) -> Vec<f32> {
        let mut values = vec![0.0; triples.len() * self.entities];
        for (row, &t) in values.chunks_exact_mut(self.entities.max(1)).zip(triples) {
            for (&entity, &count) in self.counts.get(&(open, t.relation)).into_iter().flatten() {
                row[entity as usize] = count as f32;
            }
            let (own, backwards) = match open {
                Side::Tail => (t.head, self.known.answers(Triple { tail: t.head, ..t }, Side::Head)),
                Side::Head => (t.tail, self.known.answers(Triple { head: t.tail, ..t }, Side::Tail)),
            };
            backwards.iter().filter(|&&entity| entity != own).for_each(|&entity| row[entity as usize] += 1e7);
        }
        values
    }

    fn scores(&self, entity: u32, _: &[Triple], _: Side, queries: Queries<'_>, scores: &mut [f32]) {
        for (&row, score) in queries.rows.iter().zip(scores) {
            *score = queries.values[row as usize * self.entities + entity as usize];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_training_has_backwards_comes_first() {
        let names = |n: usize| (0..n).map(|i| i.to_string()).collect();
        let t = |head, relation, tail| Triple { head, relation, tail };
        let train = vec![t(3, 0, 1), t(0, 0, 2), t(4, 0, 2), t(1, 1, 4)];
        let graph = KnowledgeGraph { entities: names(5), relations: names(2), train, ..Default::default() };
        let rule = Backwards::new(&graph);
        let scores = |open| {
            let triples = [t(1, 0, 3)];
            let values = rule.queries(&triples, open);
            let queries = Queries { values: &values, rows: &[0] };
            (0..5)
                .map(|entity| {
                    let mut score = [0.0];
                    rule.scores(entity, &triples, open, queries, &mut score);
                    score[0]
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(scores(Side::Tail), [0.0, 1.0, 2.0, 1e7, 0.0]);
        assert_eq!(scores(Side::Head), [1.0, 1e7, 0.0, 1.0, 1.0]);
    }
}
