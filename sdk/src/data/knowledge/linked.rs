//! What a knowledge graph says of the codes and laboratory items of a cohort.

use super::sources::Triples;
use std::collections::{BTreeSet, HashMap};

/// A relation and its edges, from heads to tails, ascending, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its name.
    pub name: String,
    /// Pairs of nodes.
    pub edges: Vec<(u32, u32)>,
}

/// A knowledge graph whose nodes are those of the disease graph (the padding node among them), then the laboratory items,
/// then every other entity that stands between at least two of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knowledge {
    codes: usize,
    items: usize,
    nodes: usize,
    relations: Vec<Relation>,
}

impl Knowledge {
    /// What triples say of codes, by their texts, and of items, by their identifiers. `codes` begins with the empty text of
    /// the padding node. `None` where they link none of these.
    pub fn new(triples: &Triples, codes: &[String], items: &[i64]) -> Option<Self> {
        let known = codes.len() + items.len();
        let mut node_of: HashMap<String, u32> = HashMap::new();
        let named = codes.iter().cloned().chain(items.iter().map(ToString::to_string));
        named.zip(0..).filter(|(name, _)| !name.is_empty()).for_each(|(name, node)| _ = node_of.insert(name, node));
        let mut nodes: Vec<Option<u32>> = triples.entities.list().iter().map(|e| node_of.get(e).copied()).collect();
        // Others lead from one code or item to another, or nowhere.
        let mut beside: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); nodes.len()];
        for triple in &triples.triples {
            let (head, tail) = (triple.head as usize, triple.tail as usize);
            match (nodes[head], nodes[tail]) {
                (Some(node), None) => _ = beside[tail].insert(node),
                (None, Some(node)) => _ = beside[head].insert(node),
                _ => (),
            }
        }
        let between = nodes.iter_mut().zip(&beside).filter(|(node, beside)| node.is_none() && beside.len() > 1);
        let mut next = known as u32;
        between.for_each(|(node, _)| {
            *node = Some(next);
            next += 1;
        });
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

    /// What there is, in a line.
    pub fn summary(&self) -> String {
        let mut is_linked = vec![false; self.nodes];
        let edges = || self.relations.iter().flat_map(|relation| &relation.edges);
        edges().for_each(|&(head, tail)| (is_linked[head as usize], is_linked[tail as usize]) = (true, true));
        let linked = |range: std::ops::Range<usize>| is_linked[range].iter().filter(|linked| **linked).count();
        format!(
            "knowledge: {} edges of {} relations between {} of {} codes, {} of {} lab items and {} other entities",
            edges().count(),
            self.relations.len(),
            linked(0..self.codes),
            self.codes - 1,
            linked(self.codes..self.codes + self.items),
            self.items,
            self.nodes - self.codes - self.items,
        )
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
            "knowledge: 3 edges of 2 relations between 3 of 3 codes, 1 of 2 lab items and 1 other entities"
        );
        assert_eq!(linked(&[("fever", "symptom_of", "cold")]), None);
    }

    #[test]
    fn seldom_relations_become_one() {
        let facts =
            [("428.0", "a", "428.1"), ("428.0", "b", "584.9"), ("428.1", "b", "584.9"), ("584.9", "c", "428.0")];
        let graph = linked(&facts).unwrap().with_relations(2);
        let named: Vec<(&str, &[(u32, u32)])> =
            graph.relations().iter().map(|r| (r.name.as_str(), r.edges.as_slice())).collect();
        assert_eq!(named, [("b", &[(1, 3), (2, 3)][..]), ("other", &[(1, 2), (3, 1)])]);
    }
}
