//! Triples of entities and relations by their ids, and the names of both.

use crate::Error;
use crate::boundary::guard::refuse;
use std::collections::HashMap;

/// A fact: head, relation, tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Triple {
    /// Entity that the relation leaves.
    pub head: u32,
    /// The relation.
    pub relation: u32,
    /// Entity that it leads to.
    pub tail: u32,
}

/// The id of the next of `names` names. The last number of 32 bits stands for none.
fn next_id(names: usize) -> u32 {
    u32::try_from(names).ok().filter(|&id| id < u32::MAX).unwrap_or_else(|| {
        let message = format!("there are more than {} entities or relations, and no ids for more", u32::MAX);
        refuse(Error::user(message).help("leave sources out, or split them into several graphs"))
    })
}

/// Names with ids from 0, in order of first use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    list: Vec<String>,
    index: HashMap<String, u32>,
}

impl Names {
    /// The id of a name, which is added when it is new.
    ///
    /// # Panics
    /// With an error of the user's when there are 2³² − 1 names.
    pub fn add(&mut self, name: &str) -> u32 {
        if let Some(&known) = self.index.get(name) {
            return known;
        }
        let id = next_id(self.list.len());
        self.list.push(name.to_owned());
        self.index.insert(name.to_owned(), id);
        id
    }

    /// The id of a name.
    pub fn get(&self, name: &str) -> Option<u32> {
        self.index.get(name).copied()
    }

    /// All names, by id.
    pub fn list(&self) -> &[String] {
        &self.list
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl<S: AsRef<str>> FromIterator<S> for Names {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        let mut all = Self::default();
        for name in names {
            all.add(name.as_ref());
        }
        all
    }
}

/// Which triples are left when entities in fewer than `least` of those that are left go, again and again. Each entity and each triple goes
/// once, so that long chains, which fall apart from their ends, take no longer than others.
fn dense(entities: usize, triples: &[Triple], least: usize) -> Vec<bool> {
    let mut triples_of = vec![Vec::new(); entities];
    for (i, t) in triples.iter().enumerate() {
        triples_of[t.head as usize].push(i);
        if t.tail != t.head {
            triples_of[t.tail as usize].push(i);
        }
    }
    let mut degree: Vec<usize> = triples_of.iter().map(Vec::len).collect();
    let mut rare: Vec<usize> = (0..entities).filter(|&entity| degree[entity] < least).collect();
    let mut stays = vec![true; triples.len()];
    while let Some(entity) = rare.pop() {
        for &i in &triples_of[entity] {
            if std::mem::replace(&mut stays[i], false) {
                let t = triples[i];
                let other = (if t.head as usize == entity { t.tail } else { t.head }) as usize;
                degree[other] -= 1;
                // Only now: before, it is among the rare ones already.
                if degree[other] + 1 == least {
                    rare.push(other);
                }
            }
        }
    }
    stays
}

/// Leaves out entities in fewer than `least` triples until none is left, and gives what remains new ids, in the order of the old
/// ones.
pub(super) fn filter(
    entities: &Names,
    relations: &Names,
    mut triples: Vec<Triple>,
    least: usize,
) -> (Names, Names, Vec<Triple>) {
    let mut stays = dense(entities.len(), &triples, least).into_iter();
    triples.retain(|_| stays.next().unwrap_or(false));
    let kept = |names: &Names, used: &dyn Fn(&Triple) -> [u32; 2]| {
        let mut is_used = vec![false; names.len()];
        triples.iter().for_each(|t| used(t).into_iter().for_each(|i| is_used[i as usize] = true));
        let list = names.list().iter().zip(&is_used).filter(|(_, used)| **used).map(|(name, _)| name);
        list.collect::<Names>()
    };
    let (new_entities, new_relations) = (kept(entities, &|t| [t.head, t.tail]), kept(relations, &|t| [t.relation; 2]));
    let new_ids = |from: &Names, to: &Names| -> Vec<u32> {
        from.list().iter().map(|name| to.get(name).unwrap_or(u32::MAX)).collect()
    };
    let (entity, relation) = (new_ids(entities, &new_entities), new_ids(relations, &new_relations));
    for t in &mut triples {
        *t = Triple {
            head: entity[t.head as usize],
            relation: relation[t.relation as usize],
            tail: entity[t.tail as usize],
        };
    }
    (new_entities, new_relations, triples)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::guard::catch;

    #[test]
    fn ids_end_before_the_number_that_stands_for_none() {
        let id = |names: usize| catch(|| Ok(next_id(names)));
        assert_eq!([0, 1 << 31, u32::MAX as usize - 1].map(|names| id(names).unwrap()), [0, 1 << 31, u32::MAX - 1]);
        for names in [u32::MAX as usize, 1 << 32, (1 << 32) + 1] {
            let error = id(names).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains("more than 4294967295 entities"), "{error}");
        }
    }

    #[test]
    fn rare_entities_are_left_out_again_and_again() {
        // A chain 0-1-2-3 falls apart from its ends; the triangle 4-5-6 stays.
        let entities: Names = (0..7).map(|i| format!("e{i}")).collect();
        let relations: Names = ["chain", "triangle"].into_iter().collect();
        let t = |head, relation, tail| Triple { head, relation, tail };
        let triples = vec![t(0, 0, 1), t(1, 0, 2), t(2, 0, 3), t(4, 1, 5), t(5, 1, 6), t(6, 1, 4)];
        let (entities, relations, triples) = filter(&entities, &relations, triples, 2);
        assert_eq!(entities.list(), ["e4", "e5", "e6"]);
        assert_eq!(relations.list(), ["triangle"]);
        assert_eq!(triples, [t(0, 0, 1), t(1, 0, 2), t(2, 0, 0)]);
        // What is about itself counts once.
        let triples = vec![t(0, 0, 0), t(0, 0, 1), t(1, 0, 1), t(2, 0, 2)];
        assert_eq!(dense(3, &triples, 2), [true, true, true, false]);
    }

    /// By rounds over all that is left this took as many as the chain has triples.
    #[test]
    fn long_chains_fall_apart_as_fast_as_others() {
        let triples: Vec<Triple> = (0..1_000_000).map(|i| Triple { head: i, relation: 0, tail: i + 1 }).collect();
        let begun = std::time::Instant::now();
        assert!(!dense(triples.len() + 1, &triples, 2).contains(&true));
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }
}
