//! What a knowledge graph says of the codes and laboratory items of a cohort.

use super::joined::Triples;
use crate::error::counted;
use std::collections::{BTreeSet, HashMap};

/// A relation and its edges, from heads to tails, ascending, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Name, as triples have it, such as `is_a`; `other` of those that were joined.
    pub name: String,
    /// Pairs of nodes.
    pub edges: Vec<(u32, u32)>,
}

/// Items with smaller identifiers are named with [`ITEM`] alone: as numbers they could be codes.
const NO_CODE: i64 = 10_000;
/// What stands before the identifier of an item.
const ITEM: &str = "item:";

/// A knowledge graph whose nodes are those of the disease graph (the padding node among them), then the laboratory items,
/// then the other entities beside these that lead from one to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knowledge {
    codes: usize,
    items: usize,
    nodes: usize,
    relations: Vec<Relation>,
}

impl Knowledge {
    /// What triples say of codes, by their texts, and of items, by their identifiers: `item:50912`, or the number alone from
    /// 10,000 on. `codes` begins with the empty text of the padding node. An entity that is neither is kept where it is one
    /// edge from a code or item and, with others of its kind, on a path between two. `None` where none is linked.
    pub fn new(triples: &Triples, codes: &[String], items: &[i64]) -> Option<Self> {
        let known = codes.len() + items.len();
        let mut node_of: HashMap<String, u32> = HashMap::new();
        for (code, node) in codes.iter().zip(0..).filter(|(code, _)| !code.is_empty()) {
            node_of.insert(code.clone(), node);
        }
        for (&item, node) in items.iter().zip(codes.len() as u32..) {
            node_of.insert(format!("{ITEM}{item}"), node);
            if item >= NO_CODE {
                node_of.entry(item.to_string()).or_insert(node);
            }
        }
        let mut nodes: Vec<Option<u32>> = triples.entities.list().iter().map(|e| node_of.get(e).copied()).collect();
        let (mut next, between) = (known as u32, between(triples, &nodes));
        for (node, _) in nodes.iter_mut().zip(between).filter(|(_, between)| *between) {
            *node = Some(next);
            next += 1;
        }
        let mut edges: Vec<BTreeSet<(u32, u32)>> = vec![BTreeSet::new(); triples.relations.len()];
        for triple in &triples.triples {
            if let (Some(head), Some(tail)) = (nodes[triple.head as usize], nodes[triple.tail as usize])
                && head != tail
            {
                edges[triple.relation as usize].insert((head, tail));
            }
        }
        let relations: Vec<Relation> = triples
            .relations
            .list()
            .iter()
            .zip(edges)
            .filter(|(_, edges)| !edges.is_empty())
            .map(|(name, edges)| Relation { name: name.clone(), edges: edges.into_iter().collect() })
            .collect();
        let linked = Self { codes: codes.len(), items: items.len(), nodes: next as usize, relations };
        (!linked.relations.is_empty()).then_some(linked)
    }

    /// One of so many codes in a row, for checks of options.
    pub fn small(codes: usize) -> Self {
        let edges = (1..codes as u32).map(|code| (code, code + 1)).collect();
        let relations = vec![Relation { name: "next".to_owned(), edges }];
        Self { codes: codes + 1, items: 1, nodes: codes + 2, relations }
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// How many of them are those of the disease graph.
    pub fn codes(&self) -> usize {
        self.codes
    }

    /// How many are laboratory items; the first has the number [`Knowledge::codes`].
    pub fn items(&self) -> usize {
        self.items
    }

    /// The relations that link nodes.
    pub fn relations(&self) -> &[Relation] {
        &self.relations
    }

    /// The same with few relations: those with the most edges, and all others as one, `other`.
    #[must_use]
    pub fn with_relations(&self, most: usize) -> Self {
        if self.relations.len() <= most {
            return self.clone();
        }
        let mut order: Vec<usize> = (0..self.relations.len()).collect();
        order.sort_by_key(|&r| (std::cmp::Reverse(self.relations[r].edges.len()), r));
        let (kept, merged) = order.split_at(most.saturating_sub(1));
        let mut kept: Vec<usize> = kept.to_vec();
        kept.sort_unstable();
        let other: BTreeSet<(u32, u32)> =
            merged.iter().flat_map(|&r| self.relations[r].edges.iter().copied()).collect();
        let other = Relation { name: "other".to_owned(), edges: other.into_iter().collect() };
        let relations = kept.into_iter().map(|r| self.relations[r].clone()).chain([other]).collect();
        Self { relations, ..self.clone() }
    }

    /// Counts of edges, relations and entities, in a line.
    pub fn summary(&self) -> String {
        let mut is_linked = vec![false; self.nodes];
        let edges = || self.relations.iter().flat_map(|relation| &relation.edges);
        edges().for_each(|&(head, tail)| (is_linked[head as usize], is_linked[tail as usize]) = (true, true));
        let linked = |range: std::ops::Range<usize>| is_linked[range].iter().filter(|linked| **linked).count();
        format!(
            "knowledge: {} of {} between {} of {}, {} of {} and {}",
            counted(edges().count(), "edge"),
            counted(self.relations.len(), "relation"),
            linked(0..self.codes),
            counted(self.codes - 1, "code"),
            linked(self.codes..self.codes + self.items),
            counted(self.items, "lab item"),
            counted(self.nodes - self.codes - self.items, "other entity"),
        )
    }
}

/// Which entities that are no `nodes` are one edge from one, and lead on.
fn between(triples: &Triples, nodes: &[Option<u32>]) -> Vec<bool> {
    let mut beside: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); nodes.len()];
    for triple in triples.triples.iter().filter(|triple| triple.head != triple.tail) {
        beside[triple.head as usize].insert(triple.tail);
        beside[triple.tail as usize].insert(triple.head);
    }
    let is_known = |entity: u32| nodes[entity as usize].is_some();
    let touches =
        |(node, beside): (&Option<u32>, &BTreeSet<u32>)| node.is_none() && beside.iter().any(|&e| is_known(e));
    let mut kept: Vec<bool> = nodes.iter().zip(&beside).map(touches).collect();
    // Ends go until there are none.
    loop {
        let leads_on =
            |entity: usize| beside[entity].iter().filter(|&&other| is_known(other) || kept[other as usize]).count() > 1;
        let ends: Vec<usize> = (0..kept.len()).filter(|&entity| kept[entity] && !leads_on(entity)).collect();
        if ends.is_empty() {
            return kept;
        }
        ends.into_iter().for_each(|entity| kept[entity] = false);
    }
}

#[cfg(test)]
mod tests {
    use super::super::sources::{GraphSource, OfCohort};
    use super::*;

    fn linked(facts: &[(&str, &str, &str)]) -> Option<Knowledge> {
        let codes = ["", "428.0", "428.1", "584.9"].map(str::to_owned);
        let owned = |f: &(&str, &str, &str)| (f.0.to_owned(), f.1.to_owned(), f.2.to_owned());
        let told = |_: f64| Ok(facts.iter().map(owned).collect());
        let sources: [GraphSource; 1] = [toml::from_str("type = 'parser'").unwrap()];
        let cohort = OfCohort { codes: &codes, facts: &told };
        let (triples, _) = Triples::join(&sources, "data.knowledge", 0, Some(&cohort)).unwrap();
        Knowledge::new(&triples, &codes, &[50912, 50971])
    }

    #[test]
    fn entities_are_nodes_where_they_are_codes_or_items_or_lie_between() {
        let facts = [
            ("428.0", "is_a", "428"),
            ("428.1", "is_a", "428"),
            ("428", "is_a", "390-459"),
            ("50912", "abnormal_in", "584.9"),
            ("584.9", "is_a", "584"),
            ("fever", "symptom_of", "cold"),
        ];
        let graph = linked(&facts).unwrap();
        // 428 stands between two codes; 584, 390-459, fever and cold lead nowhere.
        assert_eq!((graph.nodes(), graph.codes(), graph.items()), (7, 4, 2));
        let named: Vec<(&str, &[(u32, u32)])> =
            graph.relations().iter().map(|r| (r.name.as_str(), r.edges.as_slice())).collect();
        assert_eq!(named, [("is_a", &[(1, 6), (2, 6)][..]), ("abnormal_in", &[(4, 3)])]);
        assert_eq!(
            graph.summary(),
            "knowledge: 3 edges of 2 relations between 3 of 3 codes, 1 of 2 lab items and 1 other entity"
        );
        let one = linked(&[("428.0", "is_a", "428.1")]).unwrap().summary();
        assert!(one.starts_with("knowledge: 1 edge of 1 relation between 2 of 3 codes"), "{one}");
        assert_eq!(linked(&[("fever", "symptom_of", "cold")]), None);
    }

    #[test]
    fn paths_of_three_edges_are_kept_and_items_are_told_from_codes() {
        let facts = [
            ("428.0", "is_a", "428"),
            ("428.1", "is_a", "428.x"),
            ("428.x", "is_a", "428"),
            ("584.9", "is_a", "584"),
            ("584", "is_a", "580"),
            ("580", "is_a", "428"),
            ("12", "abnormal_in", "428.0"),
            ("item:12", "abnormal_in", "428.1"),
        ];
        let codes = ["", "428.0", "428.1", "584.9"].map(str::to_owned);
        let owned = |f: (&str, &str, &str)| (f.0.to_owned(), f.1.to_owned(), f.2.to_owned());
        let told = |_: f64| Ok(facts.into_iter().map(owned).collect());
        let sources: [GraphSource; 1] = [toml::from_str("type = 'parser'").unwrap()];
        let cohort = OfCohort { codes: &codes, facts: &told };
        let (triples, _) = Triples::join(&sources, "data.knowledge", 0, Some(&cohort)).unwrap();
        let graph = Knowledge::new(&triples, &codes, &[12]).unwrap();
        let named: Vec<(&str, &[(u32, u32)])> =
            graph.relations().iter().map(|r| (r.name.as_str(), r.edges.as_slice())).collect();
        // 580 is two edges from any code, so that 584 leads nowhere; the number 12 may be anything.
        assert_eq!(named, [("is_a", &[(1, 5), (2, 6), (6, 5)][..]), ("abnormal_in", &[(4, 2)])]);
    }

    #[test]
    fn rare_relations_become_one() {
        let facts =
            [("428.0", "a", "428.1"), ("428.0", "b", "584.9"), ("428.1", "b", "584.9"), ("584.9", "c", "428.0")];
        let graph = linked(&facts).unwrap().with_relations(2);
        let named: Vec<(&str, &[(u32, u32)])> =
            graph.relations().iter().map(|r| (r.name.as_str(), r.edges.as_slice())).collect();
        assert_eq!(named, [("b", &[(1, 3), (2, 3)][..]), ("other", &[(1, 2), (3, 1)])]);
    }
}
