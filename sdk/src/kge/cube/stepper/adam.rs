//! Adam on what a pass leaves.

use super::DeviceStepper;
use super::pass::{Passed, arg};
use super::sent::{Sent, factors, list};
use crate::kge::adam::Rates;
use crate::kge::cube::update;
use crate::kge::formula::Equation;
use crate::kge::sample::{Batch, Used};
use crate::ops::cube::{Layout, UNITS, cubes};
use burn_cubecl::cubecl::prelude::*;

impl DeviceStepper {
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
