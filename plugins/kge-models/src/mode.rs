//! `mode`: moduli alone.

use crate::lanes::{Sums, add, block, sign, walk};
use dualk_sdk::kge::{EmbeddingModel, Equation, Formula, Queries, Side};
use dualk_sdk::prelude::*;
use dualk_sdk::simd::fma;
use dualk_sdk::vectorized_fn;

options! {
    /// Options of `mode`.
    pub struct ModeOptions {
        /// Numbers of an entity.
        #[schemars(range(min = 1))]
        pub dim: usize = 500,
        /// Margin γ: the score of a triple without distance.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        pub gamma: f64 = 6.0,
    }
}

impl Component for ModeOptions {
    const NAME: &'static str = "mode";
    const ABOUT: &'static str = "The modulus part of HAKE alone.";
    const CITATION: &'static str = "Zhang et al., Learning Hierarchy-Aware Knowledge Graph Embeddings, AAAI 2020";
}

/// score(h, r, t) = γ − ‖h∘r − t‖₁. A query is [a, c]: the distance of a candidate is ‖a∘x − c‖₁.
#[derive(Debug)]
struct ModE {
    dim: usize,
    gamma: f32,
    range: f32,
}

impl BuildKgeModel for ModeOptions {
    fn build(self) -> Result<Box<dyn EmbeddingModel>> {
        let dim = self.dim;
        Ok(Box::new(ModE { dim, gamma: self.gamma as f32, range: ((self.gamma + 2.0) / dim as f64) as f32 }))
    }
}

impl EmbeddingModel for ModE {
    fn entity_width(&self) -> usize {
        self.dim
    }

    fn relation_width(&self) -> usize {
        self.dim
    }

    fn query_width(&self) -> usize {
        2 * self.dim
    }

    fn formula(&self) -> Option<Formula> {
        let (dim, gamma, scale) = (self.dim, self.gamma, 1.0);
        Some(Formula { equation: Equation::Mode, dim, gamma, scale })
    }

    fn init_entity(&self, uniform: &mut dyn FnMut() -> f32, row: &mut [f32]) {
        row.fill_with(|| (2.0 * uniform() - 1.0) * self.range);
    }

    fn query(&self, open: Side, entity: &[f32], relation: &[f32], query: &mut [f32]) {
        let (a, c) = query.split_at_mut(self.dim);
        match open {
            Side::Tail => {
                a.fill(1.0);
                c.iter_mut().zip(entity).zip(relation).for_each(|((c, h), r)| *c = h * r);
            }
            Side::Head => {
                a.copy_from_slice(relation);
                c.copy_from_slice(entity);
            }
        }
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
        let (da, dc) = d_query.split_at(self.dim);
        for i in 0..self.dim {
            match open {
                Side::Tail => {
                    d_entity[i] += dc[i] * relation[i];
                    d_relation[i] += dc[i] * entity[i];
                }
                Side::Head => {
                    d_relation[i] += da[i];
                    d_entity[i] += dc[i];
                }
            }
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
    /// ‖a∘x − c‖₁ of a candidate and each query.
    fn distances(candidate: &[f32], queries: Queries<'_>, dim: usize, out: &mut [f32]), FMA, {
        for (&row, out) in queries.rows.iter().zip(out) {
            let (a, c) = queries.values[row as usize * 2 * dim..][..2 * dim].split_at(dim);
            let mut sums = Sums::zero();
            walk!(dim, |L, at| {
                let (x, a, c) = (block::<L>(candidate, at), block::<L>(a, at), block::<L>(c, at));
                for l in 0..L {
                    sums.0[l] += fma::<FMA>(a[l], x[l], -c[l]).abs();
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
            let start = row as usize * 2 * dim;
            let (a, c) = queries.values[start..][..2 * dim].split_at(dim);
            let (d_a, d_c) = d_queries[start..][..2 * dim].split_at_mut(dim);
            walk!(dim, |L, at| {
                let (x, a, c) = (block::<L>(candidate, at), block::<L>(a, at), block::<L>(c, at));
                let mut slope = [0.0; L];
                for l in 0..L {
                    slope[l] = -d * sign(fma::<FMA>(a[l], x[l], -c[l]));
                }
                add::<FMA, L>(d_candidate, at, &slope, a);
                add::<FMA, L>(d_a, at, &slope, x);
                add::<FMA, L>(d_c, at, &slope, &[-1.0; L]);
            });
        }
    }
}
