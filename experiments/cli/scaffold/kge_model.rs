//@ embeds a knowledge graph
//! An embedding model of a knowledge graph: rows for entities and relations, and a score of triples.

use dualk_sdk::kge::{EmbeddingModel, Queries, Side};
use dualk_sdk::prelude::*;

// What a manifest can set, each with its default: `model = { type = "@NAME@", dim = 64 }`.
options! {
    /// Options of `@NAME@`.
    pub struct Options {
        /// Numbers of an entity, and of a relation.
        #[schemars(range(min = 1))]
        pub dim: usize = 32,
        /// Bound of the first values.
        #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 10.0))]
        pub scale: f64 = 0.5,
    }
}

impl Component for Options {
    const NAME: &'static str = "@NAME@";
    const ABOUT: &'static str = "A bilinear score with a diagonal matrix for each relation.";
    const CITATION: &'static str = "Yang et al., Embedding Entities and Relations for Learning and Inference, ICLR 2015";
}

/// score(h, r, t) = Σ h r t. The query of an open side is the product of the two others.
#[derive(Debug)]
pub struct DistMult {
    dim: usize,
    scale: f32,
}

impl BuildKgeModel for Options {
    fn build(self) -> Result<Box<dyn EmbeddingModel>> {
        Ok(Box::new(DistMult { dim: self.dim, scale: self.scale as f32 }))
    }
}

impl EmbeddingModel for DistMult {
    fn entity_width(&self) -> usize {
        self.dim
    }

    fn relation_width(&self) -> usize {
        self.dim
    }

    fn query_width(&self) -> usize {
        self.dim
    }

    fn saved(&self) -> usize {
        0 // the backward pass needs nothing but rows
    }

    fn init_entity(&self, uniform: &mut dyn FnMut() -> f32, row: &mut [f32]) {
        row.fill_with(|| (2.0 * uniform() - 1.0) * self.scale);
    }

    fn query(&self, _: Side, entity: &[f32], relation: &[f32], query: &mut [f32]) {
        query.iter_mut().zip(entity).zip(relation).for_each(|((q, x), r)| *q = x * r);
    }

    fn query_backward(
        &self,
        _: Side,
        entity: &[f32],
        relation: &[f32],
        d_query: &[f32],
        d_entity: &mut [f32],
        d_relation: &mut [f32],
    ) {
        for i in 0..self.dim {
            d_entity[i] += d_query[i] * relation[i];
            d_relation[i] += d_query[i] * entity[i];
        }
    }

    fn scores(&self, candidate: &[f32], queries: Queries<'_>, _: &[f32], scores: &mut [f32], _: &mut [f32]) {
        for (&row, score) in queries.rows.iter().zip(scores) {
            let query = &queries.values[row as usize * self.dim..][..self.dim];
            *score = query.iter().zip(candidate).map(|(q, x)| q * x).sum();
        }
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
        for (&row, d) in queries.rows.iter().zip(d_scores) {
            let start = row as usize * self.dim;
            for i in 0..self.dim {
                d_candidate[i] += d * queries.values[start + i];
                d_queries[start + i] += d * candidate[i];
            }
        }
    }
}

export_plugin! { kge_model: Options }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_by_hand() {
        let model = Options { dim: 2, scale: 1.0 }.build().unwrap();
        let (mut query, mut score) = ([0.0; 2], [0.0]);
        model.query(Side::Tail, &[1.0, 2.0], &[3.0, -1.0], &mut query);
        model.scores(&[2.0, 0.5], Queries { values: &query, rows: &[0] }, &[], &mut score, &mut []);
        assert_eq!(score, [1.0 * 3.0 * 2.0 - 2.0 * 0.5]);
    }

    // Widths, gradients, wrong options: `cargo test` says what is wrong with any of it.
    #[test]
    fn it_is_sound() {
        dualk_sdk::testing::check_kge_model(Options::default());
    }
}
