//! `rotate`: relations as rotations in the complex plane.

use crate::lanes::{Sums, add, block, walk};
use dualk_sdk::kge::{EmbeddingModel, Equation, Formula, Queries, Side};
use dualk_sdk::prelude::*;
use dualk_sdk::simd::fma;
use dualk_sdk::vectorized_fn;
use std::f32::consts::PI;

options! {
    /// Options of `rotate`.
    pub struct RotateOptions {
        /// Complex numbers of an entity.
        #[schemars(range(min = 1))]
        pub dim: usize = 500,
        /// Margin γ: the score of a triple without distance.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        pub gamma: f64 = 6.0,
    }
}

impl Component for RotateOptions {
    const NAME: &'static str = "rotate";
    const ABOUT: &'static str = "Relations as rotations in the complex plane.";
    const CITATION: &'static str =
        "Sun et al., RotatE: Knowledge Graph Embedding by Relational Rotation in Complex Space, ICLR 2019";
}

/// score(h, r, t) = γ − Σ |h e^(iφ) − t|, an entity being [real parts, imaginary parts] and a relation the angles φ, stored
/// as φ·range/π with range = (γ + 2)/dim. A query is h e^(iφ), or t e^(−iφ).
#[derive(Debug)]
struct RotatE {
    dim: usize,
    gamma: f32,
    range: f32,
}

impl BuildKgeModel for RotateOptions {
    fn build(self) -> Result<Box<dyn EmbeddingModel>> {
        let dim = self.dim;
        Ok(Box::new(RotatE { dim, gamma: self.gamma as f32, range: ((self.gamma + 2.0) / dim as f64) as f32 }))
    }
}

impl RotatE {
    /// Sine and cosine of a relation's angle, or of its opposite for heads.
    fn turn(&self, open: Side, angle: f32) -> (f32, f32) {
        let angle = angle / self.range * PI;
        (if open == Side::Tail { angle } else { -angle }).sin_cos()
    }
}

impl EmbeddingModel for RotatE {
    fn entity_width(&self) -> usize {
        2 * self.dim
    }

    fn relation_width(&self) -> usize {
        self.dim
    }

    fn query_width(&self) -> usize {
        2 * self.dim
    }

    fn formula(&self) -> Option<Formula> {
        let (dim, gamma, scale) = (self.dim, self.gamma, PI / self.range);
        Some(Formula { equation: Equation::Rotate, dim, gamma, scale })
    }

    fn init_entity(&self, uniform: &mut dyn FnMut() -> f32, row: &mut [f32]) {
        row.fill_with(|| (2.0 * uniform() - 1.0) * self.range);
    }

    fn query(&self, open: Side, entity: &[f32], relation: &[f32], query: &mut [f32]) {
        let d = self.dim;
        for i in 0..d {
            let (sine, cosine) = self.turn(open, relation[i]);
            let (re, im) = (entity[i], entity[d + i]);
            (query[i], query[d + i]) = (re * cosine - im * sine, re * sine + im * cosine);
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
        let direction = if open == Side::Tail { 1.0 } else { -1.0 };
        for i in 0..d {
            let (sine, cosine) = self.turn(open, relation[i]);
            let (re, im, d_re, d_im) = (entity[i], entity[d + i], d_query[i], d_query[d + i]);
            d_entity[i] += d_re * cosine + d_im * sine;
            d_entity[d + i] += d_im * cosine - d_re * sine;
            let d_angle = d_re * (-re * sine - im * cosine) + d_im * (re * cosine - im * sine);
            d_relation[i] += direction * d_angle * PI / self.range;
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
    /// Σ|x − c| of a candidate and each query.
    fn distances(candidate: &[f32], queries: Queries<'_>, dim: usize, out: &mut [f32]), FMA, {
        let (re, im) = candidate.split_at(dim);
        for (&row, out) in queries.rows.iter().zip(out) {
            let (q_re, q_im) = queries.values[row as usize * 2 * dim..][..2 * dim].split_at(dim);
            let mut sums = Sums::zero();
            walk!(dim, |L, at| {
                let (re, im) = (block::<L>(re, at), block::<L>(im, at));
                let (q_re, q_im) = (block::<L>(q_re, at), block::<L>(q_im, at));
                for l in 0..L {
                    let (x, y) = (re[l] - q_re[l], im[l] - q_im[l]);
                    sums.0[l] += fma::<FMA>(x, x, y * y).sqrt();
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
        let (re, im) = candidate.split_at(dim);
        let (d_re, d_im) = d_candidate.split_at_mut(dim);
        for (&row, &d) in queries.rows.iter().zip(d_scores) {
            let start = row as usize * 2 * dim;
            let (q_re, q_im) = queries.values[start..][..2 * dim].split_at(dim);
            let (dq_re, dq_im) = d_queries[start..][..2 * dim].split_at_mut(dim);
            walk!(dim, |L, at| {
                let (re, im) = (block::<L>(re, at), block::<L>(im, at));
                let (q_re, q_im) = (block::<L>(q_re, at), block::<L>(q_im, at));
                let (mut x, mut y) = ([0.0; L], [0.0; L]);
                for l in 0..L {
                    let (dx, dy) = (re[l] - q_re[l], im[l] - q_im[l]);
                    // Without distance there is no gradient; 0 is one of the subgradients.
                    let by = -d / fma::<FMA>(dx, dx, dy * dy).sqrt().max(f32::MIN_POSITIVE);
                    (x[l], y[l]) = (by * dx, by * dy);
                }
                add::<FMA, L>(d_re, at, &x, &[1.0; L]);
                add::<FMA, L>(d_im, at, &y, &[1.0; L]);
                add::<FMA, L>(dq_re, at, &x, &[-1.0; L]);
                add::<FMA, L>(dq_im, at, &y, &[-1.0; L]);
            });
        }
    }
}
