//! From the queries of a batch to scores, losses and gradients.

use super::DeviceStepper;
use super::sent::{Sent, list};
use crate::kge::adam::Rates;
use crate::kge::cube::{gradients, loss, score, sizes, update};
use crate::kge::formula::Formula;
use crate::kge::sample::Batch;
use crate::ops::cube::{Layout, UNITS, cubes, threads};
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

/// What a step leaves on the device.
pub(super) struct Passed {
    /// Gradients of the scored entities that queries are made of, too.
    pub kept: CubeTensor,
    /// Gradients of the entity and the relation of each query.
    pub to_entities: CubeTensor,
    pub to_relations: CubeTensor,
    pub scores: CubeTensor,
    /// For each triple its loss, and the gradients of both weights.
    pub parts: CubeTensor,
}

/// A pass under way: what its kernels hand on, and what they share.
struct Pass<'s> {
    stepper: &'s DeviceStepper,
    sent: &'s Sent,
    /// The query of each triple.
    queries: CubeTensor,
    layout: Layout,
    /// For each cell its score, the two sums that it is made of, and its entity.
    scores: CubeTensor,
    pairs: CubeTensor,
    of_cell: CubeTensor,
    /// How many candidates of a query a cube goes through, and how many such parts a query has.
    chunk: usize,
    chunks: usize,
    /// How many entities are scored.
    scored: usize,
}

impl DeviceStepper {
    /// Scores, losses, and the gradients of all but the rows that Adam moves at once.
    pub(super) fn pass(&self, sent: &Sent, batch: &Batch, rates: &Rates) -> Passed {
        let pass = Pass::new(self, sent, batch.scored.rows.len());
        pass.make_queries();
        pass.score_cells();
        let parts = pass.losses();
        let partial = pass.query_gradients();
        let (to_entities, to_relations) = pass.triple_gradients(&partial);
        let kept = pass.entity_steps(rates);
        Passed { kept, to_entities, to_relations, scores: pass.scores, parts }
    }
}

impl<'s> Pass<'s> {
    fn new(stepper: &'s DeviceStepper, sent: &'s Sent, scored: usize) -> Self {
        let (place, Formula { equation, dim, .. }) = (&stepper.place, stepper.formula);
        let (triples, all) = (sent.triples, sent.triples * sent.candidates);
        let queries = place.empty(triples * dim * equation.of_query());
        let layout = Layout::new(dim, 0, &[&stepper.entities.values, &queries]);
        let (scores, pairs, of_cell) = (place.empty(all), place.empty(2 * all), place.empty(all));
        let (chunk, chunks) = sizes::chunks(triples, sent.candidates);
        Self { stepper, sent, queries, layout, scores, pairs, of_cell, chunk, chunks, scored }
    }
}

impl Pass<'_> {
    /// Vectors that hold a number of each dimension.
    fn vectors(&self) -> usize {
        self.stepper.formula.dim / self.layout.vector
    }

    /// A unit for each of them, as far as a cube has them.
    fn along_a_row(&self) -> CubeDim {
        CubeDim::new_1d((self.vectors().next_power_of_two() as u32).clamp(32, UNITS))
    }

    fn make_queries(&self) {
        let (Self { stepper, sent, .. }, Formula { equation, dim, scale, .. }) = (self, self.stepper.formula);
        score::make_queries::launch(
            stepper.place.client(),
            threads(sent.triples * dim),
            CubeDim::new_1d(UNITS),
            sent.list(list::ANCHORS),
            sent.list(list::RELATIONS),
            arg(&stepper.entities.values),
            arg(&stepper.relations.values),
            arg(&self.queries),
            sent.triples,
            dim,
            scale,
            sent.head,
            equation,
        );
    }

    /// Scores the cells; those without a candidate are said to have none.
    fn score_cells(&self) {
        let (Self { stepper, sent, .. }, Formula { equation, gamma, scale, .. }) = (self, self.stepper.formula);
        let (client, all) = (stepper.place.client(), sent.triples * sent.candidates);
        if sent.count < all {
            loss::clear::launch(client, threads(all), CubeDim::new_1d(UNITS), arg(&self.of_cell), all);
        }
        let (scored, entity_of) = (self.scored, stepper.place.empty(sent.count));
        score::entities_of_cells::launch(
            client,
            threads(scored),
            CubeDim::new_1d(UNITS),
            sent.list(list::ROWS),
            sent.list(list::OFFSETS),
            arg(&entity_of),
            scored,
        );
        score::score_cells::launch(
            client,
            cubes(sent.count.div_ceil(score::PAIRS)),
            CubeDim::new_1d(UNITS),
            self.layout.vector,
            arg(&entity_of),
            sent.list(list::CELLS),
            arg(&stepper.entities.values),
            arg(&self.queries),
            arg(&stepper.shared.values),
            arg(&self.scores),
            arg(&self.pairs),
            arg(&self.of_cell),
            sent.count,
            sent.candidates,
            self.vectors(),
            gamma,
            scale,
            equation,
        );
    }

    /// For each triple its loss, and the gradients of both weights; the sums of the cells become the factors of their
    /// gradients.
    fn losses(&self) -> CubeTensor {
        let Self { stepper, sent, .. } = self;
        let parts = stepper.place.empty(3 * sent.triples);
        loss::losses::launch(
            stepper.place.client(),
            cubes(sent.triples),
            CubeDim::new_1d(UNITS),
            arg(&self.scores),
            arg(&self.of_cell),
            sent.list(list::SHARES),
            arg(&stepper.shared.values),
            arg(&self.pairs),
            arg(&parts),
            sent.triples,
            sent.candidates,
            stepper.alpha,
            stepper.formula.equation,
        );
        parts
    }

    /// Gradients of the queries, for each part of their candidates.
    fn query_gradients(&self) -> CubeTensor {
        let (Self { stepper, sent, .. }, Formula { equation, dim, scale, .. }) = (self, self.stepper.formula);
        let count = sent.triples * self.chunks;
        let partial = stepper.place.empty(count * dim * equation.of_query());
        gradients::query_gradients::launch(
            stepper.place.client(),
            cubes(count),
            self.along_a_row(),
            self.layout.vector,
            arg(&self.of_cell),
            arg(&self.pairs),
            arg(&stepper.entities.values),
            arg(&self.queries),
            arg(&partial),
            count,
            sent.candidates,
            self.chunk,
            self.chunks,
            self.vectors(),
            scale,
            equation,
        );
        partial
    }

    /// Gradients of the entity and the relation of each query, from those of the queries.
    fn triple_gradients(&self, partial: &CubeTensor) -> (CubeTensor, CubeTensor) {
        let (Self { stepper, sent, .. }, Formula { equation, dim, scale, .. }) = (self, self.stepper.formula);
        let to_entities = stepper.place.empty(sent.triples * dim * equation.of_entity());
        let to_relations = stepper.place.empty(sent.triples * dim * equation.of_relation());
        gradients::triple_gradients::launch(
            stepper.place.client(),
            threads(sent.triples * dim),
            CubeDim::new_1d(UNITS),
            sent.list(list::ANCHORS),
            sent.list(list::RELATIONS),
            arg(&stepper.entities.values),
            arg(&stepper.relations.values),
            arg(partial),
            arg(&to_entities),
            arg(&to_relations),
            sent.triples,
            self.chunks,
            dim,
            scale,
            sent.head,
            equation,
        );
        (to_entities, to_relations)
    }

    /// Gathers the gradients of the scored entities: Adam moves their rows at once, but for those whose gradients are kept.
    fn entity_steps(&self, rates: &Rates) -> CubeTensor {
        let (Self { stepper, sent, scored, .. }, Formula { equation, scale, .. }) = (self, self.stepper.formula);
        let entities = &stepper.entities;
        let (scored, kept) = (*scored, stepper.place.empty(scored * entities.width));
        let (add_first, add_second, epsilon) = rates.added();
        update::entity_steps::launch(
            stepper.place.client(),
            cubes(scored),
            self.along_a_row(),
            self.layout.vector,
            sent.list(list::ROWS),
            sent.list(list::OFFSETS),
            sent.list(list::CELLS),
            sent.list(list::KEEP),
            sent.list(list::FACTORS),
            arg(&self.pairs),
            arg(&self.queries),
            arg(&entities.values),
            arg(&entities.first),
            arg(&entities.second),
            arg(&kept),
            scored,
            sent.candidates,
            self.vectors(),
            scale,
            add_first,
            add_second,
            epsilon,
            equation,
        );
        kept
    }
}

/// A buffer, for a kernel.
pub(super) fn arg(tensor: &CubeTensor) -> BufferArg {
    tensor.clone().into_buffer_arg()
}
