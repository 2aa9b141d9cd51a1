//! One training step: scores, loss, gradients and Adam, fused by entity.
//!
//! Cells (pairs of a query and a candidate) are sorted by candidate. The forward pass reads each used row of the entity
//! table once and keeps a few numbers a cell. The backward pass walks the entities in the same order, computes again what
//! it needs, gathers an entity's gradient in the first-level cache and applies Adam to its row at once: no gradient of the
//! entity table exists at any time, and nothing of the size batch × negatives × dimension. Entities that queries are made
//! of wait until the gradients of the queries are complete.

use super::adam::{Adam, Late, Part, Rates, Table};
use super::loss::log_likelihood;
use super::model::{EmbeddingModel, Queries};
use super::sample::{Batch, NONE, Used};
use crate::simd::prefetch;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::ops::Range;

/// All parameters of a model, with the moments of Adam.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parameters {
    /// A row an entity.
    pub entities: Table,
    /// A row a relation.
    pub relations: Table,
    /// One row: what all triples share.
    pub shared: Table,
}

impl Parameters {
    /// Initial values, drawn from a generator of this seed.
    pub fn new(model: &dyn EmbeddingModel, entities: usize, relations: usize, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(u64::MAX);
        let mut uniform = move || (random.next_u32() >> 8) as f32 / (1u32 << 24) as f32;
        let (width, relation_width) = (model.entity_width(), model.relation_width());
        let mut values = vec![0.0; entities * width];
        values.chunks_exact_mut(width).for_each(|row| model.init_entity(&mut uniform, row));
        let mut relation_values = vec![0.0; relations * relation_width];
        relation_values.chunks_exact_mut(relation_width).for_each(|row| model.init_relation(&mut uniform, row));
        let shared = model.shared();
        Self {
            entities: Table::new(width, values),
            relations: Table::new(relation_width, relation_values),
            shared: Table::new(shared.len(), shared),
        }
    }

    /// Moves every row on to where it is before step `now`.
    pub(super) fn catch_up(&mut self, now: u32, late: &mut Late) {
        for table in [&mut self.entities, &mut self.relations] {
            table.catch_up(0..table.last.len() as u32, now, late);
        }
    }
}

/// Scored entities that one thread takes at a time: a range of them and of their cells.
#[derive(Debug, Clone)]
struct Group {
    entities: Range<usize>,
    cells: Range<usize>,
    anchors: Range<usize>,
}

/// Trains a model batch by batch.
pub struct Stepper<'a> {
    model: &'a dyn EmbeddingModel,
    /// The parameters. Rows are moved on to the next step that uses them, as far as the window tells of it; the rest
    /// follows when they are used, and in [`into_parameters`](Stepper::into_parameters).
    pub parameters: Parameters,
    adam: Adam,
    window: u32,
    late: Late,
    /// The step that comes next.
    next: u32,
    /// Temperature α of the self-adversarial weights; 0 weighs all negatives alike.
    alpha: f32,
    queries: Vec<f32>,
    scores: Vec<f32>,
    saved: Vec<f32>,
    d_cells: Vec<f32>,
    d_queries: Vec<Vec<f32>>,
    d_rows: Vec<f32>,
    d_anchors: Vec<f32>,
    d_relations: Vec<f32>,
}

/// The gradient of a batch's loss, for tests and other optimizers.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradients {
    /// The loss.
    pub loss: f64,
    /// Scores by cell.
    pub scores: Vec<f32>,
    /// `[entities, width]`
    pub entities: Vec<f32>,
    /// `[relations, width]`
    pub relations: Vec<f32>,
    /// Gradients of what all triples share.
    pub shared: Vec<f32>,
}

/// How many parts a step's work has: the same for up to four threads, so that results do not depend on their number.
fn parts() -> usize {
    rayon::current_num_threads().next_power_of_two().max(4)
}

impl<'a> Stepper<'a> {
    /// Trains `parameters`; gaps between uses of a row are told apart up to `window` steps.
    pub fn new(model: &'a dyn EmbeddingModel, parameters: Parameters, adam: Adam, window: u32, alpha: f32) -> Self {
        let (empty, late) = (Vec::new, Late::new(adam.clone(), window));
        Self {
            model,
            parameters,
            adam,
            window,
            late,
            next: 0,
            alpha,
            queries: empty(),
            scores: empty(),
            saved: empty(),
            d_cells: empty(),
            d_queries: Vec::new(),
            d_rows: empty(),
            d_anchors: empty(),
            d_relations: empty(),
        }
    }

    /// The learning rate of a step.
    pub fn rate(&self, step: u32) -> f64 {
        self.adam.rate(step)
    }

    /// One step of Adam; the loss before it.
    pub fn step(&mut self, batch: &Batch) -> f64 {
        let (parameters, relations) = (&mut self.parameters, batch.relations.rows.iter().copied());
        parameters.entities.catch_up(batch.entities(), batch.step, &mut self.late);
        parameters.relations.catch_up(relations, batch.step, &mut self.late);
        self.next = batch.step + 1;
        let loss = self.forward(batch);
        let rates = self.adam.rates(batch.step, self.window);
        let d_shared = self.backward(batch, Some(&rates), &mut []);
        update(&mut self.parameters.entities, &batch.anchors, &self.d_anchors, &rates);
        update(&mut self.parameters.relations, &batch.relations, &self.d_relations, &rates);
        if !d_shared.is_empty() {
            self.parameters.shared.all().update(0, &d_shared, 1, &rates);
        }
        loss
    }

    /// All parameters, as dense Adam has them after the last step but for rows that were moved on to steps which did not follow.
    pub fn into_parameters(mut self) -> Parameters {
        self.parameters.catch_up(self.next, &mut self.late);
        self.parameters
    }

    /// Loss and gradients without a step.
    pub fn gradients(&mut self, batch: &Batch) -> Gradients {
        let loss = self.forward(batch);
        let width = self.parameters.entities.width;
        let mut entities = vec![0.0; self.parameters.entities.values.len()];
        let shared = self.backward(batch, None, &mut entities);
        let mut relations = vec![0.0; self.parameters.relations.values.len()];
        spread(&batch.anchors.rows, &self.d_anchors, width, &mut entities);
        spread(&batch.relations.rows, &self.d_relations, self.parameters.relations.width, &mut relations);
        let of_slot = |&slot: &u32| if slot == NONE { f32::NAN } else { self.scores[slot as usize] };
        Gradients { loss, scores: batch.slots.iter().map(of_slot).collect(), entities, relations, shared }
    }

    fn groups(&self, batch: &Batch) -> Vec<Group> {
        let (parts, entities) = (parts(), batch.scored.rows.len());
        // Moving a row through Adam costs about as much as scoring it four times.
        let work = |position: usize| batch.offsets[position] as usize + 4 * position;
        let total = work(entities);
        let mut bounds = vec![0];
        for part in 1..parts {
            let (mut low, mut high) = (bounds[part - 1], entities);
            while low < high {
                let middle = (low + high) / 2;
                if work(middle) * parts < total * part { low = middle + 1 } else { high = middle }
            }
            bounds.push(low);
        }
        bounds.push(entities);
        let anchor = |position: usize| match batch.scored.rows.get(position) {
            Some(&row) => batch.anchors.rows.partition_point(|&a| a < row),
            None => batch.anchors.rows.len(),
        };
        let group = |two: &[usize]| Group {
            entities: two[0]..two[1],
            cells: batch.offsets[two[0]] as usize..batch.offsets[two[1]] as usize,
            anchors: anchor(two[0])..anchor(two[1]),
        };
        let mut groups: Vec<Group> = bounds.windows(2).map(group).collect();
        if let Some(first) = groups.first_mut() {
            first.anchors.start = 0;
        }
        groups
    }

    /// Queries, scores, loss, and its gradient by cell.
    fn forward(&mut self, batch: &Batch) -> f64 {
        let (model, parameters) = (self.model, &self.parameters);
        let (width, saved) = (model.query_width(), model.saved());
        resize(&mut self.queries, batch.triples.len() * width);
        resize(&mut self.scores, batch.cells.len());
        resize(&mut self.saved, batch.cells.len() * saved);
        resize(&mut self.d_cells, batch.slots.len());
        self.queries.par_chunks_mut(width).zip(&batch.triples).with_min_len(16).for_each(|(query, &triple)| {
            let (entity, relation) = (triple.sides(batch.open).0, triple.relation);
            model.query(batch.open, parameters.entities.row(entity), parameters.relations.row(relation), query);
        });
        let groups = self.groups(batch);
        let scores = split(&mut self.scores, groups.iter().map(|g| g.cells.len()));
        let kept = split(&mut self.saved, groups.iter().map(|g| g.cells.len() * saved));
        let (queries, shared, candidates) = (&self.queries[..], &parameters.shared.values[..], batch.candidates as u32);
        groups.par_iter().zip(scores).zip(kept).for_each(|((group, scores), kept)| {
            let mut rows = Vec::new();
            let start = group.cells.start;
            for position in group.entities.clone() {
                let range = batch.offsets[position] as usize..batch.offsets[position + 1] as usize;
                rows.clear();
                rows.extend(batch.cells[range.clone()].iter().map(|cell| cell / candidates));
                if let Some(&next) = batch.scored.rows.get(position + 1) {
                    prefetch(parameters.entities.row(next));
                }
                let candidate = parameters.entities.row(batch.scored.rows[position]);
                let (from, to) = (range.start - start, range.end - start);
                let queries = Queries { values: queries, rows: &rows };
                model.scores(candidate, queries, shared, &mut scores[from..to], &mut kept[from * saved..to * saved]);
            }
        });
        self.loss(batch)
    }

    /// L = (L⁺ + L⁻)/2 with L⁺ = −Σ w log σ(s⁺) / Σ w and L⁻ = −Σ w Σ_j p_j log σ(−s_j) / Σ w, where p is the softmax of α s
    /// over the negatives of a triple, taken as constant.
    fn loss(&mut self, batch: &Batch) -> f64 {
        let (scores, alpha) = (&self.scores, self.alpha);
        let total: f32 = batch.weights.iter().sum();
        let cells = self.d_cells.par_chunks_mut(batch.candidates).zip(batch.slots.par_chunks(batch.candidates));
        let negatives = batch.candidates.saturating_sub(1);
        let losses: Vec<f64> = cells
            .zip(&batch.weights)
            .with_min_len(16)
            .map_init(
                || vec![0.0; negatives],
                |parts, ((d, slots), &weight)| {
                    let share = 0.5 * weight / total;
                    for (d, &slot) in d.iter_mut().zip(slots) {
                        *d = if slot == NONE { f32::NEG_INFINITY } else { scores[slot as usize] };
                    }
                    -f64::from(share) * f64::from(log_likelihood(d, parts, alpha, share))
                },
            )
            .collect();
        losses.iter().sum()
    }

    /// Gradients of what is used; applies `rates` to the entities that are no anchors, or adds their gradients to
    /// `gradients` without. Returns the gradient of what all triples share.
    fn backward(&mut self, batch: &Batch, rates: Option<&Rates>, gradients: &mut [f32]) -> Vec<f32> {
        let width = self.model.entity_width();
        let groups = self.groups(batch);
        resize(&mut self.d_anchors, batch.anchors.rows.len() * width);
        self.d_queries.resize(groups.len(), Vec::new());
        let cuts = groups.iter().map(|g| batch.scored.rows.get(g.entities.end).map(|&row| row as usize));
        let tables = cut(&mut self.parameters.entities, cuts);
        let anchors = split(&mut self.d_anchors, groups.iter().map(|g| g.anchors.len() * width));
        let pass = Backward {
            model: self.model,
            batch,
            queries: &self.queries,
            kept: &self.saved,
            d_cells: &self.d_cells,
            shared: &self.parameters.shared.values,
            rates,
        };
        let work = groups.par_iter().zip(tables).zip(anchors).zip(&mut self.d_queries);
        let done: Vec<(Vec<f32>, OfRows)> = work
            .map(|(((group, table), d_anchors), d_queries)| pass.of_group(group, table, d_anchors, d_queries))
            .collect();
        let mut d_shared = vec![0.0; pass.shared.len()];
        for (part, loose) in done {
            d_shared.iter_mut().zip(part).for_each(|(sum, d)| *sum += d);
            for (row, gradient) in loose {
                let start = row as usize * width;
                gradients[start..start + width].copy_from_slice(&gradient);
            }
        }
        self.through_queries(batch);
        d_shared
    }

    /// Gradients of anchors and relations, from those of the queries that are made of them.
    fn through_queries(&mut self, batch: &Batch) {
        let (model, parameters) = (self.model, &self.parameters);
        let (width, query_width, relation_width) = (model.entity_width(), model.query_width(), model.relation_width());
        let both = width + relation_width;
        resize(&mut self.d_rows, batch.triples.len() * both);
        let d_queries = &self.d_queries[..];
        self.d_rows.par_chunks_mut(both).zip(&batch.triples).enumerate().with_min_len(8).for_each(
            |(i, (d_rows, &triple))| {
                d_rows.fill(0.0);
                let range = i * query_width..(i + 1) * query_width;
                let mut d_query = d_queries[0][range.clone()].to_vec();
                for other in &d_queries[1..] {
                    d_query.iter_mut().zip(&other[range.clone()]).for_each(|(sum, d)| *sum += d);
                }
                let (d_entity, d_relation) = d_rows.split_at_mut(width);
                let (entity, relation) = (triple.sides(batch.open).0, triple.relation);
                let (entity, relation) = (parameters.entities.row(entity), parameters.relations.row(relation));
                model.query_backward(batch.open, entity, relation, &d_query, d_entity, d_relation);
            },
        );
        resize(&mut self.d_relations, batch.relations.rows.len() * relation_width);
        self.d_relations.fill(0.0);
        for (i, d_rows) in self.d_rows.chunks_exact(both).enumerate() {
            let (d_entity, d_relation) = d_rows.split_at(width);
            add(&mut self.d_anchors, batch.anchor_of[i] as usize, d_entity);
            add(&mut self.d_relations, batch.relation_of[i] as usize, d_relation);
        }
    }
}

/// Gradients of some rows of a table.
type OfRows = Vec<(u32, Vec<f32>)>;

/// What the backward pass of a batch reads, whatever the group of entities.
struct Backward<'a> {
    model: &'a dyn EmbeddingModel,
    batch: &'a Batch,
    queries: &'a [f32],
    /// What the forward pass kept of each cell.
    kept: &'a [f32],
    d_cells: &'a [f32],
    shared: &'a [f32],
    rates: Option<&'a Rates>,
}

impl Backward<'_> {
    /// Gradients of a group's entities, which `table` holds, and of the queries, from those of its cells. Returns the gradient of
    /// what all triples share, and without rates those of the entities that are no anchors, by row.
    fn of_group(
        &self,
        group: &Group,
        mut table: Part<'_>,
        d_anchors: &mut [f32],
        d_queries: &mut Vec<f32>,
    ) -> (Vec<f32>, OfRows) {
        let &Self { model, batch, queries, kept, d_cells, shared, rates } = self;
        let (width, saved, candidates) = (model.entity_width(), model.saved(), batch.candidates as u32);
        d_queries.clear();
        d_queries.resize(queries.len(), 0.0);
        d_anchors.fill(0.0);
        let (mut d_shared, mut loose) = (vec![0.0; shared.len()], Vec::new());
        let (mut rows, mut d_scores, mut own) = (Vec::new(), Vec::new(), vec![0.0; width]);
        let group_anchors = &batch.anchors.rows[group.anchors.clone()];
        let mut anchor = 0;
        for position in group.entities.clone() {
            let range = batch.offsets[position] as usize..batch.offsets[position + 1] as usize;
            let row = batch.scored.rows[position];
            rows.clear();
            d_scores.clear();
            for &cell in &batch.cells[range.clone()] {
                rows.push(cell / candidates);
                d_scores.push(d_cells[cell as usize]);
            }
            if position + 1 < group.entities.end {
                table.prefetch(batch.scored.rows[position + 1]);
            }
            while group_anchors.get(anchor).is_some_and(|&a| a < row) {
                anchor += 1;
            }
            let is_anchor = group_anchors.get(anchor) == Some(&row);
            own.fill(0.0);
            let d_candidate = if is_anchor { &mut d_anchors[anchor * width..][..width] } else { &mut own[..] };
            let queries = Queries { values: queries, rows: &rows };
            let kept = &kept[range.start * saved..range.end * saved];
            let candidate = table.row(row);
            model.backward(candidate, queries, shared, kept, &d_scores, d_candidate, d_queries, &mut d_shared);
            match rates {
                _ if is_anchor => (),
                Some(rates) => table.update(row, &own, batch.scored.gaps[position], rates),
                None => loose.push((row, own.clone())),
            }
        }
        (d_shared, loose)
    }
}

/// Adds to a row of a table.
fn add(table: &mut [f32], row: usize, values: &[f32]) {
    table[row * values.len()..].iter_mut().zip(values).for_each(|(sum, d)| *sum += d);
}

/// Adds rows to those of a larger table.
fn spread(rows: &[u32], values: &[f32], width: usize, out: &mut [f32]) {
    rows.iter().zip(values.chunks_exact(width)).for_each(|(&row, values)| add(out, row as usize, values));
}

/// One step of Adam on the used rows of a table.
fn update(table: &mut Table, used: &Used, gradients: &[f32], rates: &Rates) {
    let (width, n) = (table.width, used.rows.len());
    let per = n.div_ceil(parts()).max(1);
    let cuts = (0..n.div_ceil(per)).map(|part| used.rows.get((part + 1) * per).map(|&row| row as usize));
    let work = cut(table, cuts).into_par_iter().zip(used.rows.par_chunks(per)).zip(used.gaps.par_chunks(per));
    work.zip(gradients.par_chunks(per * width)).for_each(|(((mut table, rows), gaps), gradients)| {
        for ((&row, &gap), gradient) in rows.iter().zip(gaps).zip(gradients.chunks_exact(width)) {
            table.update(row, gradient, gap, rates);
        }
    });
}

/// Parts of a table that end before the given rows, the last one with the table.
fn cut(table: &mut Table, ends: impl Iterator<Item = Option<usize>>) -> Vec<Part<'_>> {
    let rows = table.last.len();
    let mut rest = table.all();
    ends.map(|end| rest.split_off(end.unwrap_or(rows))).collect()
}

/// Consecutive parts of a slice.
fn split<T>(mut slice: &mut [T], lengths: impl Iterator<Item = usize>) -> Vec<&mut [T]> {
    let mut parts = Vec::new();
    for length in lengths {
        let (part, rest) = slice.split_at_mut(length);
        parts.push(part);
        slice = rest;
    }
    parts
}

fn resize(buffer: &mut Vec<f32>, length: usize) {
    buffer.resize(length, 0.0);
}
