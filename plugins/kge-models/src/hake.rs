//! `hake`: moduli for levels of a hierarchy, phases for entities of one level.

use crate::lanes::{Sums, add, block, walk};
use crate::sine::{abs_sine, abs_sine_slope};
use dualk_sdk::kge::{EmbeddingModel, Equation, Formula, Queries, Side};
use dualk_sdk::prelude::*;
use dualk_sdk::simd::fma;
use dualk_sdk::vectorized_fn;
use std::f32::consts::PI;

options! {
    /// Options of `hake`.
    pub struct HakeOptions {
        /// Number of phases, and of moduli, of an entity.
        #[schemars(range(min = 1))]
        pub dim: usize = 500,
        /// Margin γ: the score of a triple without distance.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        pub gamma: f64 = 6.0,
        /// First value of the moduli's weight, which is trained.
        #[schemars(range(min = 0.0))]
        pub modulus_weight: f64 = 1.0,
        /// First value of the phases' weight, in units of the range of parameters; it is trained.
        #[schemars(range(min = 0.0))]
        pub phase_weight: f64 = 0.5,
    }
}

impl Component for HakeOptions {
    const NAME: &'static str = "hake";
    const ABOUT: &'static str = "Moduli for levels of a hierarchy, phases for entities of one level.";
    const CITATION: &'static str = "Zhang et al., Learning Hierarchy-Aware Knowledge Graph Embeddings, AAAI 2020";
    const DEFAULT: bool = true;
}

/// score(h, r, t) = γ − w_p Σ|sin((φ_h + φ_r − φ_t)/2)| − w_m ‖m_h∘(|m_r| + b) − m_t∘(1 − b)‖₂ (eq. 5 and 6 of the paper
/// with the mixture bias b of the published code, at most 1 and at least −|m_r|). Phases are stored as φ·range/π with
/// range = (γ + 2)/dim, which is also the bound of the first values.
///
/// An entity is [phases, moduli], a relation [phases, moduli, biases]. Either side's query is [q, a, c]: the distance of a
/// candidate (φ, m) is w_p Σ|sin π(φ s + q)| + w_m ‖a∘m − c‖₂ with s = 1/(2·range).
#[derive(Debug)]
struct Hake {
    dim: usize,
    gamma: f32,
    range: f32,
    weights: [f32; 2],
}

impl BuildKgeModel for HakeOptions {
    fn build(self) -> Result<Box<dyn EmbeddingModel>> {
        let dim = self.dim;
        let (gamma, range) = (self.gamma as f32, ((self.gamma + 2.0) / dim as f64) as f32);
        let weights = [self.phase_weight as f32 * range, self.modulus_weight as f32];
        Ok(Box::new(Hake { dim, gamma, range, weights }))
    }
}

impl Hake {
    fn scale(&self) -> f32 {
        0.5 / self.range
    }
}

/// A relation's modulus and bias as they act: |m|, and b between −|m| and 1.
fn acting(modulus: f32, bias: f32) -> (f32, f32) {
    let modulus = modulus.abs();
    (modulus, bias.min(1.0).max(-modulus))
}

impl EmbeddingModel for Hake {
    fn entity_width(&self) -> usize {
        2 * self.dim
    }

    fn relation_width(&self) -> usize {
        3 * self.dim
    }

    fn query_width(&self) -> usize {
        3 * self.dim
    }

    /// Numbers that are kept of a score: the distances of moduli and phases, before their weights.
    fn saved(&self) -> usize {
        2
    }

    fn shared(&self) -> Vec<f32> {
        self.weights.to_vec()
    }

    fn formula(&self) -> Option<Formula> {
        let (dim, gamma, scale) = (self.dim, self.gamma, self.scale());
        Some(Formula { equation: Equation::Hake, dim, gamma, scale })
    }

    fn init_entity(&self, uniform: &mut dyn FnMut() -> f32, row: &mut [f32]) {
        row.fill_with(|| (2.0 * uniform() - 1.0) * self.range);
    }

    fn init_relation(&self, uniform: &mut dyn FnMut() -> f32, row: &mut [f32]) {
        let (phases, rest) = row.split_at_mut(self.dim);
        let (moduli, biases) = rest.split_at_mut(self.dim);
        phases.fill_with(|| (2.0 * uniform() - 1.0) * self.range);
        moduli.fill(1.0);
        biases.fill(0.0);
    }

    fn query(&self, open: Side, entity: &[f32], relation: &[f32], query: &mut [f32]) {
        let (d, s) = (self.dim, self.scale());
        for i in 0..d {
            let (modulus, bias) = acting(relation[d + i], relation[2 * d + i]);
            let (phase, own) = (entity[i], entity[d + i]);
            let (q, a, c) = match open {
                Side::Tail => (-(phase + relation[i]), 1.0 - bias, own * (modulus + bias)),
                Side::Head => (relation[i] - phase, modulus + bias, own * (1.0 - bias)),
            };
            (query[i], query[d + i], query[2 * d + i]) = (q * s, a, c);
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
        let (d, s) = (self.dim, self.scale());
        for i in 0..d {
            let (modulus, bias) = acting(relation[d + i], relation[2 * d + i]);
            let own = entity[d + i];
            let (dq, da, dc) = (d_query[i] * s, d_query[d + i], d_query[2 * d + i]);
            let (d_modulus, d_bias) = match open {
                Side::Tail => {
                    d_relation[i] -= dq;
                    d_entity[d + i] += dc * (modulus + bias);
                    (dc * own, dc * own - da)
                }
                Side::Head => {
                    d_relation[i] += dq;
                    d_entity[d + i] += dc * (1.0 - bias);
                    (da, da - dc * own)
                }
            };
            d_entity[i] -= dq;
            // A bias below −|m| is −|m|, and one above 1 is 1.
            let free = relation[2 * d + i].min(1.0) >= -modulus;
            let d_modulus = if free { d_modulus } else { d_modulus - d_bias };
            let sign = relation[d + i];
            d_relation[d + i] += if sign == 0.0 { 0.0 } else { d_modulus * sign.signum() };
            d_relation[2 * d + i] += if free && relation[2 * d + i] <= 1.0 { d_bias } else { 0.0 };
        }
    }

    fn scores(&self, candidate: &[f32], queries: Queries<'_>, shared: &[f32], scores: &mut [f32], saved: &mut [f32]) {
        distances(candidate, queries, self.dim, self.scale(), saved);
        for (score, saved) in scores.iter_mut().zip(saved.chunks_exact(2)) {
            *score = self.gamma - shared[0] * saved[0] - shared[1] * saved[1];
        }
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
        for (d, saved) in d_scores.iter().zip(saved.chunks_exact(2)) {
            d_shared[0] -= d * saved[0];
            d_shared[1] -= d * saved[1];
        }
        gradients(
            candidate,
            queries,
            self.dim,
            self.scale(),
            [shared[0], shared[1]],
            saved,
            d_scores,
            d_candidate,
            d_queries,
        );
    }

    /// The distance in a triple whose relation turns and scales nothing.
    fn distance(&self, a: &[f32], b: &[f32], shared: &[f32]) -> f32 {
        let mut relation = vec![0.0; 3 * self.dim];
        relation[self.dim..2 * self.dim].fill(1.0);
        let mut query = vec![0.0; 3 * self.dim];
        self.query(Side::Tail, a, &relation, &mut query);
        let mut saved = [0.0; 2];
        distances(b, Queries { values: &query, rows: &[0] }, self.dim, self.scale(), &mut saved);
        shared[0] * saved[0] + shared[1] * saved[1]
    }

    fn polar(&self, entity: &[f32]) -> Option<Vec<(f32, f32)>> {
        let (phases, moduli) = entity.split_at(self.dim);
        // The distance sees differences of half angles, so that a turn is twice the range.
        let angle = |phase: f32| (phase / self.range * PI).rem_euclid(2.0 * PI);
        Some(phases.iter().zip(moduli).map(|(&phase, &modulus)| (angle(phase), modulus.abs())).collect())
    }
}

vectorized_fn! {
    /// Σ|sin π(φ s + q)| and ‖a∘m − c‖₂ of a candidate and each query.
    fn distances(candidate: &[f32], queries: Queries<'_>, dim: usize, scale: f32, saved: &mut [f32]), FMA, {
        let (phases, moduli) = candidate.split_at(dim);
        for (&row, saved) in queries.rows.iter().zip(saved.chunks_exact_mut(2)) {
            let query = &queries.values[row as usize * 3 * dim..][..3 * dim];
            let (q, rest) = query.split_at(dim);
            let (a, c) = rest.split_at(dim);
            let (mut angles, mut squares) = (Sums::zero(), Sums::zero());
            walk!(dim, |L, at| {
                let (p, m) = (block::<L>(phases, at), block::<L>(moduli, at));
                let (q, a, c) = (block::<L>(q, at), block::<L>(a, at), block::<L>(c, at));
                for l in 0..L {
                    angles.0[l] += abs_sine::<FMA>(fma::<FMA>(p[l], scale, q[l]));
                    let r = fma::<FMA>(a[l], m[l], -c[l]);
                    squares.0[l] = fma::<FMA>(r, r, squares.0[l]);
                }
            });
            saved[0] = angles.total();
            saved[1] = squares.total().sqrt();
        }
    }
}

vectorized_fn! {
    /// Gradients of a candidate and its queries.
    fn gradients(
        candidate: &[f32],
        queries: Queries<'_>,
        dim: usize,
        scale: f32,
        weights: [f32; 2],
        saved: &[f32],
        d_scores: &[f32],
        d_candidate: &mut [f32],
        d_queries: &mut [f32],
    ), FMA, {
        let (phases, moduli) = candidate.split_at(dim);
        let (d_phases, d_moduli) = d_candidate.split_at_mut(dim);
        for ((&row, saved), &d) in queries.rows.iter().zip(saved.chunks_exact(2)).zip(d_scores) {
            let start = row as usize * 3 * dim;
            let (q, rest) = queries.values[start..][..3 * dim].split_at(dim);
            let (a, c) = rest.split_at(dim);
            let (d_q, rest) = d_queries[start..][..3 * dim].split_at_mut(dim);
            let (d_a, d_c) = rest.split_at_mut(dim);
            let d_angle = -d * weights[0] * PI;
            // At distance 0 the norm has no gradient; 0 is one of its subgradients.
            let d_norm = if saved[1] > 0.0 { -d * weights[1] / saved[1] } else { 0.0 };
            let d_phase = d_angle * scale;
            walk!(dim, |L, at| {
                let (p, m) = (block::<L>(phases, at), block::<L>(moduli, at));
                let (q, a, c) = (block::<L>(q, at), block::<L>(a, at), block::<L>(c, at));
                // Whole blocks at a time, so that nothing is stored between what is loaded.
                let (mut slope, mut r) = ([0.0; L], [0.0; L]);
                for l in 0..L {
                    slope[l] = abs_sine_slope::<FMA>(fma::<FMA>(p[l], scale, q[l]));
                    r[l] = d_norm * fma::<FMA>(a[l], m[l], -c[l]);
                }
                add::<FMA, L>(d_phases, at, &slope, &[d_phase; L]);
                add::<FMA, L>(d_q, at, &slope, &[d_angle; L]);
                add::<FMA, L>(d_moduli, at, &r, a);
                add::<FMA, L>(d_a, at, &r, m);
                add::<FMA, L>(d_c, at, &r, &[-1.0; L]);
            });
        }
    }
}
