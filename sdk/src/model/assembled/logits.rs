//! A batch to the logits of heads.

use super::{Encoded, Model, PARTS};
use crate::component::{Head, HeadSpec};
use crate::data::Batch;
use crate::model::part::Given;
use crate::ops::{Precision, multiplying};
use burn::tensor::Tensor;
use std::ops::Range;

impl Model {
    /// Logits of the heads `which`.
    ///
    /// # Shapes
    /// - `encoded`: what [`Model::encoded`] gave; `None` when no head looks at patients
    /// - output: one `[batch, outputs]` a head
    pub fn logits(&self, encoded: Option<Encoded>, batch: &Batch, which: Range<usize>) -> Vec<Tensor<2>> {
        let precision = encoded.as_ref().map_or(Precision::F32, |encoded| encoded.precision);
        multiplying(precision, || self.logits_of(encoded, batch, which))
    }

    fn logits_of(&self, encoded: Option<Encoded>, batch: &Batch, which: Range<usize>) -> Vec<Tensor<2>> {
        let (patients, nodes) = encoded.map_or((None, None), |encoded| (Some(encoded.patients), encoded.nodes));
        let specs = &self.head_specs[which.clone()];
        let vectors = self.vectors(specs, &Given { patients, batch });
        let heads = which.zip(specs);
        let logits = heads.map(|(i, spec)| {
            let input = self.input_of(spec, &vectors);
            let codes = self.codes.get(i).and_then(Option::as_ref).zip(nodes.as_ref());
            let codes = codes.map(|(codes, nodes)| nodes.clone().select(0, codes.clone())); // [outputs, encoder width]
            let seen = self.seen_by(spec, batch);
            let logits = self.heads[i].logits(input, codes, &seen, spec.outputs);
            let logits = match self.priors.get(i) {
                Some(prior) => logits + prior.clone(), // [batch, outputs]
                None => logits,
            };
            match self.histories.get(i) {
                Some(history) => logits + history.forward(batch), // [batch, outputs]
                None => logits,
            }
        });
        logits.collect()
    }

    /// The vectors that heads see of a batch, each computed once, with the key of its part.
    fn vectors(&self, specs: &[HeadSpec], given: &Given<'_>) -> Vec<(&'static str, Tensor<2>)> {
        let is_seen = |key: &str| specs.iter().any(|spec| self.sees(spec, &|part| part.key == key));
        let keys = PARTS.iter().map(|part| part.key).filter(|&key| is_seen(key));
        keys.filter_map(|key| Some((key, (self.vectors_of(key)?.of)(given)?))).collect()
    }

    /// What a head sees, side by side.
    fn input_of(&self, spec: &HeadSpec, vectors: &[(&'static str, Tensor<2>)]) -> Tensor<2> {
        let mut seen: Vec<Tensor<2>> = Vec::new();
        if spec.sees_kept {
            let kept = self.decoders.iter().zip(&self.decoder_specs);
            seen.extend(kept.map(|(head, kept)| head.embed(self.input_of(kept, vectors))));
        }
        for key in &spec.inputs {
            let of_part = vectors.iter().find(|(part, _)| *part == key.as_str());
            seen.extend(of_part.map(|(_, vectors)| vectors.clone()));
        }
        match seen.len() {
            1 => seen.remove(0),
            _ => Tensor::cat(seen, 1), // [batch, sum of widths]
        }
    }
}
