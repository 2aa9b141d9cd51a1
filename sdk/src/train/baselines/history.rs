//! Rankings by a patient's history.

use super::{BaselineContext, log_odds};
use crate::component::{Asks, HeadSpec};
use crate::data::knowledge::Knowledge;
use crate::data::{Dataset, Examples};
use rayon::prelude::*;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A column that occurs in a patient's history.
#[derive(Debug, Clone, Copy)]
pub(super) struct Had {
    column: u32,
    /// Visits since the last occurrence, from 1.
    ago: usize,
    /// Visits with it.
    visits: usize,
    /// Training examples that have it as a label.
    frequency: f32,
}

/// By recency, then by number of visits, then by frequency in training.
pub(super) fn recent(a: &Had, b: &Had) -> Ordering {
    a.ago.cmp(&b.ago).then(b.visits.cmp(&a.visits)).then(by_frequency(a, b))
}

/// By number of visits, then by recency, then by frequency in training.
pub(super) fn frequent(a: &Had, b: &Had) -> Ordering {
    b.visits.cmp(&a.visits).then(a.ago.cmp(&b.ago)).then(by_frequency(a, b))
}

fn by_frequency(a: &Had, b: &Had) -> Ordering {
    b.frequency.total_cmp(&a.frequency).then(a.column.cmp(&b.column))
}

/// For each node of a graph the codes that its edges lead to, and their weights. Nodes are codes, then laboratory items where
/// the graph has any.
pub(super) type Successors = Vec<Vec<(u32, f32)>>;

/// The codes that each code occurs with.
pub(super) fn successors(data: &Dataset) -> Successors {
    let mut successors = vec![Vec::new(); data.graph.nodes()];
    data.graph.iter().for_each(|(source, target, weight)| successors[source as usize].push((target, weight)));
    successors
}

/// The codes that each code and item is linked with, by any relation and in either direction; every edge weighs 1.
pub(super) fn linked(knowledge: &Knowledge) -> Successors {
    let (codes, known) = (knowledge.codes(), knowledge.codes() + knowledge.items());
    let mut linked = vec![Vec::new(); known];
    for &(head, tail) in knowledge.relations().iter().flat_map(|relation| &relation.edges) {
        for (from, to) in [(head, tail), (tail, head)] {
            if (from as usize) < known && (to as usize) < codes {
                linked[from as usize].push((to, 1.0));
            }
        }
    }
    linked
}

/// The history of examples, as columns of one head.
pub(super) struct History<'a> {
    context: &'a BaselineContext<'a>,
    asks: &'a Asks,
    columns: usize,
    counts: &'a [f32],
}

impl<'a> History<'a> {
    pub fn new(context: &'a BaselineContext<'a>, asks: &'a Asks, head: &HeadSpec, counts: &'a [f32]) -> Self {
        Self { context, asks, columns: head.outputs, counts }
    }

    /// The columns of a visit, ascending.
    fn columns_of(&self, examples: &Examples, visit: u32) -> Vec<u32> {
        let of = |map: &[Option<u32>], values: &[u32]| -> Vec<u32> {
            values.iter().filter_map(|&v| map.get(v as usize).copied().flatten()).collect()
        };
        let mut columns = match self.asks {
            Asks::Codes(map) | Asks::Hidden(map) => of(map, examples.codes.row(visit as usize)),
            Asks::Labs(map) => of(map, self.context.data.cohort.labs.row(visit as usize)),
            Asks::Visits(rows) => rows.row(visit as usize).to_vec(),
            Asks::Nothing => Vec::new(),
        };
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// The columns that are not asked of example `i`, as its last visit shows them, ascending.
    fn shown(&self, examples: &Examples, i: usize) -> Vec<u32> {
        let last = examples.visits.row(i).last().filter(|_| matches!(self.asks, Asks::Hidden(_)));
        last.map(|&visit| self.columns_of(examples, visit)).unwrap_or_default()
    }

    /// What example `i` had before.
    fn of(&self, examples: &Examples, i: usize) -> Vec<Had> {
        let visits = examples.visits.row(i);
        // The last visit is the news, but where codes of the one after it are asked for.
        let seen = if matches!(self.asks, Asks::Codes(_)) { visits.len() } else { visits.len().saturating_sub(1) };
        let shown = self.shown(examples, i);
        let mut had: BTreeMap<u32, Had> = BTreeMap::new();
        for (at, &visit) in visits[..seen].iter().enumerate() {
            let columns = self.columns_of(examples, visit);
            for column in columns.into_iter().filter(|column| shown.binary_search(column).is_err()) {
                let frequency = self.counts[column as usize];
                let entry = had.entry(column).or_insert(Had { column, ago: 0, visits: 0, frequency });
                (entry.ago, entry.visits) = (seen - at, entry.visits + 1);
            }
        }
        had.into_values().collect()
    }

    /// Scores: first what a patient had before, in the given order; then the other columns, by the weights of the edges to
    /// them from the patient's codes, and items, in the graph where there is one, and by frequency in training; last what is
    /// not asked for.
    pub fn ranking(&self, order: fn(&Had, &Had) -> Ordering, graph: Option<&Successors>) -> Vec<f32> {
        let test = self.context.test;
        let rows = (0..test.len()).into_par_iter().map(|i| {
            let mut had = self.of(test, i);
            had.sort_by(order);
            let mut near = vec![0f32; self.columns];
            self.shown(test, i).into_iter().for_each(|column| near[column as usize] = f32::NEG_INFINITY);
            if let (Some(graph), Asks::Codes(map) | Asks::Hidden(map)) = (graph, self.asks) {
                let codes = test.visits.row(i).iter().flat_map(|&v| test.codes.row(v as usize)).copied();
                let first = self.context.data.vocabulary.nodes() as u32;
                let items = self.context.items(test, i).into_iter().map(|(_, item)| first + item);
                let mut nodes: Vec<u32> = codes.chain(items).collect();
                nodes.sort_unstable();
                nodes.dedup();
                // A graph of codes alone has no nodes for items.
                for (target, weight) in nodes.iter().filter_map(|&node| graph.get(node as usize)).flatten() {
                    if let Some(column) = map.get(*target as usize).copied().flatten() {
                        near[column as usize] += weight;
                    }
                }
            }
            let mut others: Vec<u32> = (0..self.columns as u32).collect();
            let key = |c: u32| (near[c as usize], self.counts[c as usize]);
            others.sort_by(|&a, &b| {
                let (a, b) = (key(a), key(b));
                b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1))
            });
            let mut scores = vec![0f32; self.columns];
            others.iter().enumerate().for_each(|(place, &c)| scores[c as usize] = -(place as f32));
            had.iter().enumerate().for_each(|(place, h)| scores[h.column as usize] = (self.columns - place) as f32);
            scores
        });
        rows.collect::<Vec<_>>().concat()
    }

    /// For a single column: the logit of how often it follows in training, for those who had it before and for others.
    pub fn rates(&self) -> Vec<f32> {
        let had = |examples: &Examples, i: usize| !self.of(examples, i).is_empty();
        let (train, head) = (self.context.train, 0);
        let mut groups = [(0f32, 0usize); 2];
        for i in 0..train.len() {
            let group = &mut groups[usize::from(had(train, i))];
            group.0 += if train.targets[head].row(i).is_empty() { 0.0 } else { 1.0 };
            group.1 += 1;
        }
        let logits = groups.map(|(events, of)| log_odds(events, of));
        (0..self.context.test.len()).map(|i| logits[usize::from(had(self.context.test, i))]).collect()
    }
}
