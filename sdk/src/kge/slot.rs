//! Slot `kge_model`: an embedding model of a knowledge graph.

use super::{EmbeddingModel, Formula, Queries, Side};
use crate::Result;
use crate::boundary::Guarded;
use crate::boundary::guard::run;
use crate::component::{Builds, Component, Slot, SlotKind};
use std::sync::Arc;

/// Options of an embedding model.
pub trait BuildKgeModel: Component {
    /// Checks the options.
    fn build(self) -> Result<Box<dyn EmbeddingModel>>;
}

/// The slot `kge_model`.
pub enum KgeModelSlot {}

impl SlotKind for KgeModelSlot {
    const SLOT: Slot = Slot::KgeModel;
    type Context<'a> = ();
    type Object = Box<dyn EmbeddingModel>;
}

impl<C: BuildKgeModel> Builds<KgeModelSlot> for C {
    fn build_object(self, _: &(), origin: &Arc<str>) -> Result<Box<dyn EmbeddingModel>> {
        Ok(Box::new(Guarded { inner: self.build()?, origin: origin.clone() }))
    }
}

impl EmbeddingModel for Guarded<dyn EmbeddingModel> {
    fn entity_width(&self) -> usize {
        run(&self.origin, || self.inner.entity_width())
    }

    fn relation_width(&self) -> usize {
        run(&self.origin, || self.inner.relation_width())
    }

    fn query_width(&self) -> usize {
        run(&self.origin, || self.inner.query_width())
    }

    fn saved(&self) -> usize {
        run(&self.origin, || self.inner.saved())
    }

    fn shared(&self) -> Vec<f32> {
        run(&self.origin, || self.inner.shared())
    }

    fn init_entity(&self, uniform: &mut dyn FnMut() -> f32, row: &mut [f32]) {
        run(&self.origin, || self.inner.init_entity(uniform, row));
    }

    fn init_relation(&self, uniform: &mut dyn FnMut() -> f32, row: &mut [f32]) {
        run(&self.origin, || self.inner.init_relation(uniform, row));
    }

    fn query(&self, open: Side, entity: &[f32], relation: &[f32], query: &mut [f32]) {
        run(&self.origin, || self.inner.query(open, entity, relation, query));
    }

    fn query_backward(
        &self,
        open: Side,
        entity: &[f32],
        relation: &[f32],
        d_query: &[f32],
        d_entity: &mut [f32],
        d_relation: &mut [f32],
    ) {
        run(&self.origin, || self.inner.query_backward(open, entity, relation, d_query, d_entity, d_relation));
    }

    fn scores(&self, candidate: &[f32], queries: Queries<'_>, shared: &[f32], scores: &mut [f32], saved: &mut [f32]) {
        run(&self.origin, || self.inner.scores(candidate, queries, shared, scores, saved));
    }

    fn backward(
        &self,
        candidate: &[f32],
        queries: Queries<'_>,
        shared: &[f32],
        saved: &[f32],
        d_scores: &[f32],
        d_candidate: &mut [f32],
        d_queries: &mut [f32],
        d_shared: &mut [f32],
    ) {
        run(&self.origin, || {
            self.inner.backward(candidate, queries, shared, saved, d_scores, d_candidate, d_queries, d_shared)
        });
    }

    fn formula(&self) -> Option<Formula> {
        run(&self.origin, || self.inner.formula())
    }

    fn distance(&self, a: &[f32], b: &[f32], shared: &[f32]) -> f32 {
        run(&self.origin, || self.inner.distance(a, b, shared))
    }

    fn polar(&self, entity: &[f32]) -> Option<Vec<(f32, f32)>> {
        run(&self.origin, || self.inner.polar(entity))
    }
}
