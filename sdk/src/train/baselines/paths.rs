//! Paths along the edges of a knowledge graph, from what a patient had to the codes that are asked for.

use crate::data::knowledge::Knowledge;
use rayon::prelude::*;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Relations that are told apart at most; those with the fewest edges are taken for one.
const RELATIONS: usize = 16;
/// Kinds of paths of two edges at most: those with the most paths.
const PAIRS: usize = 64;
/// Edges of one relation that a node of a path of two edges may have at most, in the direction that the path takes: those of larger
/// classes say little of each member.
const HUB: usize = 128;
/// Lengths of paths, in edges: 0 (a code itself), 1 and 2.
pub(super) const LENGTHS: usize = 3;

/// What nodes are.
const CODE: u8 = 0;
const ITEM: u8 = 1;
const OTHER: u8 = 2;

/// What tells paths apart: what is at the beginning, and the first step; where there is a second one, what is between, and it.
type Kind = (u8, u8, Option<(u8, u8)>);

/// The paths to the columns of a head.
#[derive(Debug)]
pub(super) struct Paths {
    /// Columns and kinds of the paths from each code and each item, ascending, and how many there are of both.
    from: Vec<Vec<(u32, u32, u32)>>,
    /// Where the kinds of each length end.
    ends: [usize; LENGTHS],
}

impl Paths {
    /// # Shapes
    /// - `columns`: for each code the column that asks for it
    pub fn new(knowledge: &Knowledge, columns: &[Option<u32>]) -> Self {
        let found = found(&knowledge.with_relations(RELATIONS), columns);
        let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
        found.iter().flatten().for_each(|(_, kind, number)| *counts.entry(*kind).or_default() += *number as usize);
        let (one, mut two): (Vec<Kind>, Vec<Kind>) = counts.keys().copied().partition(|kind| kind.2.is_none());
        two.sort_by_key(|kind| (Reverse(counts[kind]), *kind));
        two.truncate(PAIRS);
        let numbers: BTreeMap<Kind, u32> = one.iter().chain(&two).copied().zip(1..).collect();
        let from = found.into_iter().enumerate().map(|(node, paths)| {
            let own = columns.get(node).copied().flatten().map(|column| (column, 0, 1));
            let paths = paths.into_iter().filter_map(|(column, kind, n)| Some((column, *numbers.get(&kind)?, n)));
            let mut paths: Vec<(u32, u32, u32)> = own.into_iter().chain(paths).collect();
            paths.sort_unstable();
            paths
        });
        Self { from: from.collect(), ends: [1, 1 + one.len(), 1 + one.len() + two.len()] }
    }

    /// Number of weights: one a kind and age of a visit.
    pub fn weights(&self, ages: usize) -> usize {
        self.ends[LENGTHS - 1] * ages
    }

    /// The length of the paths that have a weight.
    pub fn length(&self, weight: u32, ages: usize) -> usize {
        self.ends.iter().take_while(|&&end| end <= weight as usize / ages).count()
    }

    /// For codes and items that a patient had, each after the age of its visit: columns that paths lead to, weights, and
    /// ln (1 + n) of the n paths that have both; ascending. Shorter paths have smaller weights.
    pub fn of(&self, had: impl Iterator<Item = (usize, usize)>, ages: usize) -> Vec<(u32, u32, f32)> {
        let paths = had.flat_map(|(age, node)| {
            let paths = self.from.get(node).into_iter().flatten();
            paths.map(move |&(column, kind, n)| (column, kind * ages as u32 + age as u32, n))
        });
        let mut paths: Vec<(u32, u32, u32)> = paths.collect();
        paths.sort_unstable();
        let number = |same: &[(u32, u32, u32)]| same.iter().map(|path| path.2).sum::<u32>() as f32;
        let same = paths.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1));
        same.map(|same| (same[0].0, same[0].1, number(same).ln_1p())).collect()
    }
}

/// Steps from each node, ascending: the number of a relation, doubled, and one more where it is gone backwards; and where it
/// leads to.
fn steps(graph: &Knowledge) -> Vec<Vec<(u8, u32)>> {
    let mut steps: Vec<Vec<(u8, u32)>> = vec![Vec::new(); graph.nodes()];
    for (relation, number) in graph.relations().iter().zip(0u8..) {
        for &(head, tail) in &relation.edges {
            steps[head as usize].push((2 * number, tail));
            steps[tail as usize].push((2 * number + 1, head));
        }
    }
    steps.iter_mut().for_each(|steps| steps.sort_unstable());
    steps
}

/// The paths from each code and each item that end at a column, but for those back to where they begin: columns, kinds, and how
/// many there are of both.
fn found(graph: &Knowledge, columns: &[Option<u32>]) -> Vec<Vec<(u32, Kind, u32)>> {
    let (steps, known) = (steps(graph), graph.codes() + graph.items());
    let column = |node: u32| columns.get(node as usize).copied().flatten();
    let kind = |node: usize| match node {
        _ if node < graph.codes() => CODE,
        _ if node < known => ITEM,
        _ => OTHER,
    };
    let few = |node: usize| steps[node].chunk_by(|a, b| a.0 == b.0).filter(|same| same.len() <= HUB).flatten();
    let of = |from: usize| {
        let one = steps[from].iter().filter_map(|&(first, to)| Some((column(to)?, (kind(from), first, None))));
        let two = few(from).flat_map(|&(first, between)| {
            let on = few(between as usize).filter(move |(_, to)| *to as usize != from);
            on.filter_map(move |&(second, to)| {
                Some((column(to)?, (kind(from), first, Some((kind(between as usize), second)))))
            })
        });
        counted(one.chain(two).collect())
    };
    (0..known).into_par_iter().map(of).collect()
}

/// How many there are of each.
fn counted(mut paths: Vec<(u32, Kind)>) -> Vec<(u32, Kind, u32)> {
    paths.sort_unstable();
    paths.chunk_by(|a, b| a == b).map(|same| (same[0].0, same[0].1, same.len() as u32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::knowledge::{Fact, GraphSource, OfCohort, Triples};

    /// Paths to the codes, whose columns begin with 0 and nodes with 1; the nodes after them are the items 50 and 51.
    fn paths(codes: &[&str], facts: &[(&str, &str, &str)]) -> Paths {
        let codes: Vec<String> = std::iter::once("").chain(codes.iter().copied()).map(str::to_owned).collect();
        let owned = |f: &(&str, &str, &str)| -> Fact { (f.0.to_owned(), f.1.to_owned(), f.2.to_owned()) };
        let told = |_: f64| Ok(facts.iter().map(owned).collect());
        let sources = [GraphSource::Parser { strength: 1.0 }];
        let cohort = OfCohort { codes: &codes, facts: &told };
        let (triples, _) = Triples::join(&sources, "data.knowledge", 0, Some(&cohort)).unwrap();
        let knowledge = Knowledge::new(&triples, &codes, &[50, 51]).unwrap();
        Paths::new(&knowledge, &(0..codes.len() as u32).map(|code| code.checked_sub(1)).collect::<Vec<_>>())
    }

    #[test]
    fn paths_are_told_apart_by_steps_by_what_is_between_and_by_age() {
        let facts = [
            ("a", "leads_to", "b"),
            ("c", "is_a", "class"),
            ("d", "is_a", "class"),
            ("item:50", "is_a", "class"),
            ("item:51", "leads_to", "a"),
        ];
        let paths = paths(&["a", "b", "c", "d"], &facts);
        let of = |had: &[(usize, usize)]| paths.of(had.iter().copied(), 2);
        let (one, two) = (1f32.ln_1p(), 2f32.ln_1p());
        // One edge: from a code along `leads_to`, kind 1, against it, 2, and from an item, 3. Two edges: through the class
        // from a code, 4, and from an item, 5, of which there are two paths each; and from an item to a and on to b, 6.
        assert_eq!(paths.ends, [1, 4, 7]);
        assert_eq!(of(&[(0, 1)]), [(0, 0, one), (1, 2, one)]);
        assert_eq!(of(&[(1, 2)]), [(0, 5, one), (1, 1, one)]);
        assert_eq!(of(&[(0, 3)]), [(2, 0, one), (3, 8, one)]);
        assert_eq!(of(&[(0, 5)]), [(2, 10, one), (3, 10, one)]);
        assert_eq!(of(&[(1, 6)]), [(0, 7, one), (1, 13, one)]);
        // What is alike adds up, and padding leads nowhere.
        assert_eq!(of(&[(0, 3), (1, 3), (0, 3), (0, 0)]), [(2, 0, two), (2, 1, one), (3, 8, two), (3, 9, one)]);
        let lengths = [0, 1, 2, 7, 8, 13].map(|weight| paths.length(weight, 2));
        assert_eq!((lengths, paths.weights(2)), ([0, 0, 1, 1, 2, 2], 14));
    }

    #[test]
    fn large_classes_lead_nowhere() {
        let of = |members: usize| {
            let names: Vec<String> = (0..members).map(|i| format!("c{i}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let facts: Vec<(&str, &str, &str)> = names.iter().map(|name| (*name, "is_a", "class")).collect();
            paths(&names, &facts).of([(0, 1)].into_iter(), 1).len()
        };
        assert_eq!((of(HUB), of(HUB + 1)), (HUB, 1));
    }

    /// An item of many codes, each of which leads to another one.
    #[test]
    fn what_is_linked_to_many_leads_to_these_alone() {
        let of = |linked: usize| {
            let names: Vec<String> = (0..linked).flat_map(|i| [format!("c{i}"), format!("d{i}")]).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let facts =
                names.chunks(2).flat_map(|pair| [("item:50", "is_high_in", pair[0]), (pair[0], "leads_to", pair[1])]);
            let paths = paths(&names, &facts.collect::<Vec<_>>());
            paths.of([(0, 1 + names.len())].into_iter(), 1).len()
        };
        assert_eq!((of(HUB), of(HUB + 1)), (2 * HUB, HUB + 1));
    }

    #[test]
    fn paths_that_are_alike_are_kept_once_with_their_number() {
        let between: Vec<String> = (0..5).map(|i| format!("class {i}")).collect();
        let facts: Vec<(&str, &str, &str)> =
            between.iter().flat_map(|class| [("a", "is_a", class.as_str()), ("b", "is_a", class.as_str())]).collect();
        let paths = paths(&["a", "b"], &facts);
        // Padding has none; a has itself and five paths to b.
        assert_eq!(paths.from[..3], [vec![], vec![(0, 0, 1), (1, 1, 5)], vec![(0, 1, 5), (1, 0, 1)]]);
        assert_eq!(paths.of([(0, 1), (0, 1)].into_iter(), 1), [(0, 0, 2f32.ln_1p()), (1, 1, 10f32.ln_1p())]);
    }
}
