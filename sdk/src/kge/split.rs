//! Splitting a knowledge graph, filtering it, and what there is to say of it.

use super::triples::KnowledgeGraph;
use crate::data::knowledge::{Names, Triple};
use crate::error::counted;
use crate::options::Fraction;
use crate::{Error, Result};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};

/// How triples are split.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KgeSplit {
    /// Fraction of the triples for validation: to choose settings on.
    #[schemars(with = "Fraction")]
    pub valid: f64,
    /// Fraction of the triples for the test: to report on.
    #[schemars(with = "Fraction")]
    pub test: f64,
    /// Seed of the shuffle.
    pub seed: u64,
}

impl Default for KgeSplit {
    fn default() -> Self {
        Self { valid: 0.02, test: 0.02, seed: 42 }
    }
}

impl KgeSplit {
    pub(crate) fn check(&self) -> Result<()> {
        // A fraction that is out of range is named already.
        let (sum, is_said) = (self.valid + self.test, self.valid >= 1.0 || self.test >= 1.0);
        match is_said || sum.is_nan() || sum < 1.0 {
            true => Ok(()),
            false => Err(Error::user("nothing is left to train on").at_key("test")),
        }
    }

    /// Splits distinct triples. All triples between the same two entities, in whatever direction, go to the same split, so
    /// that no test triple has its inverse in training; every entity and every relation keeps a triple in training.
    pub(crate) fn apply(&self, entities: Names, relations: Names, triples: &[Triple]) -> KnowledgeGraph {
        let mut pairs: BTreeMap<(u32, u32), Vec<Triple>> = BTreeMap::new();
        for &t in triples {
            pairs.entry((t.head.min(t.tail), t.head.max(t.tail))).or_default().push(t);
        }
        let mut groups: Vec<Vec<Triple>> = pairs.into_values().collect();
        groups.shuffle(&mut ChaCha8Rng::seed_from_u64(self.seed));
        let (mut of_entity, mut of_relation) = (vec![0u32; entities.len()], vec![0u32; relations.len()]);
        for t in triples {
            of_relation[t.relation as usize] += 1;
        }
        for group in &groups {
            let Some(t) = group.first() else { continue };
            of_entity[t.head as usize] += 1;
            of_entity[t.tail as usize] += u32::from(t.tail != t.head);
        }
        let wanted = |fraction: f64| (fraction * triples.len() as f64).round() as usize;
        let (test_size, valid_size) = (wanted(self.test), wanted(self.valid));
        let mut graph = KnowledgeGraph { entities, relations, ..KnowledgeGraph::default() };
        for group in groups {
            let Some(&first) = group.first() else { continue };
            let mut used: HashMap<u32, u32> = HashMap::new();
            group.iter().for_each(|t| *used.entry(t.relation).or_default() += 1);
            let spare = of_entity[first.head as usize] > 1
                && of_entity[first.tail as usize] > 1
                && used.iter().all(|(&r, &n)| of_relation[r as usize] > n);
            let split = match spare {
                true if graph.test.len() < test_size => &mut graph.test,
                true if graph.valid.len() < valid_size => &mut graph.valid,
                _ => {
                    graph.train.extend(group);
                    continue;
                }
            };
            of_entity[first.head as usize] -= 1;
            of_entity[first.tail as usize] -= u32::from(first.head != first.tail);
            used.iter().for_each(|(&r, n)| of_relation[r as usize] -= n);
            split.extend(group);
        }
        graph
    }
}

impl KnowledgeGraph {
    /// Adds every training triple backwards, by relations that are named after theirs with `⁻¹`.
    pub fn with_reciprocals(mut self) -> Self {
        let backwards: Vec<String> = self.relations.list().iter().map(|name| format!("{name}⁻¹")).collect();
        let ids: Vec<u32> = backwards.iter().map(|name| self.relations.add(name)).collect();
        let reversed =
            self.train.iter().map(|t| Triple { head: t.tail, relation: ids[t.relation as usize], tail: t.head });
        let mut reversed: Vec<Triple> = reversed.collect();
        self.train.append(&mut reversed);
        self
    }

    /// What there is to say of the graph, a line a fact.
    pub fn statistics(&self) -> Vec<String> {
        let mut degree = vec![0usize; self.entities.len()];
        let mut of_relation = vec![0usize; self.relations.len()];
        for t in self.all() {
            degree[t.head as usize] += 1;
            degree[t.tail as usize] += 1;
            of_relation[t.relation as usize] += 1;
        }
        let mut in_training = vec![false; self.entities.len()];
        self.train.iter().for_each(|t| [t.head, t.tail].into_iter().for_each(|e| in_training[e as usize] = true));
        let held_out = self.valid.iter().chain(&self.test).flat_map(|t| [t.head, t.tail]);
        let mut unseen: Vec<u32> = held_out.filter(|&e| !in_training[e as usize]).collect();
        unseen.sort_unstable();
        unseen.dedup();
        let mut sorted = degree.clone();
        sorted.sort_unstable();
        let largest = degree.iter().copied().enumerate().max_by_key(|&(i, d)| (d, std::cmp::Reverse(i)));
        let largest = largest.map_or(String::new(), |(i, d)| format!(", most {d} (`{}`)", self.entities.list()[i]));
        let mut relations: Vec<(usize, &String)> = of_relation.into_iter().zip(self.relations.list()).collect();
        relations.sort_by_key(|&(n, name)| (std::cmp::Reverse(n), name));
        let common: Vec<String> = relations.iter().take(5).map(|(n, name)| format!("{name} {n}")).collect();
        vec![
            format!("{}, {}", counted(self.entities.len(), "entity"), counted(self.relations.len(), "relation")),
            format!("triples: {} train, {} valid, {} test", self.train.len(), self.valid.len(), self.test.len()),
            format!(
                "degree: mean {:.2}, median {}{largest}",
                2.0 * self.all().count() as f64 / self.entities.len().max(1) as f64,
                sorted.get(sorted.len() / 2).copied().unwrap_or(0)
            ),
            format!("most frequent relations: {}", common.join(", ")),
            format!("entities of valid and test that training lacks: {}", unseen.len()),
            self.repeats(),
        ]
    }

    /// How many triples a split has more than once, and how many of valid and test training has, too.
    fn repeats(&self) -> String {
        let [train, valid, test] = [&self.train, &self.valid, &self.test];
        let again = |split: &[Triple]| split.len() - split.iter().collect::<HashSet<_>>().len();
        let trained: HashSet<&Triple> = train.iter().collect();
        let leaked = |split: &[Triple]| split.iter().filter(|triple| trained.contains(triple)).count();
        format!(
            "triples that their split has already: {} train, {} valid, {} test; that training has: {} valid, {} test",
            again(train),
            again(valid),
            again(test),
            leaked(valid),
            leaked(test)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(pairs: u32) -> (Names, Names, Vec<Triple>) {
        let entities: Names = (0..pairs).map(|i| format!("e{i}")).collect();
        let relations: Names = ["r", "inverse", "rare"].into_iter().collect();
        let mut triples = Vec::new();
        for head in 0..pairs {
            for step in [1, 3, 7] {
                let tail = (head + step) % pairs;
                triples.push(Triple { head, relation: 0, tail });
                triples.push(Triple { head: tail, relation: 1, tail: head });
            }
        }
        triples.push(Triple { head: 0, relation: 2, tail: 1 });
        (entities, relations, triples)
    }

    #[test]
    fn reciprocals_are_those_of_training_by_relations_of_their_own() {
        let t = |head, relation, tail| Triple { head, relation, tail };
        let graph = KnowledgeGraph {
            entities: (0..3).map(|i| format!("e{i}")).collect(),
            relations: ["r", "s"].into_iter().collect(),
            train: vec![t(0, 0, 1), t(2, 1, 0)],
            valid: vec![t(0, 1, 2)],
            test: vec![t(1, 0, 2)],
        };
        let both = graph.clone().with_reciprocals();
        assert_eq!(both.relations.list(), ["r", "s", "r⁻¹", "s⁻¹"]);
        assert_eq!(both.train, [t(0, 0, 1), t(2, 1, 0), t(1, 2, 0), t(0, 3, 2)]);
        assert_eq!((&both.entities, &both.valid, &both.test), (&graph.entities, &graph.valid, &graph.test));
    }

    #[test]
    fn repeated_and_leaked_triples_are_counted() {
        let t = |head, relation, tail| Triple { head, relation, tail };
        let entities = (0..4).map(|i| format!("e{i}")).collect();
        // (0, r, 1) is there three times; test has one triple of training twice, and its inverse, which is another.
        let graph = KnowledgeGraph {
            entities,
            relations: ["r"].into_iter().collect(),
            train: vec![t(0, 0, 1), t(1, 0, 2), t(0, 0, 1), t(0, 0, 1)],
            valid: vec![t(2, 0, 3), t(1, 0, 2)],
            test: vec![t(1, 0, 2), t(2, 0, 1), t(1, 0, 2), t(3, 0, 0)],
        };
        let mut lines = graph.statistics();
        assert_eq!(lines[0], "4 entities, 1 relation");
        let line = lines.pop().unwrap();
        let expected =
            "triples that their split has already: 2 train, 0 valid, 1 test; that training has: 1 valid, 2 test";
        assert_eq!(line, expected);
    }

    #[test]
    fn no_inverse_leaks_and_everything_is_seen() {
        let (entities, relations, triples) = graph(100);
        let split = KgeSplit { valid: 0.1, test: 0.2, seed: 1 };
        let graph = split.apply(entities.clone(), relations.clone(), &triples);
        assert_eq!(graph.all().collect::<HashSet<_>>(), triples.iter().collect());
        assert_eq!(graph.all().count(), triples.len());
        assert!((118..=124).contains(&graph.test.len()), "{}", graph.test.len());
        assert!((58..=64).contains(&graph.valid.len()), "{}", graph.valid.len());
        let pair = |t: &Triple| (t.head.min(t.tail), t.head.max(t.tail));
        let trained: HashSet<_> = graph.train.iter().map(pair).collect();
        assert!(graph.test.iter().chain(&graph.valid).all(|t| !trained.contains(&pair(t))));
        let seen: HashSet<u32> = graph.train.iter().flat_map(|t| [t.head, t.tail]).collect();
        assert_eq!(seen.len(), 100);
        assert!(graph.train.iter().any(|t| t.relation == 2));
        assert_eq!(graph, split.apply(entities.clone(), relations.clone(), &triples), "it is deterministic");
        assert_ne!(graph.test, KgeSplit { seed: 2, ..split }.apply(entities, relations, &triples).test);
    }
}
