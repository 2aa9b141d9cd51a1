//! Adam on what a pass leaves.

use super::DeviceStepper;
use super::pass::{Passed, arg};
use super::sent::{Sent, factors, list};
use crate::kge::adam::{Late, Rates};
use crate::kge::cube::place::Lists;
use crate::kge::cube::update;
use crate::kge::formula::Equation;
use crate::kge::sample::{Batch, Used};
use crate::ops::cube::{Layout, UNITS, cubes, threads};
use burn_cubecl::cubecl::prelude::*;

impl DeviceStepper {
    /// Moves the rows of a batch on by what the window of their last use did not reach.
    pub(super) fn catch_up(&mut self, batch: &Batch) {
        let (late, now) = (&mut self.late, batch.step);
        let entities = late_rows(batch.entities(), &self.entities.last, now, late);
        let relations = late_rows(batch.relations.rows.iter().copied(), &self.relations.last, now, late);
        for (table, (rows, by)) in [(&self.entities, entities), (&self.relations, relations)] {
            if rows.is_empty() {
                continue;
            }
            let (count, mut lists) = (rows.len(), Lists::default());
            lists.add(rows);
            lists.add_real(by);
            let sent = self.place.send(lists);
            update::late_steps::launch(
                self.place.client(),
                threads(count * table.width),
                CubeDim::new_1d(UNITS),
                arg(&sent[0]),
                arg(&sent[1]),
                arg(&table.values),
                arg(&table.first),
                arg(&table.second),
                count,
                table.width,
            );
        }
    }

    /// Adam on the entities that queries are made of, and on the relations.
    pub(super) fn move_rows(&self, passed: &Passed, sent: &Sent, batch: &Batch, rates: &Rates) {
        let (add_first, add_second, epsilon) = rates.added();
        let tables = [
            (&self.entities, &passed.to_entities, &batch.anchors),
            (&self.relations, &passed.to_relations, &batch.relations),
        ];
        for ((table, given, used), first) in tables.into_iter().zip(list::STEPS) {
            let layout = Layout::new(table.width, 0, &[&table.values, given, &passed.kept]);
            let width = table.width / layout.vector;
            let across = width.div_ceil(update::LANES);
            update::row_steps::launch(
                self.place.client(),
                cubes(used.rows.len() * across),
                CubeDim::new_1d(UNITS),
                layout.vector,
                sent.list(first),
                sent.list(first + 1),
                sent.list(first + 2),
                sent.list(first + 3),
                sent.list(first + 4),
                arg(given),
                arg(&passed.kept),
                arg(&table.values),
                arg(&table.first),
                arg(&table.second),
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
    pub(super) fn finish(&mut self, passed: &Passed, sent: &Sent, rates: &Rates) {
        let (add_first, add_second, epsilon) = rates.added();
        let shared = Used { rows: vec![0], gaps: vec![1] };
        let mut once = vec![0];
        let last = if self.shared.last.is_empty() { &mut once } else { &mut self.shared.last };
        let factors = factors(&mut self.powers, last, &shared, None, rates);
        update::finish::launch(
            self.place.client(),
            CubeCount::Static(1, 1, 1),
            CubeDim::new_1d(UNITS),
            arg(&passed.parts),
            arg(&self.losses),
            arg(&self.shared.values),
            arg(&self.shared.first),
            arg(&self.shared.second),
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

/// The rows that have to move on before step `now`, and the rate and ε of each.
fn late_rows(rows: impl Iterator<Item = u32>, last: &[u32], now: u32, late: &mut Late) -> (Vec<u32>, Vec<f32>) {
    let (mut found, mut by) = (Vec::new(), Vec::new());
    for row in rows {
        if let Some(factors) = late.of_row(last[row as usize], now) {
            found.push(row);
            by.extend(factors);
        }
    }
    (found, by)
}
