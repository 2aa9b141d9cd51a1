//! What kernels read of a batch, on its way to the device.

use super::DeviceStepper;
use crate::kge::adam::Rates;
use crate::kge::cube::place::Lists;
use crate::kge::model::Side;
use crate::kge::sample::{Batch, Used};
use burn_cubecl::cubecl::prelude::BufferArg;
use burn_cubecl::tensor::CubeTensor;

/// What is on the device of a batch.
pub(super) struct Sent {
    lists: Vec<CubeTensor>,
    pub triples: usize,
    pub candidates: usize,
    /// Cells that have a candidate.
    pub count: usize,
    /// Whether heads are asked for.
    pub head: bool,
}

impl Sent {
    /// A list, for a kernel.
    pub fn list(&self, which: usize) -> BufferArg {
        self.lists[which].clone().into_buffer_arg()
    }
}

/// The lists of a batch, in the order in which they are sent.
pub(super) mod list {
    pub const CELLS: usize = 0;
    pub const ROWS: usize = 1;
    pub const OFFSETS: usize = 2;
    pub const KEEP: usize = 3;
    pub const FACTORS: usize = 4;
    pub const ANCHORS: usize = 5;
    pub const RELATIONS: usize = 6;
    pub const SHARES: usize = 7;
    /// Rows, offsets, members, what is kept and factors; of anchors, and then of relations.
    pub const STEPS: [usize; 2] = [8, 13];
}

impl DeviceStepper {
    /// Everything of a batch that kernels read, in one copy.
    pub(super) fn send(&mut self, batch: &Batch, rates: &Rates, keep: &[u32]) -> Sent {
        // Megabytes a step, which the device takes over as they are.
        let mut lists = Lists::with_capacity(self.sent);
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
        self.sent = lists.numbers();
        Sent {
            lists: self.place.send(lists),
            triples: batch.triples.len(),
            candidates: batch.candidates,
            count: batch.cells.len(),
            head: batch.open == Side::Head,
        }
    }
}

/// For each scored entity 0, or one more than the row that keeps its gradient: where queries are made of it, or for `all`.
pub(super) fn kept_rows(batch: &Batch, all: bool) -> Vec<u32> {
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
pub(super) fn factors(
    powers: &mut Vec<[f32; 2]>,
    last: &mut [u32],
    used: &Used,
    keep: Option<&[u32]>,
    rates: &Rates,
) -> Vec<f32> {
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
