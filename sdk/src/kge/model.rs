//! What an embedding model of a knowledge graph is.

use super::formula::Formula;

/// The side of a triple that is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Side {
    /// (?, relation, tail)
    Head,
    /// (head, relation, ?)
    #[default]
    Tail,
}

impl Side {
    /// Both, in the order of training and evaluation.
    pub const BOTH: [Self; 2] = [Self::Tail, Self::Head];
}

/// Queries of triples, a row each, and which of them a candidate is scored against.
#[derive(Debug, Clone, Copy)]
pub struct Queries<'a> {
    /// `[queries, query_width]`, row after row.
    pub values: &'a [f32],
    /// The rows that are meant.
    pub rows: &'a [u32],
}

/// An embedding model: a vector, which is a row of a table, for each entity and relation, and a score of triples.
///
/// A triple with one open side is first turned into a *query*, once; then many candidates for that side are scored
/// against it. So the work per candidate touches a row of the candidate and a row of the query and nothing else, and the
/// backward pass keeps [`saved`](Self::saved) numbers a pair. All calls are for one candidate and several queries, so
/// that the candidate stays in the first-level cache.
///
/// Rows are plain slices; methods may be called from several threads.
pub trait EmbeddingModel: Send + Sync {
    /// Width of the vector of an entity.
    fn entity_width(&self) -> usize;

    /// Width of the vector of a relation.
    fn relation_width(&self) -> usize;

    /// Width of a query.
    fn query_width(&self) -> usize;

    /// Numbers that the forward pass keeps of a pair of query and candidate; often none.
    fn saved(&self) -> usize {
        0
    }

    /// Initial values of the parameters that all triples share; often none.
    fn shared(&self) -> Vec<f32> {
        Vec::new()
    }

    /// Initial values of an entity; `uniform` draws from [0, 1).
    fn init_entity(&self, uniform: &mut dyn FnMut() -> f32, row: &mut [f32]);

    /// Initial values of a relation; `uniform` draws from [0, 1). By default those of an entity.
    fn init_relation(&self, uniform: &mut dyn FnMut() -> f32, row: &mut [f32]) {
        self.init_entity(uniform, row);
    }

    /// The query of a triple whose side `open` is asked for, by the entity on the other side and the relation.
    fn query(&self, open: Side, entity: &[f32], relation: &[f32], query: &mut [f32]);

    /// Adds to the gradients of entity and relation what follows from that of their query.
    fn query_backward(
        &self,
        open: Side,
        entity: &[f32],
        relation: &[f32],
        d_query: &[f32],
        d_entity: &mut [f32],
        d_relation: &mut [f32],
    );

    /// Scores of a candidate against queries; higher is more plausible.
    ///
    /// # Shapes
    /// - `scores`: `[rows]`
    /// - `saved`: `[rows, saved]`
    fn scores(&self, candidate: &[f32], queries: Queries<'_>, shared: &[f32], scores: &mut [f32], saved: &mut [f32]);

    /// Adds to the gradients of candidate, queries and shared parameters what follows from those of the scores.
    ///
    /// # Shapes
    /// - `d_scores`: `[rows]`
    /// - `saved`: `[rows, saved]`, as [`scores`](Self::scores) left it
    /// - `d_queries`: as `queries.values`
    #[allow(clippy::too_many_arguments)]
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
    );

    /// Which kernels for GPUs compute this model; `None` where none do: it is trained on the CPU then.
    fn formula(&self) -> Option<Formula> {
        None
    }

    /// How far two entities are apart; by default as the crow flies.
    fn distance(&self, a: &[f32], b: &[f32], shared: &[f32]) -> f32 {
        let _ = shared;
        a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
    }

    /// An entity in polar coordinates, for models that have them: angle in radians and radius of each dimension.
    fn polar(&self, entity: &[f32]) -> Option<Vec<(f32, f32)>> {
        let _ = entity;
        None
    }
}
