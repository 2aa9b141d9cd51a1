//! Training steps on a device.

use super::place::{DeviceTable, Lists, Place};
use super::{gradients, loss, score, update};
use crate::kge::adam::{Adam, Rates};
use crate::kge::formula::{Equation, Formula};
use crate::kge::model::Side;
use crate::kge::sample::{Batch, Used};
use crate::kge::step::{Gradients, Parameters};
use crate::ops::cube::{Layout, UNITS, cubes, threads};
use crate::{Error, Result};
use burn::tensor::Device;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

/// Losses that are kept on the device until somebody asks.
const LOSSES: usize = 1024;
/// Cubes that fill a device: 16 for each of an H100's 132 multiprocessors.
const ENOUGH: usize = 2048;
/// The most candidates of a query that a cube goes through.
const CHUNK: usize = 128;

/// Trains batch by batch on a device, as [`Stepper`](crate::kge::Stepper) does on the CPU. Nothing is copied to the host but
/// what is asked for.
pub struct DeviceStepper {
    place: Place,
    formula: Formula,
    entities: DeviceTable,
    relations: DeviceTable,
    shared: DeviceTable,
    adam: Adam,
    window: u32,
    alpha: f32,
    losses: CubeTensor,
    pending: usize,
    kept: Vec<f64>,
    powers: Vec<[f32; 2]>,
    lists: Lists,
    entity_of: Vec<u32>,
}

/// What is on the device of a batch.
struct Sent {
    lists: Vec<CubeTensor>,
    triples: usize,
    candidates: usize,
    count: usize,
    head: bool,
}

/// The lists of a batch, in the order in which they are sent.
mod list {
    pub const ENTITY_OF: usize = 0;
    pub const CELLS: usize = 1;
    pub const ROWS: usize = 2;
    pub const OFFSETS: usize = 3;
    pub const KEEP: usize = 4;
    pub const FACTORS: usize = 5;
    pub const ANCHORS: usize = 6;
    pub const RELATIONS: usize = 7;
    pub const SHARES: usize = 8;
    /// Rows, offsets, members, what is kept and factors; of anchors, and then of relations.
    pub const STEPS: [usize; 2] = [9, 14];
}

/// What a step leaves on the device.
struct Passed {
    kept: CubeTensor,
    to_entities: CubeTensor,
    to_relations: CubeTensor,
    scores: CubeTensor,
    parts: CubeTensor,
}

impl DeviceStepper {
    /// Trains `parameters` on a device; rests of rows are told apart up to `window` steps.
    ///
    /// # Errors
    /// When the device runs no such kernels, or a table is too large.
    pub fn new(
        formula: Formula,
        parameters: &Parameters,
        adam: Adam,
        window: u32,
        alpha: f32,
        device: &Device,
    ) -> Result<Self> {
        let place = Place::new(device)
            .ok_or_else(|| Error::user("this device runs no kernels of embeddings").at_key("backend.device"))?;
        for table in [&parameters.entities, &parameters.relations] {
            if u32::try_from(table.values.len()).is_err() {
                let message = format!("a table of {} numbers is too large for a device", table.values.len());
                return Err(Error::user(message).at_key("backend.device").help("the CPU takes it"));
            }
        }
        let table = |table| DeviceTable::new(&place, table);
        let (entities, relations) = (table(&parameters.entities), table(&parameters.relations));
        let (shared, losses) = (table(&parameters.shared), place.empty(LOSSES));
        let (kept, powers, lists, entity_of) = (Vec::new(), Vec::new(), Lists::default(), Vec::new());
        Ok(Self {
            place,
            formula,
            entities,
            relations,
            shared,
            adam,
            window,
            alpha,
            losses,
            pending: 0,
            kept,
            powers,
            lists,
            entity_of,
        })
    }

    /// The learning rate of a step.
    pub fn rate(&self, step: u32) -> f64 {
        self.adam.rate(step)
    }

    /// One step of Adam.
    ///
    /// # Errors
    /// When the device fails.
    pub fn step(&mut self, batch: &Batch) -> Result<()> {
        if self.pending == LOSSES {
            self.kept = self.losses()?;
        }
        let rates = self.adam.rates(batch.step, self.window);
        let keep = kept_rows(batch, false);
        let sent = self.send(batch, &rates, &keep);
        let passed = self.pass(&sent, batch, &rates);
        self.finish(&passed, &sent, &rates);
        self.move_rows(&passed, &sent, batch, &rates);
        Ok(())
    }

    /// The losses of the steps since the last call. Waits for them.
    ///
    /// # Errors
    /// When the device fails.
    pub fn losses(&mut self) -> Result<Vec<f64>> {
        let mut all = std::mem::take(&mut self.kept);
        let pending = std::mem::take(&mut self.pending);
        all.extend(self.place.read(&self.losses, pending)?.into_iter().map(f64::from));
        Ok(all)
    }

    /// All numbers, as they are after the last step.
    ///
    /// # Errors
    /// When the device fails.
    pub fn parameters(&self) -> Result<Parameters> {
        let [entities, relations, mut shared] =
            [&self.entities, &self.relations, &self.shared].map(|table| table.read(&self.place));
        if let (Ok(table), 0) = (&mut shared, self.shared.width) {
            *table = crate::kge::Table::default();
        }
        Ok(Parameters { entities: entities?, relations: relations?, shared: shared? })
    }

    /// Loss and gradients without a step, for tests.
    ///
    /// # Errors
    /// When the device fails.
    pub fn gradients(&mut self, batch: &Batch) -> Result<Gradients> {
        let rates = self.adam.rates(batch.step, self.window);
        let keep = kept_rows(batch, true);
        let last = [&self.entities, &self.relations].map(|table| table.last.clone());
        let sent = self.send(batch, &rates, &keep);
        [self.entities.last, self.relations.last] = last;
        let passed = self.pass(&sent, batch, &rates);
        let (width, relation_width) = (self.entities.width, self.relations.width);
        let sum = |size: usize, lists: &[(&CubeTensor, Vec<u32>, usize)]| -> Result<Vec<f32>> {
            let mut sums = vec![0.0; size];
            for (tensor, rows, width) in lists {
                let values = self.place.read(tensor, rows.len() * width)?;
                for (row, values) in rows.iter().zip(values.chunks_exact(*width)) {
                    sums[*row as usize * width..].iter_mut().zip(values).for_each(|(sum, d)| *sum += d);
                }
            }
            Ok(sums)
        };
        let anchors = batch.triples.iter().map(|t| t.sides(batch.open).0).collect();
        let of_entities = [(&passed.kept, batch.scored.rows.clone(), width), (&passed.to_entities, anchors, width)];
        let of_relations = batch.triples.iter().map(|t| t.relation).collect();
        let entities = sum(self.entities.last.len() * width, &of_entities)?;
        let relations =
            sum(self.relations.last.len() * relation_width, &[(&passed.to_relations, of_relations, relation_width)])?;
        let parts = self.place.read(&passed.parts, batch.triples.len() * 3)?;
        let part = |k: usize| parts.iter().skip(k).step_by(3).map(|&x| f64::from(x)).sum::<f64>();
        let shared = (0..self.shared.width).map(|k| part(1 + k) as f32).collect();
        let mut scores = self.place.read(&passed.scores, batch.slots.len())?;
        for (score, slot) in scores.iter_mut().zip(&batch.slots) {
            if *slot == crate::kge::NONE {
                *score = f32::NAN;
            }
        }
        Ok(Gradients { loss: part(0), scores, entities, relations, shared })
    }

    /// Everything of a batch that kernels read, in one copy.
    fn send(&mut self, batch: &Batch, rates: &Rates, keep: &[u32]) -> Sent {
        // Megabytes a step: in memory that is there.
        let (mut lists, mut entity_of) = (std::mem::take(&mut self.lists), std::mem::take(&mut self.entity_of));
        lists.clear();
        entity_of.clear();
        for (&row, &end) in batch.scored.rows.iter().zip(&batch.offsets[1..]) {
            entity_of.resize(end as usize, row);
        }
        lists.add(entity_of.iter().copied());
        self.entity_of = entity_of;
        lists.add(batch.cells.iter().copied());
        lists.add(batch.scored.rows.iter().copied());
        lists.add(batch.offsets.iter().copied());
        lists.add(keep.iter().copied());
        lists.add_real(factors(&mut self.powers, &mut self.entities.last, &batch.scored, Some(keep), rates));
        lists.add(batch.triples.iter().map(|t| t.sides(batch.open).0));
        lists.add(batch.triples.iter().map(|t| t.relation));
        let total: f32 = batch.weights.iter().sum();
        lists.add_real(batch.weights.iter().map(|weight| 0.5 * weight / total));
        let mut kept = vec![0; batch.anchors.rows.len()];
        for (row, &at) in batch.scored.rows.iter().zip(keep).filter(|(_, at)| **at > 0) {
            if let Ok(anchor) = batch.anchors.rows.binary_search(row) {
                kept[anchor] = at;
            }
        }
        let none = vec![0; batch.relations.rows.len()];
        let steps = [
            (&batch.anchors, &batch.anchor_of, kept, &mut self.entities.last),
            (&batch.relations, &batch.relation_of, none, &mut self.relations.last),
        ];
        for (used, of_triple, kept, last) in steps {
            let (offsets, members) = members(of_triple, used.rows.len());
            lists.add(used.rows.iter().copied());
            lists.add(offsets);
            lists.add(members);
            lists.add(kept);
            lists.add_real(factors(&mut self.powers, last, used, None, rates));
        }
        let sent = self.place.send(&lists);
        self.lists = lists;
        Sent {
            lists: sent,
            triples: batch.triples.len(),
            candidates: batch.candidates,
            count: batch.cells.len(),
            head: batch.open == Side::Head,
        }
    }

    /// Scores, losses, and the gradients of all but the rows that Adam moves at once.
    fn pass(&self, sent: &Sent, batch: &Batch, rates: &Rates) -> Passed {
        let (place, client) = (&self.place, self.place.client());
        let Formula { equation, dim, gamma, scale } = self.formula;
        let (triples, all) = (sent.triples, sent.triples * sent.candidates);
        let list = |k: usize| sent.lists[k].clone().into_buffer_arg();
        let arg = |tensor: &CubeTensor| tensor.clone().into_buffer_arg();
        let queries = place.empty(triples * dim * equation.of_query());
        let layout = Layout::new(dim, 0, &[&self.entities.values, &queries]);
        let vectors = dim / layout.vector;
        score::make_queries::launch(
            client,
            threads(triples * dim),
            CubeDim::new_1d(UNITS),
            list(list::ANCHORS),
            list(list::RELATIONS),
            arg(&self.entities.values),
            arg(&self.relations.values),
            arg(&queries),
            triples,
            dim,
            scale,
            sent.head,
            equation,
        );
        let (scores, pairs, of_cell) = (place.empty(all), place.empty(2 * all), place.empty(all));
        if sent.count < all {
            loss::clear::launch(client, threads(all), CubeDim::new_1d(UNITS), arg(&of_cell), all);
        }
        score::score_cells::launch(
            client,
            cubes(sent.count.div_ceil(score::PAIRS)),
            CubeDim::new_1d(UNITS),
            layout.vector,
            list(list::ENTITY_OF),
            list(list::CELLS),
            arg(&self.entities.values),
            arg(&queries),
            arg(&self.shared.values),
            arg(&scores),
            arg(&pairs),
            arg(&of_cell),
            sent.count,
            sent.candidates,
            vectors,
            gamma,
            scale,
            equation,
        );
        let parts = place.empty(3 * triples);
        loss::losses::launch(
            client,
            cubes(triples),
            CubeDim::new_1d(UNITS),
            arg(&scores),
            arg(&of_cell),
            list(list::SHARES),
            arg(&self.shared.values),
            arg(&pairs),
            arg(&parts),
            triples,
            sent.candidates,
            self.alpha,
            equation,
        );
        let chunk = (all / ENOUGH).clamp(16, CHUNK);
        let chunks = sent.candidates.div_ceil(chunk);
        let partial = place.empty(triples * chunks * dim * equation.of_query());
        let units = CubeDim::new_1d((vectors.next_power_of_two() as u32).clamp(32, UNITS));
        gradients::query_gradients::launch(
            client,
            cubes(triples * chunks),
            units,
            layout.vector,
            arg(&of_cell),
            arg(&pairs),
            arg(&self.entities.values),
            arg(&queries),
            arg(&partial),
            triples * chunks,
            sent.candidates,
            chunk,
            chunks,
            vectors,
            scale,
            equation,
        );
        let to_entities = place.empty(triples * dim * equation.of_entity());
        let to_relations = place.empty(triples * dim * equation.of_relation());
        gradients::triple_gradients::launch(
            client,
            threads(triples * dim),
            CubeDim::new_1d(UNITS),
            list(list::ANCHORS),
            list(list::RELATIONS),
            arg(&self.entities.values),
            arg(&self.relations.values),
            arg(&partial),
            arg(&to_entities),
            arg(&to_relations),
            triples,
            chunks,
            dim,
            scale,
            sent.head,
            equation,
        );
        let scored = batch.scored.rows.len();
        let kept = place.empty(scored * self.entities.width);
        let (add_first, add_second, epsilon) = rates.added();
        update::entity_steps::launch(
            client,
            cubes(scored),
            units,
            layout.vector,
            list(list::ROWS),
            list(list::OFFSETS),
            list(list::CELLS),
            list(list::KEEP),
            list(list::FACTORS),
            arg(&pairs),
            arg(&queries),
            arg(&self.entities.values),
            arg(&self.entities.first),
            arg(&self.entities.second),
            arg(&kept),
            scored,
            sent.candidates,
            vectors,
            scale,
            add_first,
            add_second,
            epsilon,
            equation,
        );
        Passed { kept, to_entities, to_relations, scores, parts }
    }

    /// Adam on the entities that queries are made of, and on the relations.
    fn move_rows(&self, passed: &Passed, sent: &Sent, batch: &Batch, rates: &Rates) {
        let (add_first, add_second, epsilon) = rates.added();
        let tables = [
            (&self.entities, &passed.to_entities, &batch.anchors),
            (&self.relations, &passed.to_relations, &batch.relations),
        ];
        for ((table, given, used), list) in tables.into_iter().zip(list::STEPS) {
            let layout = Layout::new(table.width, 0, &[&table.values, given, &passed.kept]);
            let width = table.width / layout.vector;
            let across = width.div_ceil(update::LANES);
            let list = |k: usize| sent.lists[list + k].clone().into_buffer_arg();
            update::row_steps::launch(
                self.place.client(),
                cubes(used.rows.len() * across),
                CubeDim::new_1d(UNITS),
                layout.vector,
                list(0),
                list(1),
                list(2),
                list(3),
                list(4),
                given.clone().into_buffer_arg(),
                passed.kept.clone().into_buffer_arg(),
                table.values.clone().into_buffer_arg(),
                table.first.clone().into_buffer_arg(),
                table.second.clone().into_buffer_arg(),
                used.rows.len(),
                across,
                width,
                add_first,
                add_second,
                epsilon,
            );
        }
    }

    /// The loss of the batch, and Adam on what all triples share.
    fn finish(&mut self, passed: &Passed, sent: &Sent, rates: &Rates) {
        let (add_first, add_second, epsilon) = rates.added();
        let shared = Used { rows: vec![0], gaps: vec![1] };
        let mut once = vec![0];
        let last = if self.shared.last.is_empty() { &mut once } else { &mut self.shared.last };
        let factors = factors(&mut self.powers, last, &shared, None, rates);
        update::finish::launch(
            self.place.client(),
            CubeCount::Static(1, 1, 1),
            CubeDim::new_1d(UNITS),
            passed.parts.clone().into_buffer_arg(),
            self.losses.clone().into_buffer_arg(),
            self.shared.values.clone().into_buffer_arg(),
            self.shared.first.clone().into_buffer_arg(),
            self.shared.second.clone().into_buffer_arg(),
            sent.triples,
            self.pending,
            factors[0],
            factors[1],
            factors[2],
            add_first,
            add_second,
            epsilon,
            self.formula.equation == Equation::Hake,
        );
        self.pending += 1;
    }
}

/// For each scored entity 0, or one more than the row that keeps its gradient: where queries are made of it, or for `all`.
fn kept_rows(batch: &Batch, all: bool) -> Vec<u32> {
    let mut next = 0;
    let mut anchors = batch.anchors.rows.iter().peekable();
    let keep = batch.scored.rows.iter().map(|row| {
        while anchors.next_if(|anchor| *anchor < row).is_some() {}
        match all || anchors.peek() == Some(&row) {
            true => {
                next += 1;
                next
            }
            false => 0,
        }
    });
    keep.collect()
}

/// Lists of the triples of each of `count` rows.
fn members(of_triple: &[u32], count: usize) -> (Vec<u32>, Vec<u32>) {
    let mut offsets = vec![0u32; count + 1];
    of_triple.iter().for_each(|&row| offsets[row as usize + 1] += 1);
    for row in 0..count {
        offsets[row + 1] += offsets[row];
    }
    let (mut next, mut members) = (offsets.clone(), vec![0; of_triple.len()]);
    for (triple, &row) in (0..).zip(of_triple) {
        members[next[row as usize] as usize] = triple;
        next[row as usize] += 1;
    }
    (offsets, members)
}

/// What Adam multiplies the moments of each row with, and its rate; says that the rows were used now. Rows that are kept are
/// used later in the step.
fn factors(powers: &mut Vec<[f32; 2]>, last: &mut [u32], used: &Used, keep: Option<&[u32]>, rates: &Rates) -> Vec<f32> {
    let mut all = Vec::with_capacity(3 * used.rows.len());
    for (at, (&row, &gap)) in used.rows.iter().zip(&used.gaps).enumerate() {
        if keep.is_some_and(|keep| keep[at] > 0) {
            all.extend([0.0; 3]);
            continue;
        }
        all.extend(rates.of_row(last[row as usize], gap, powers));
        last[row as usize] = rates.step() + 1;
    }
    all
}
