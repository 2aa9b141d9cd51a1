//! `complex`: a bilinear score of complex numbers.

use crate::lanes::{Sums, add, block, walk};
use dualk_sdk::kge::{EmbeddingModel, Equation, Formula, Queries, Side};
use dualk_sdk::prelude::*;
use dualk_sdk::simd::fma;
use dualk_sdk::vectorized_fn;

options! {
    /// Options of `complex`.
    pub struct ComplexOptions {
        /// Complex numbers of an entity.
        #[schemars(range(min = 1))]
        pub dim: usize = 500,
        /// γ, which only bounds the first values, by (γ + 2)/dim.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        pub gamma: f64 = 6.0,
    }
}

impl Component for ComplexOptions {
    const NAME: &'static str = "complex";
    const ABOUT: &'static str = "A bilinear score of complex numbers.";
    const CITATION: &'static str = "Trouillon et al., Complex Embeddings for Simple Link Prediction, ICML 2016";
}

/// score(h, r, t) = Re Σ h r t̄, rows being [real parts, imaginary parts]. A query is h r, or r̄ t; the score of a candidate
/// is their scalar product as real numbers. γ only bounds the first values, by (γ + 2)/dim.
#[derive(Debug)]
struct ComplEx {
    dim: usize,
    range: f32,
}

impl BuildKgeModel for ComplexOptions {
    fn build(self) -> Result<Box<dyn EmbeddingModel>> {
        let dim = self.dim;
        Ok(Box::new(ComplEx { dim, range: ((self.gamma + 2.0) / dim as f64) as f32 }))
    }
}

impl EmbeddingModel for ComplEx {
    fn entity_width(&self) -> usize {
        2 * self.dim
    }

    fn relation_width(&self) -> usize {
        2 * self.dim
    }

    fn query_width(&self) -> usize {
        2 * self.dim
    }

    fn formula(&self) -> Option<Formula> {
        let (dim, gamma, scale) = (self.dim, 0.0, 1.0);
        Some(Formula { equation: Equation::Complex, dim, gamma, scale })
    }

    fn init_entity(&self, uniform: &mut dyn FnMut() -> f32, row: &mut [f32]) {
        row.fill_with(|| (2.0 * uniform() - 1.0) * self.range);
    }

    fn query(&self, open: Side, entity: &[f32], relation: &[f32], query: &mut [f32]) {
        let d = self.dim;
        let sign = if open == Side::Tail { 1.0 } else { -1.0 };
        for i in 0..d {
            let (re, im, r_re, r_im) = (entity[i], entity[d + i], relation[i], sign * relation[d + i]);
            (query[i], query[d + i]) = (re * r_re - im * r_im, re * r_im + im * r_re);
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
        let d = self.dim;
        let sign = if open == Side::Tail { 1.0 } else { -1.0 };
        for i in 0..d {
            let (re, im, r_re, r_im) = (entity[i], entity[d + i], relation[i], sign * relation[d + i]);
            let (d_re, d_im) = (d_query[i], d_query[d + i]);
            d_entity[i] += d_re * r_re + d_im * r_im;
            d_entity[d + i] += d_im * r_re - d_re * r_im;
            d_relation[i] += d_re * re + d_im * im;
            d_relation[d + i] += sign * (d_im * re - d_re * im);
        }
    }

    fn scores(&self, candidate: &[f32], queries: Queries<'_>, _: &[f32], scores: &mut [f32], _: &mut [f32]) {
        products(candidate, queries, 2 * self.dim, scores);
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
        gradients(candidate, queries, 2 * self.dim, d_scores, d_candidate, d_queries);
    }
}

vectorized_fn! {
    /// Scalar products of a candidate and each query.
    fn products(candidate: &[f32], queries: Queries<'_>, width: usize, out: &mut [f32]), FMA, {
        for (&row, out) in queries.rows.iter().zip(out) {
            let query = &queries.values[row as usize * width..][..width];
            let mut sums = Sums::zero();
            walk!(width, |L, at| {
                let (x, q) = (block::<L>(candidate, at), block::<L>(query, at));
                for l in 0..L {
                    sums.0[l] = fma::<FMA>(x[l], q[l], sums.0[l]);
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
        width: usize,
        d_scores: &[f32],
        d_candidate: &mut [f32],
        d_queries: &mut [f32],
    ), FMA, {
        for (&row, &d) in queries.rows.iter().zip(d_scores) {
            let start = row as usize * width;
            let (query, d_query) = (&queries.values[start..][..width], &mut d_queries[start..][..width]);
            walk!(width, |L, at| {
                let (x, q) = (block::<L>(candidate, at), block::<L>(query, at));
                add::<FMA, L>(d_candidate, at, q, &[d; L]);
                add::<FMA, L>(d_query, at, x, &[d; L]);
            });
        }
    }
}
