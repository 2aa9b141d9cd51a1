//! `behrt`: a Transformer over the codes of a history.

use crate::tokens::Tokens;
use dualk_sdk::burn::nn::transformer::{TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput};
use dualk_sdk::burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use dualk_sdk::component::divisor;
use dualk_sdk::ops::linear;
use dualk_sdk::prelude::*;

options! {
    /// Options of `behrt`.
    pub struct BehrtOptions {
        /// Width inside, which is the patient vector's.
        #[schemars(range(min = 1))]
        pub dim: usize = 128,
        /// Heads of the attention. Divides `dim`.
        #[schemars(range(min = 1))]
        pub heads: usize = 4,
        /// Number of layers.
        #[schemars(range(min = 1, max = 1000))]
        pub layers: usize = 2,
        /// Hidden width of the perceptron of a layer.
        #[schemars(range(min = 1))]
        pub feed_forward: usize = 256,
        /// Dropout rate of the embedded codes and of the transformer.
        #[schemars(with = "Fraction")]
        pub dropout: f64 = 0.1,
        /// Codes of a patient that are looked at: the last ones, when there are more.
        #[schemars(range(min = 1))]
        pub codes: usize = 256,
    }
}

impl Component for BehrtOptions {
    const NAME: &'static str = "behrt";
    const ABOUT: &'static str =
        "Self-attention among all codes of all visits, with visit order and elapsed time; the mean of what results.";
    const CITATION: &'static str =
        "after Li et al., BEHRT: Transformer for Electronic Health Records, Scientific Reports 2020";
}

/// out_p = mean over the codes c of a patient of T(e_c W + b + o_v + t_v)_c, with T an encoder of Vaswani et al. (2017): each
/// layer adds multi-head attention among all codes of the patient and then a perceptron with GELU, and normalises after both.
///
/// e_c is the code's embedding from the graph encoder. As in BEHRT, codes of a visit v share its position o_v, sines and
/// cosines of how many visits it is before the last. Where BEHRT adds an embedding of age, t_v is that of the elapsed time
/// d_v, sines and cosines of log(1 + d_v in days) projected to `dim`. There is no separator, and the mean takes the
/// place of the first token. A patient without codes is the zero vector.
#[derive(Module, Debug)]
pub struct Behrt {
    project: Linear,
    time: Linear,
    encoder: TransformerEncoder,
    dropout: Dropout,
    width: usize,
    codes: usize,
}

impl BuildPatientEncoder for BehrtOptions {
    type Module = Behrt;

    fn build(self, context: &PatientEncoderContext<'_>) -> Result<Behrt> {
        let Self { dim: width, layers, feed_forward: hidden, dropout, codes, .. } = self;
        let heads = divisor("heads", self.heads, "dim", width)?;
        let encoder = TransformerEncoderConfig::new(width, hidden, heads, layers).with_dropout(dropout);
        Ok(Behrt {
            project: LinearConfig::new(context.width, width).init(context.device),
            time: LinearConfig::new(Tokens::TIMES, width).with_bias(false).init(context.device),
            encoder: encoder.init(context.device),
            dropout: DropoutConfig::new(dropout).init(),
            width,
            codes,
        })
    }
}

impl PatientEncoder for Behrt {
    fn forward(&self, embeddings: Tensor<2>, _: &Graph, batch: &Batch) -> Tensor<2> {
        let device = embeddings.device().without_autodiff();
        let tokens = Tokens::new(batch, self.codes);
        let (patients, longest) = (batch.visits.len(), tokens.longest());
        if longest == 0 {
            return Tensor::zeros([patients, self.width], &device);
        }
        let codes = linear(&self.project, embeddings).select(0, tokens.codes(&device)); // [patients · longest, dim]
        let times = self.time.forward(tokens.times(&device)); // [patients · longest, dim]
        let x = (codes + times).reshape([patients, longest, self.width]) + tokens.orders(self.width, &device);
        let mask = tokens.mask(&device); // [patients, longest, 1]
        let absent = mask.clone().squeeze_dim::<2>(2).equal_elem(0.0); // [patients, longest]
        let input = TransformerEncoderInput::new(self.dropout.forward(x)).mask_pad(absent);
        let out = self.encoder.forward(input); // [patients, longest, dim]
        let lengths = mask.clone().sum_dim(1).clamp_min(1.0); // [patients, 1, 1]
        ((out * mask).sum_dim(1) / lengths).squeeze_dim(1) // [patients, dim]
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dualk_sdk::data::Visits;
    use dualk_sdk::model::draw_parameters;
    use std::sync::Arc;

    fn small() -> BehrtOptions {
        BehrtOptions { dim: 8, heads: 2, layers: 1, feed_forward: 8, ..Default::default() }
    }

    fn build(options: BehrtOptions) -> Result<Behrt> {
        let codes = vec![String::new(); 4];
        let context = PatientEncoderContext { width: 3, codes: &codes, device: &Device::flex(), parts: &() };
        options.build(&context).map(draw_parameters)
    }

    /// One patient of two visits, the second `days` after the first.
    fn patient(visits: [Vec<u32>; 2], days: f32) -> Batch {
        let codes: Visits = visits.into_iter().collect::<Visits>().at_days(vec![0.0, days]);
        let labs = [std::iter::empty()].into_iter().collect();
        let visits = [vec![0, 1]].into_iter().collect();
        Examples { codes: Arc::new(codes), visits, labs, targets: Vec::new(), ..Examples::default() }.batch(&[0])
    }

    fn encode(encoder: &Behrt, batch: &Batch) -> Vec<f32> {
        let embeddings = Tensor::<2>::from_data(
            [[0.0, 0.0, 0.0], [1.0, -2.0, 3.0], [0.5, 0.25, -4.0], [2.0, 1.0, 0.5]],
            &Device::flex(),
        );
        encoder.forward(embeddings, &Graph::new(4, &[]).unwrap(), batch).into_data().iter::<f32>().collect()
    }

    fn close(a: &[f32], b: &[f32]) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
    }

    #[test]
    fn it_is_a_sound_patient_encoder() {
        dualk_sdk::testing::check_patient_encoder(BehrtOptions { dropout: 0.0, ..small() });
    }

    #[test]
    fn order_of_visits_and_elapsed_time_count_and_order_of_codes_does_not() {
        let encoder = build(small()).unwrap();
        let base = encode(&encoder, &patient([vec![1, 2], vec![3]], 30.0));
        assert!(close(&base, &encode(&encoder, &patient([vec![2, 1], vec![3]], 30.0))));
        assert!(!close(&base, &encode(&encoder, &patient([vec![3], vec![1, 2]], 30.0))));
        assert!(!close(&base, &encode(&encoder, &patient([vec![1, 2], vec![3]], 300.0))));
    }

    #[test]
    fn of_a_long_history_the_last_codes_are_looked_at() {
        let encoder = build(BehrtOptions { codes: 2, ..small() }).unwrap();
        let (long, short) = (patient([vec![3, 3, 1], vec![2]], 5.0), patient([vec![1], vec![2]], 5.0));
        assert!(close(&encode(&encoder, &long), &encode(&encoder, &short)));
    }

    #[test]
    fn heads_that_do_not_divide_the_width_are_refused() {
        let error = build(BehrtOptions { heads: 3, ..small() }).unwrap_err().to_string();
        assert!(error.starts_with("`heads`"), "{error}");
    }
}
