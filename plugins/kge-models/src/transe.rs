//! `transe`: relations as translations.

use crate::lanes::{Sums, add, block, sign, walk};
use dualk_sdk::kge::{EmbeddingModel, Equation, Formula, Queries, Side};
use dualk_sdk::prelude::*;
use dualk_sdk::vectorized_fn;

options! {
    /// Options of `transe`.
    pub struct TranseOptions {
        /// Numbers of an entity.
        #[schemars(range(min = 1))]
        pub dim: usize = 500,
        /// Margin γ: the score of a triple without distance.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        pub gamma: f64 = 6.0,
    }
}

impl Component for TranseOptions {
    const NAME: &'static str = "transe";
    const ABOUT: &'static str = "Relations as translations.";
    const CITATION: &'static str =
        "Bordes et al., Translating Embeddings for Modeling Multi-relational Data, NeurIPS 2013";
}

/// score(h, r, t) = γ − ‖h + r − t‖₁. A query is h + r, or t − r: the distance of a candidate is ‖x − c‖₁.
#[derive(Debug)]
struct TransE {
    dim: usize,
    gamma: f32,
    range: f32,
}

impl BuildKgeModel for TranseOptions {
    fn build(self) -> Result<Box<dyn EmbeddingModel>> {
        let dim = self.dim;
        Ok(Box::new(TransE { dim, gamma: self.gamma as f32, range: ((self.gamma + 2.0) / dim as f64) as f32 }))
    }
}

impl EmbeddingModel for TransE {
    fn entity_width(&self) -> usize {
        self.dim
    }

    fn relation_width(&self) -> usize {
        self.dim
    }

    fn query_width(&self) -> usize {
        self.dim
    }

    fn formula(&self) -> Option<Formula> {
        let (dim, gamma, scale) = (self.dim, self.gamma, 1.0);
        Some(Formula { equation: Equation::Transe, dim, gamma, scale })
    }

    fn init_entity(&self, uniform: &mut dyn FnMut() -> f32, row: &mut [f32]) {
        row.fill_with(|| (2.0 * uniform() - 1.0) * self.range);
    }

    fn query(&self, open: Side, entity: &[f32], relation: &[f32], query: &mut [f32]) {
        let sign = if open == Side::Tail { 1.0 } else { -1.0 };
        query.iter_mut().zip(entity).zip(relation).for_each(|((c, x), r)| *c = x + sign * r);
    }

    fn query_backward(
        &self,
        open: Side,
        _: &[f32],
        _: &[f32],
        d_query: &[f32],
        d_entity: &mut [f32],
        d_relation: &mut [f32],
    ) {
        let sign = if open == Side::Tail { 1.0 } else { -1.0 };
        for i in 0..self.dim {
            d_entity[i] += d_query[i];
            d_relation[i] += sign * d_query[i];
        }
    }

    fn scores(&self, candidate: &[f32], queries: Queries<'_>, _: &[f32], scores: &mut [f32], _: &mut [f32]) {
        distances(candidate, queries, self.dim, scores);
        scores.iter_mut().for_each(|score| *score = self.gamma - *score);
    }

    fn backward(
        &self,
        candidate: &[f32],
        queries: Queries<'_>,
        _: &[f32],
        _: &[f32],
        d_scores: &[f32],
        d_candidate: &mut [f32],
        d_queries: &mut [f32],
        _: &mut [f32],
    ) {
        gradients(candidate, queries, self.dim, d_scores, d_candidate, d_queries);
    }
}

vectorized_fn! {
    /// ‖x − c‖₁ of a candidate and each query.
    fn distances(candidate: &[f32], queries: Queries<'_>, dim: usize, out: &mut [f32]), _FMA, {
        for (&row, out) in queries.rows.iter().zip(out) {
            let c = &queries.values[row as usize * dim..][..dim];
            let mut sums = Sums::zero();
            walk!(dim, |L, at| {
                let (x, c) = (block::<L>(candidate, at), block::<L>(c, at));
                for l in 0..L {
                    sums.0[l] += (x[l] - c[l]).abs();
                }
            });
            *out = sums.total();
        }
    }
}

vectorized_fn! {
    /// Gradients of a candidate and its queries.
    fn gradients(
        candidate: &[f32],
        queries: Queries<'_>,
        dim: usize,
        d_scores: &[f32],
        d_candidate: &mut [f32],
        d_queries: &mut [f32],
    ), FMA, {
        for (&row, &d) in queries.rows.iter().zip(d_scores) {
            let start = row as usize * dim;
            let (c, d_c) = (&queries.values[start..][..dim], &mut d_queries[start..][..dim]);
            walk!(dim, |L, at| {
                let (x, c) = (block::<L>(candidate, at), block::<L>(c, at));
                let mut slope = [0.0; L];
                for l in 0..L {
                    slope[l] = -d * sign(x[l] - c[l]);
                }
                add::<FMA, L>(d_candidate, at, &slope, &[1.0; L]);
                add::<FMA, L>(d_c, at, &slope, &[-1.0; L]);
            });
        }
    }
}
