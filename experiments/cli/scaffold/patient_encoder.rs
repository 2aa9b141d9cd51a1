//@ turns the visits of a patient into a vector
//@ patient_encoder = { type = "@NAME@", dim = 32 }
//! A patient encoder: the visits of a patient → one vector.

use dualk_sdk::burn::nn::{Linear, LinearConfig};
use dualk_sdk::ops::{Pooling, linear, pool};
use dualk_sdk::prelude::*;

// What a manifest can set, each with its default: `patient_encoder = { type = "@NAME@", dim = 128 }`.
options! {
    /// Options of `@NAME@`.
    pub struct Options {
        /// Width of a patient vector.
        #[schemars(range(min = 1))]
        pub dim: usize = 64,
    }
}

impl Component for Options {
    const NAME: &'static str = "@NAME@";
    const ABOUT: &'static str = "The mean over visits of the mean over codes, then a linear layer.";
}

/// y = W mean over visits (mean over codes) + b. An ordinary burn module: the optimizer, freezing and checkpoints find the
/// parameters in its fields.
#[derive(Module, Debug)]
pub struct MeanPatient {
    layer: Linear,
    width: usize,
}

impl BuildPatientEncoder for Options {
    type Module = MeanPatient;

    fn build(self, context: &PatientEncoderContext<'_>) -> Result<MeanPatient> {
        let width = self.dim;
        Ok(MeanPatient { layer: LinearConfig::new(context.width, width).init(context.device), width })
    }
}

impl PatientEncoder for MeanPatient {
    fn forward(&self, embeddings: Tensor<2>, _: &Graph, batch: &Batch) -> Tensor<2> {
        let visits = pool(embeddings, &batch.codes, Pooling::Mean); // [visits, width]
        // `batch.visits.days_ago()` has the days between each visit and the patient's last one.
        let patients = pool(visits, &batch.visits, Pooling::Mean); // [batch, width]
        linear(&self.layer, patients) // [batch, dim]
    }

    fn width(&self) -> usize {
        self.width
    }
}

export_plugin! { patient_encoder: Options }

#[cfg(test)]
mod tests {
    use super::*;

    // Shapes, gradients, weights, patients without codes, wrong options: `cargo test` says what is wrong with any of it.
    #[test]
    fn it_is_a_sound_patient_encoder() {
        dualk_sdk::testing::check_patient_encoder(Options { dim: 4 });
    }
}
