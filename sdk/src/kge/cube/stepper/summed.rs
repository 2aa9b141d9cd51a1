//! Gradients of a batch without a step, summed by row.

use super::DeviceStepper;
use super::sent::kept_rows;
use crate::Result;
use crate::kge::NONE;
use crate::kge::cube::sizes::check_step;
use crate::kge::sample::Batch;
use crate::kge::step::Gradients;
use burn_cubecl::tensor::CubeTensor;

impl DeviceStepper {
    /// Loss and gradients without a step, for tests.
    ///
    /// # Errors
    /// As of a step.
    pub fn gradients(&mut self, batch: &Batch) -> Result<Gradients> {
        check_step(self.formula, batch.triples.len(), batch.candidates)?;
        let rates = self.adam.rates(batch.step, self.window);
        let keep = kept_rows(batch, true);
        let last = [&self.entities, &self.relations].map(|table| table.last.clone());
        let sent = self.send(batch, &rates, &keep);
        [self.entities.last, self.relations.last] = last;
        let passed = self.pass(&sent, batch, &rates);
        let (width, relation_width) = (self.entities.width, self.relations.width);
        let sum = |size: usize, lists: &[(&CubeTensor, Vec<u32>, usize)]| -> Result<Vec<f32>> {
            let mut sums = vec![0.0; size];
            for (tensor, rows, width) in lists {
                let values = self.place.read(tensor, rows.len() * width)?;
                for (row, values) in rows.iter().zip(values.chunks_exact(*width)) {
                    sums[*row as usize * width..].iter_mut().zip(values).for_each(|(sum, d)| *sum += d);
                }
            }
            Ok(sums)
        };
        let anchors = batch.triples.iter().map(|t| t.sides(batch.open).0).collect();
        let of_entities = [(&passed.kept, batch.scored.rows.clone(), width), (&passed.to_entities, anchors, width)];
        let of_relations = batch.triples.iter().map(|t| t.relation).collect();
        let entities = sum(self.entities.last.len() * width, &of_entities)?;
        let relations =
            sum(self.relations.last.len() * relation_width, &[(&passed.to_relations, of_relations, relation_width)])?;
        let parts = self.place.read(&passed.parts, batch.triples.len() * 3)?;
        let part = |k: usize| parts.iter().skip(k).step_by(3).map(|&x| f64::from(x)).sum::<f64>();
        let shared = (0..self.shared.width).map(|k| part(1 + k) as f32).collect();
        let mut scores = self.place.read(&passed.scores, batch.slots.len())?;
        for (score, slot) in scores.iter_mut().zip(&batch.slots) {
            if *slot == NONE {
                *score = f32::NAN;
            }
        }
        Ok(Gradients { loss: part(0), scores, entities, relations, shared })
    }
}
