//! Batches of triples with negatives, prefetched and arranged by the entity that is scored.

use super::known::Known;
use super::model::Side;
use super::triples::KnowledgeGraph;
use crate::Error;
use crate::boundary::guard::refuse;
use crate::data::knowledge::Triple;
use rand::seq::SliceRandom;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::collections::VecDeque;

/// In [`Batch::slots`]: no candidate.
pub const NONE: u32 = u32::MAX;

/// Cells and triples have places of 32 bits, one of which tells anchors.
const MOST: usize = (1 << 31) - 1;

/// Refuses more of something than there are places for.
///
/// # Panics
/// With an error of the user's.
fn check_places(number: usize, what: impl FnOnce() -> String, help: &str) {
    if number > MOST {
        refuse(Error::user(format!("{} are {number}, and {MOST} can be told apart", what())).help(help));
    }
}

fn check_cells(triples: usize, candidates: usize) {
    let what = || format!("the cells of a step of {triples} triples and {candidates} candidates of each");
    check_places(triples.saturating_mul(candidates), what, "make `train.batch` or `train.negatives` smaller");
}

/// How batches are made.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleOptions {
    /// Triples of a batch.
    pub batch: usize,
    /// Negatives of a triple.
    pub negatives: usize,
    /// Whether all triples of a batch have the same negatives.
    pub shared: bool,
    /// Whether frequent queries count less.
    pub subsampling: bool,
    /// Steps of the run.
    pub steps: u32,
    /// Seed of order and negatives.
    pub seed: u64,
}

/// Rows that a step uses, in ascending order, and after how many steps the next one uses each; `u32::MAX` when that is
/// beyond the prefetched batches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used {
    /// The rows.
    pub rows: Vec<u32>,
    /// Steps until each is used again.
    pub gaps: Vec<u32>,
}

impl Used {
    fn new(mut rows: Vec<u32>) -> Self {
        rows.sort_unstable();
        rows.dedup();
        let gaps = vec![u32::MAX; rows.len()];
        Self { rows, gaps }
    }

    fn position(&self, row: u32) -> u32 {
        self.rows.partition_point(|&r| r < row) as u32
    }
}

/// One step's work. A *cell* is a triple's index times [`candidates`](Self::candidates) plus that of a candidate, of
/// which the first is the true answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// The step, from 0.
    pub step: u32,
    /// The side that candidates fill.
    pub open: Side,
    /// The triples.
    pub triples: Vec<Triple>,
    /// Their subsampling weights.
    pub weights: Vec<f32>,
    /// Candidates of a triple, the true one included.
    pub candidates: usize,
    /// The entities to score, each once.
    pub scored: Used,
    /// Where the cells of each scored entity begin in `cells`, and the end.
    pub offsets: Vec<u32>,
    /// Cells by entity.
    pub cells: Vec<u32>,
    /// Where each cell is in `cells`, or [`NONE`].
    pub slots: Vec<u32>,
    /// The entities that queries are made of.
    pub anchors: Used,
    /// The anchor of each triple, by its position in `anchors`.
    pub anchor_of: Vec<u32>,
    /// The relations.
    pub relations: Used,
    /// The relation of each triple, by its position in `relations`.
    pub relation_of: Vec<u32>,
}

impl Batch {
    /// Arranges triples and their candidates: `of_cell` holds the true answer and the negatives of each triple, with
    /// [`NONE`] where there is none. `counts` has a place an entity and one more, and is overwritten.
    ///
    /// # Panics
    /// When a candidate has no place in `counts`, triples differ in their number of candidates, or there are 2³¹ cells.
    pub fn new(
        step: u32,
        open: Side,
        triples: Vec<Triple>,
        weights: Vec<f32>,
        of_cell: &[u32],
        counts: &mut [u32],
    ) -> Self {
        let candidates = of_cell.len() / triples.len().max(1);
        assert_eq!(of_cell.len(), candidates * triples.len(), "triples have the same number of candidates");
        check_cells(triples.len(), candidates);
        let mut batch = Self { step, open, triples, weights, candidates, ..Self::default() };
        counts.fill(0);
        of_cell.iter().filter(|&&e| e != NONE).for_each(|&e| counts[e as usize] += 1);
        let mut sum = 0;
        for (entity, count) in (0..).zip(counts.iter_mut()) {
            let n = std::mem::replace(count, sum);
            if n > 0 {
                batch.scored.rows.push(entity);
                batch.offsets.push(sum);
                sum += n;
            }
        }
        batch.offsets.push(sum);
        batch.scored.gaps = vec![u32::MAX; batch.scored.rows.len()];
        batch.cells = vec![0; sum as usize];
        batch.slots = vec![NONE; of_cell.len()];
        for (cell, &entity) in of_cell.iter().enumerate().filter(|(_, e)| **e != NONE) {
            let slot = &mut counts[entity as usize];
            batch.cells[*slot as usize] = cell as u32;
            batch.slots[cell] = *slot;
            *slot += 1;
        }
        let anchors: Vec<u32> = batch.triples.iter().map(|t| t.sides(open).0).collect();
        batch.anchors = Used::new(anchors.clone());
        batch.anchor_of = anchors.iter().map(|&a| batch.anchors.position(a)).collect();
        batch.relations = Used::new(batch.triples.iter().map(|t| t.relation).collect());
        batch.relation_of = batch.triples.iter().map(|t| batch.relations.position(t.relation)).collect();
        batch
    }

    /// The entities that are scored or that queries are made of, each once.
    pub(super) fn entities(&self) -> impl Iterator<Item = u32> {
        let asked = self.anchors.rows.iter().filter(|row| self.scored.rows.binary_search(row).is_err());
        self.scored.rows.iter().chain(asked).copied()
    }
}

/// Where a row was last used: a step and a position in its lists, whose highest bit tells anchors.
#[derive(Debug, Clone, Copy)]
struct Seen {
    step: u32,
    position: u32,
}

const ANCHOR: u32 = 1 << 31;
const NEVER: Seen = Seen { step: u32::MAX, position: 0 };

/// Makes the batches of a run, one after another. What a batch holds depends on seed and step alone, so that a run can be
/// resumed at any step.
pub struct Sampler<'a> {
    graph: &'a KnowledgeGraph,
    known: &'a Known,
    options: SampleOptions,
    weights: Vec<f32>,
    orders: [(u32, Vec<u32>); 2],
    next: u32,
    window: u32,
    at_once: u32,
    prefetched: VecDeque<Batch>,
    entities: Vec<Seen>,
    relations: Vec<Seen>,
    counts: Vec<u32>,
}

impl<'a> Sampler<'a> {
    /// The batches from step `first` on; `known` are the training triples.
    ///
    /// # Panics
    /// When triples, or the cells of a step, are 2³¹ or more.
    pub fn new(graph: &'a KnowledgeGraph, known: &'a Known, options: SampleOptions, first: u32) -> Self {
        check_places(graph.train.len(), || "the triples to learn from".to_owned(), "leave triples out");
        check_cells(options.batch.min(graph.train.len()), options.negatives.saturating_add(1));
        let weights = match options.subsampling {
            true => graph.train.iter().map(|&t| subsampling_weight(known, t)).collect(),
            false => vec![1.0; graph.train.len()],
        };
        let window = window(&options);
        let (entities, relations) = (graph.entities.len(), graph.relations.len());
        Self {
            graph,
            known,
            options,
            weights,
            orders: [(u32::MAX, Vec::new()), (u32::MAX, Vec::new())],
            next: first,
            window,
            at_once: 1,
            prefetched: VecDeque::new(),
            entities: vec![NEVER; entities],
            relations: vec![NEVER; relations],
            counts: vec![0; entities + 1],
        }
    }

    fn random(&self, kind: u64, number: u64) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(self.options.seed);
        random.set_stream(kind << 56 | number);
        random
    }

    /// Batch number `turn` of one side: consecutive triples of a shuffled order, a new one each epoch, whose last batch may
    /// be smaller.
    fn chosen(&mut self, side: usize, turn: u32) -> Vec<u32> {
        let n = self.graph.train.len();
        let per_epoch = n.div_ceil(self.options.batch) as u32;
        let epoch = turn / per_epoch;
        if self.orders[side].0 != epoch {
            let mut order: Vec<u32> = (0..n as u32).collect();
            order.shuffle(&mut self.random(1 + side as u64, u64::from(epoch)));
            self.orders[side] = (epoch, order);
        }
        let start = (turn % per_epoch) as usize * self.options.batch;
        self.orders[side].1[start..start.saturating_add(self.options.batch).min(n)].to_vec()
    }

    /// The batch of a step, of these training triples. `counts` has a place an entity and one more, and is overwritten.
    fn make(&self, step: u32, chosen: &[u32], counts: &mut [u32]) -> Batch {
        let open = Side::BOTH[(step % 2) as usize];
        let triples: Vec<Triple> = chosen.iter().map(|&i| self.graph.train[i as usize]).collect();
        let weights = chosen.iter().map(|&i| self.weights[i as usize]).collect();
        let entities = self.graph.entities.len() as u64;
        let mut random = self.random(0, u64::from(step));
        let mut draw = move || ((u64::from(random.next_u32()) * entities) >> 32) as u32;
        let negatives = self.options.negatives;
        let candidates = 1 + negatives;
        let mut of_cell = Vec::with_capacity(triples.len() * candidates);
        let shared: Vec<u32> = if self.options.shared { (0..negatives).map(|_| draw()).collect() } else { Vec::new() };
        for &triple in &triples {
            of_cell.push(triple.sides(open).1);
            let known = self.known.answers(triple, open);
            // Where every entity is a known answer, none can be drawn.
            let none = known.len() as u64 == entities;
            let is_known = |e: u32| known.binary_search(&e).is_ok();
            match self.options.shared {
                true => of_cell.extend(shared.iter().map(|&e| if is_known(e) { NONE } else { e })),
                false if none => of_cell.extend(std::iter::repeat_n(NONE, negatives)),
                false => {
                    for _ in 0..negatives {
                        let mut entity = draw();
                        while is_known(entity) {
                            entity = draw();
                        }
                        of_cell.push(entity);
                    }
                }
            }
        }
        Batch::new(step, open, triples, weights, &of_cell, counts)
    }

    /// The next batches, some at once.
    fn make_some(&mut self) -> Vec<Batch> {
        let last = self.options.steps.min(self.next + self.at_once);
        let chosen: Vec<(u32, Vec<u32>)> =
            (self.next..last).map(|step| (step, self.chosen((step % 2) as usize, step / 2))).collect();
        self.next = last;
        if let [(step, chosen)] = &chosen[..] {
            let mut counts = std::mem::take(&mut self.counts);
            let batch = self.make(*step, chosen, &mut counts);
            self.counts = counts;
            return vec![batch];
        }
        let counts = || vec![0; self.graph.entities.len() + 1];
        let made = chosen.par_iter().map_init(counts, |counts, (step, chosen)| self.make(*step, chosen, counts));
        made.collect()
    }

    /// Makes up to so many batches at once, on all threads of the CPU: where these have nothing else to do. The batches are the
    /// same.
    #[must_use]
    pub fn at_once(self, batches: u32) -> Self {
        Self { at_once: batches.max(1), ..self }
    }

    /// Tells the prefetched batches that this one uses their rows again.
    fn announce(&mut self, batch: &Batch) {
        let step = batch.step;
        let oldest = self.prefetched.front().map_or(step, |b| b.step);
        let mut tell = |seen: &mut Seen, entity: bool, position: u32| {
            let before = std::mem::replace(seen, Seen { step, position });
            // A row that is scored and an anchor in one step is told of twice.
            if before.step == step || before.step == NEVER.step || before.step < oldest {
                return;
            }
            let earlier = &mut self.prefetched[(before.step - oldest) as usize];
            let used = match (entity, before.position & ANCHOR != 0) {
                (false, _) => &mut earlier.relations,
                (true, true) => &mut earlier.anchors,
                (true, false) => &mut earlier.scored,
            };
            used.gaps[(before.position & !ANCHOR) as usize] = step - before.step;
        };
        for (position, &row) in (0..).zip(&batch.scored.rows) {
            tell(&mut self.entities[row as usize], true, position);
        }
        for (position, &row) in (0..).zip(&batch.anchors.rows) {
            tell(&mut self.entities[row as usize], true, position | ANCHOR);
        }
        for (position, &row) in (0..).zip(&batch.relations.rows) {
            tell(&mut self.relations[row as usize], false, position);
        }
    }

    /// Up to how many steps the gaps between uses of a row are told apart.
    pub fn window(&self) -> u32 {
        self.window
    }
}

/// How many batches are prefetched: as many as 100 MB hold, and no more than are worth it: what a row moves by after more steps is
/// applied later.
pub fn window(options: &SampleOptions) -> u32 {
    let bytes = options.batch.saturating_mul(options.negatives.saturating_add(1)).saturating_mul(12);
    (100_000_000 / bytes.max(1)).clamp(4, 64) as u32
}

impl Iterator for Sampler<'_> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        while self.prefetched.len() <= self.window as usize && self.next < self.options.steps {
            for batch in self.make_some() {
                self.announce(&batch);
                self.prefetched.push_back(batch);
            }
        }
        self.prefetched.pop_front()
    }
}

/// 1/√(c(h, r) + c(t, r⁻¹)) with c = 3 + how often head and relation, or tail and relation, occur in training.
fn subsampling_weight(known: &Known, triple: Triple) -> f32 {
    let count = |side| known.answers(triple, side).len() as f32 + 3.0;
    (count(Side::Tail) + count(Side::Head)).sqrt().recip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::guard::catch;
    use std::collections::HashMap;

    fn graph() -> KnowledgeGraph {
        let entities = (0..40).map(|i| format!("e{i}")).collect();
        let relations = ["r", "s"].into_iter().collect();
        let triple = |i: u32| Triple { head: i % 40, relation: i % 2, tail: (i * 7 + i / 40) % 40 };
        KnowledgeGraph { entities, relations, train: (0..90).map(triple).collect(), ..Default::default() }
    }

    fn options() -> SampleOptions {
        SampleOptions { batch: 16, negatives: 5, shared: false, subsampling: true, steps: 60, seed: 3 }
    }

    #[test]
    fn batches_cover_the_triples_of_an_epoch_and_have_no_known_negatives() {
        let graph = graph();
        let known = Known::new(&graph.train);
        for shared in [false, true] {
            let options = SampleOptions { shared, ..options() };
            let batches: Vec<Batch> = Sampler::new(&graph, &known, options, 0).collect();
            assert_eq!(batches.len(), 60);
            for side in [0, 1] {
                let of_side = || batches.iter().skip(side).step_by(2);
                // 90 triples are six batches, the last of ten.
                let epoch: Vec<Triple> = of_side().take(6).flat_map(|b| b.triples.clone()).collect();
                let sorted = |mut triples: Vec<Triple>| {
                    triples.sort();
                    triples
                };
                assert_eq!(sorted(epoch), sorted(graph.train.clone()));
                assert!(of_side().all(|b| b.open == Side::BOTH[side]));
            }
            for batch in &batches {
                let mut of_cell = vec![NONE; batch.slots.len()];
                for (position, &row) in batch.scored.rows.iter().enumerate() {
                    for k in batch.offsets[position]..batch.offsets[position + 1] {
                        of_cell[batch.cells[k as usize] as usize] = row;
                        assert_eq!(batch.slots[batch.cells[k as usize] as usize], k);
                    }
                }
                for (triple, cells) in batch.triples.iter().zip(of_cell.chunks(6)) {
                    assert_eq!(cells[0], triple.sides(batch.open).1);
                    let answers = known.answers(*triple, batch.open);
                    assert!(cells[1..].iter().all(|e| *e == NONE || !answers.contains(e)));
                    assert!(shared || !cells.contains(&NONE));
                }
            }
        }
    }

    #[test]
    fn more_cells_than_there_are_places_for_are_refused_before_any_is_made() {
        check_cells(MOST, 1);
        let (graph, known) = (graph(), Known::new(&graph().train));
        for negatives in [1 << 28, 1 << 40, usize::MAX] {
            let options = SampleOptions { negatives, ..options() };
            let refused = catch(|| {
                drop(Sampler::new(&graph, &known, options, 0));
                Ok(())
            });
            let error = refused.unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let says = format!("a step of 16 triples and {} candidates of each", negatives.saturating_add(1));
            assert!(error.message().contains(&says) && error.to_string().contains("`train.batch`"), "{error}");
        }
        let options = SampleOptions { batch: usize::MAX, negatives: usize::MAX, ..options() };
        assert_eq!(window(&options), 4);
    }

    #[test]
    fn batches_made_at_once_are_the_same() {
        let graph = graph();
        let known = Known::new(&graph.train);
        let one: Vec<Batch> = Sampler::new(&graph, &known, options(), 0).collect();
        // Within the window of gaps that are told apart; here it is longer than the run.
        let some: Vec<Batch> = Sampler::new(&graph, &known, options(), 0).at_once(7).collect();
        assert_eq!(one, some);
    }

    #[test]
    fn gaps_say_when_a_row_is_used_again() {
        let graph = graph();
        let known = Known::new(&graph.train);
        let batches: Vec<Batch> = Sampler::new(&graph, &known, options(), 0).collect();
        let mut next: HashMap<u32, u32> = HashMap::new();
        let mut relation_next: HashMap<u32, u32> = HashMap::new();
        for batch in batches.iter().rev() {
            for (row, gap) in batch.relations.rows.iter().zip(&batch.relations.gaps) {
                assert_eq!(*gap, relation_next.get(row).map_or(u32::MAX, |n| n - batch.step));
            }
            relation_next.extend(batch.relations.rows.iter().map(|&row| (row, batch.step)));
            let anchors: Vec<u32> = batch.anchors.rows.clone();
            let scored = batch.scored.rows.iter().zip(&batch.scored.gaps).filter(|(row, _)| !anchors.contains(row));
            for (row, gap) in scored.chain(anchors.iter().zip(&batch.anchors.gaps)) {
                assert_eq!(
                    *gap,
                    next.get(row).map_or(u32::MAX, |n| n - batch.step),
                    "row {row} of step {}",
                    batch.step
                );
            }
            next.extend(batch.scored.rows.iter().chain(&anchors).map(|&row| (row, batch.step)));
        }
    }

    #[test]
    fn a_run_can_be_taken_up_anywhere() {
        let graph = graph();
        let known = Known::new(&graph.train);
        let all: Vec<Batch> = Sampler::new(&graph, &known, options(), 0).collect();
        let rest: Vec<Batch> = Sampler::new(&graph, &known, options(), 31).collect();
        assert_eq!(rest[..], all[31..]);
    }
}
