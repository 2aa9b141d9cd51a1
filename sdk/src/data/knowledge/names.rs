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

/// Leaves out entities in fewer than `least` triples until none is left, and gives what remains new ids, in the order of the old
/// ones.
pub(super) fn filter(
    entities: &Names,
    relations: &Names,
    mut triples: Vec<Triple>,
    least: usize,
) -> (Names, Names, Vec<Triple>) {
    loop {
        let mut degree = vec![0usize; entities.len()];
        for t in &triples {
            degree[t.head as usize] += 1;
            degree[t.tail as usize] += usize::from(t.tail != t.head);
        }
        let before = triples.len();
        triples.retain(|t| degree[t.head as usize] >= least && degree[t.tail as usize] >= least);
        if triples.len() == before {
            break;
        }
    }
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
    }
}
