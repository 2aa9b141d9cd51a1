//! Filtered ranks: each true answer among all entities, without the other known ones.

use super::known::Known;
use super::model::{EmbeddingModel, Queries, Side};
use super::step::Parameters;
use crate::data::knowledge::Triple;
use crate::progress::Progress;
use rayon::prelude::*;
use std::cmp::Ordering;
use std::convert::Infallible;

/// Queries that are scored together: their rows stay in the second-level cache while entities pass by.
const BLOCK: usize = 64;
/// Entities that a thread takes at a time.
const RUN: usize = 512;

/// Where a true answer stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rank {
    /// The side that was asked for.
    pub side: Side,
    /// Entities with a higher score, and those that cannot be compared: a score that is NaN stands above the answer's, and an
    /// answer whose score is NaN stands last.
    pub above: u32,
    /// Other entities with the same score.
    pub equal: u32,
    /// Other entities with the same score and a smaller index.
    pub equal_before: u32,
    /// Entities that were ranked, the true one included.
    pub candidates: u32,
}

/// Which place an answer has among others of the same score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ties {
    /// The mean of the first and the last place.
    Realistic,
    /// The place in a stable sort: the published code sorts and has no rule.
    Published,
}

impl Rank {
    /// The rank, from 1.
    pub fn value(self, ties: Ties) -> f64 {
        let equal = match ties {
            Ties::Realistic => f64::from(self.equal) / 2.0,
            Ties::Published => f64::from(self.equal_before),
        };
        1.0 + f64::from(self.above) + equal
    }

    /// What a random order would give on average.
    pub fn expected(self) -> f64 {
        (f64::from(self.candidates) + 1.0) / 2.0
    }

    fn count(&mut self, score: f32, truth: f32, before: bool, by: u32, add: bool) {
        let change = |n: &mut u32| *n = if add { *n + by } else { *n - by };
        match score.partial_cmp(&truth) {
            Some(Ordering::Less) => {}
            Some(Ordering::Greater) | None => change(&mut self.above),
            Some(Ordering::Equal) => {
                change(&mut self.equal);
                if before {
                    change(&mut self.equal_before);
                }
            }
        }
    }
}

/// Scores of candidates against queries, by whatever ranks them.
pub trait Scorer: Sync {
    /// Prepares queries for triples whose side `open` is asked for.
    fn queries(&self, triples: &[Triple], open: Side) -> Vec<f32>;

    /// Scores of an entity for the queries `rows`; `relations` are those of all triples of the block.
    fn scores(&self, entity: u32, triples: &[Triple], open: Side, queries: Queries<'_>, scores: &mut [f32]);
}

/// A trained model as a scorer.
pub struct Trained<'a> {
    /// The model.
    pub model: &'a dyn EmbeddingModel,
    /// Its parameters.
    pub parameters: &'a Parameters,
}

impl Scorer for Trained<'_> {
    fn queries(&self, triples: &[Triple], open: Side) -> Vec<f32> {
        let width = self.model.query_width();
        let mut values = vec![0.0; triples.len() * width];
        for (query, triple) in values.chunks_exact_mut(width).zip(triples) {
            let entity = self.parameters.entities.row(triple.sides(open).0);
            self.model.query(open, entity, self.parameters.relations.row(triple.relation), query);
        }
        values
    }

    fn scores(&self, entity: u32, _: &[Triple], _: Side, queries: Queries<'_>, scores: &mut [f32]) {
        let mut saved = [0.0; 4 * BLOCK];
        let saved = &mut saved[..queries.rows.len() * self.model.saved().min(4)];
        let (row, shared) = (self.parameters.entities.row(entity), &self.parameters.shared.values);
        self.model.scores(row, queries, shared, scores, saved);
    }
}

/// Ranks of triples on both sides, tails first: `2 × triples.len()` of them. Entities in `known` are left out but for the
/// true one. Takes memory for a block of queries and a few counters.
pub fn ranks(
    scorer: &dyn Scorer,
    entities: usize,
    triples: &[Triple],
    known: &Known,
    progress: &dyn Progress,
) -> Vec<Rank> {
    let always = || Ok::<(), Infallible>(());
    let Ok(ranks) = ranks_while(scorer, entities, triples, known, progress, &always);
    ranks
}

/// The same, as long as `go_on`, which is asked before each block, has nothing against it.
///
/// # Errors
/// Those of `go_on`.
pub(crate) fn ranks_while<E>(
    scorer: &dyn Scorer,
    entities: usize,
    triples: &[Triple],
    known: &Known,
    progress: &dyn Progress,
    go_on: &dyn Fn() -> Result<(), E>,
) -> Result<Vec<Rank>, E> {
    let mut task = progress.begin("ranking", "queries", Some(2 * triples.len() as u64));
    let mut all = Vec::with_capacity(2 * triples.len());
    for open in Side::BOTH {
        for block in triples.chunks(BLOCK) {
            go_on()?;
            all.extend(block_ranks(scorer, entities as u32, block, open, known));
            task.advance(block.len() as u64);
        }
    }
    task.finish("");
    Ok(all)
}

fn block_ranks(scorer: &dyn Scorer, entities: u32, block: &[Triple], open: Side, known: &Known) -> Vec<Rank> {
    let values = scorer.queries(block, open);
    let one = |i: usize, entity: u32| {
        let mut score = [0.0];
        scorer.scores(entity, block, open, Queries { values: &values, rows: &[i as u32] }, &mut score);
        score[0]
    };
    let answers: Vec<u32> = block.iter().map(|t| t.sides(open).1).collect();
    let truths: Vec<f32> = answers.iter().enumerate().map(|(i, &answer)| one(i, answer)).collect();
    let rows: Vec<u32> = (0..block.len() as u32).collect();
    let none = || vec![Rank { side: open, candidates: entities, ..Rank::default() }; block.len()];
    let starts: Vec<u32> = (0..entities).step_by(RUN).collect();
    let counted = starts.into_par_iter().fold(none, |mut ranks, start| {
        let mut scores = [0.0; BLOCK];
        let scores = &mut scores[..block.len()];
        for entity in start..start.saturating_add(RUN as u32).min(entities) {
            scorer.scores(entity, block, open, Queries { values: &values, rows: &rows }, scores);
            for (((rank, &score), &truth), &answer) in ranks.iter_mut().zip(scores.iter()).zip(&truths).zip(&answers) {
                // Rare, but for the few that stand above.
                if score.partial_cmp(&truth) != Some(Ordering::Less) && entity != answer {
                    rank.count(score, truth, entity < answer, 1, true);
                }
            }
        }
        ranks
    });
    let mut ranks = counted.reduce(none, |mut a, b| {
        for (a, b) in a.iter_mut().zip(b) {
            a.above += b.above;
            a.equal += b.equal;
            a.equal_before += b.equal_before;
        }
        a
    });
    for (i, rank) in ranks.iter_mut().enumerate() {
        for &other in known.answers(block[i], open).iter().filter(|&&e| e != answers[i] && e < entities) {
            rank.count(one(i, other), truths[i], other < answers[i], 1, false);
            rank.candidates -= 1;
        }
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    /// Scores entities by a table of their own.
    struct Fixed(Vec<f32>);

    impl Scorer for Fixed {
        fn queries(&self, _: &[Triple], _: Side) -> Vec<f32> {
            Vec::new()
        }

        fn scores(&self, entity: u32, _: &[Triple], _: Side, _: Queries<'_>, scores: &mut [f32]) {
            scores.fill(self.0[entity as usize]);
        }
    }

    #[test]
    fn ranks_by_hand() {
        let t = |head, relation, tail| Triple { head, relation, tail };
        let known = Known::new(&[t(0, 0, 1), t(0, 0, 2), t(3, 0, 1)]);
        // Tails of (0, r): entity 2 is known and left out, 4 and 5 tie with the answer 1, 6 and 7 are above.
        let scorer = Fixed(vec![0.0, 2.0, 9.0, 1.0, 2.0, 2.0, 3.0, 4.0]);
        let found = ranks(&scorer, 8, &[t(0, 0, 1)], &known, &Silent);
        let tail = Rank { side: Side::Tail, above: 2, equal: 2, equal_before: 0, candidates: 7 };
        // Heads of (r, 1): entity 3 is left out; everything else but the answer 0 is above.
        let head = Rank { side: Side::Head, above: 6, equal: 0, equal_before: 0, candidates: 7 };
        assert_eq!(found, [tail, head]);
        assert_eq!((tail.value(Ties::Realistic), tail.value(Ties::Published), tail.expected()), (4.0, 3.0, 4.0));
        let after = Rank { equal_before: 2, ..tail };
        assert_eq!(after.value(Ties::Published), 5.0);
    }

    #[test]
    fn ranking_ends_before_the_next_block_once_it_is_asked_to() {
        let triples = vec![Triple { head: 0, relation: 0, tail: 1 }; 3 * BLOCK];
        let (scorer, known) = (Fixed(vec![1.0, 2.0]), Known::new(&triples));
        let asked = std::cell::Cell::new(0);
        let until = |last: u32| {
            asked.set(0);
            let go_on = || {
                asked.set(asked.get() + 1);
                if asked.get() > last { Err("stopped") } else { Ok(()) }
            };
            ranks_while(&scorer, 2, &triples, &known, &Silent, &go_on).map(|ranks| ranks.len())
        };
        // Three blocks of tails and three of heads.
        assert_eq!((until(4), asked.get()), (Err("stopped"), 5));
        assert_eq!((until(6), asked.get()), (Ok(6 * BLOCK), 6));
    }

    #[test]
    fn what_is_no_number_counts_against_the_answer() {
        let t = |head, relation, tail| Triple { head, relation, tail };
        let known = Known::new(&[t(0, 0, 1), t(0, 0, 2)]);
        let found = |scores: [f32; 5]| ranks(&Fixed(scores.to_vec()), 5, &[t(0, 0, 1)], &known, &Silent)[0];
        let tail = Rank { side: Side::Tail, candidates: 4, ..Rank::default() };
        // Entity 2 is known and left out, whatever it has; 3 is NaN and counts as above, 4 is below.
        for known in [f32::NAN, 9.0, 0.0] {
            assert_eq!(found([0.0, 1.0, known, f32::NAN, 0.5]), Rank { above: 1, ..tail });
        }
        // The answer's own score is NaN: the last place, beside others that are NaN, too.
        for others in [0.0, f32::NAN, f32::NEG_INFINITY] {
            let rank = found([others, f32::NAN, others, others, others]);
            assert_eq!(rank, Rank { above: 3, ..tail });
            assert_eq!([Ties::Realistic, Ties::Published].map(|ties| rank.value(ties)), [4.0; 2]);
        }
    }
}
