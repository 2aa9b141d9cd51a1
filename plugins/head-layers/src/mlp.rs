//! `mlp`: perceptrons of three, two or one layer, as the objective asks.

use crate::LinearHead;
use dualk_sdk::burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use dualk_sdk::ops::{linear, linear_relu};
use dualk_sdk::prelude::*;

options! {
    /// Options of `mlp`.
    pub struct MlpOptions {
        /// Widths of the two hidden layers of a decoder; the second is the embedding that classifiers use.
        #[schemars(length(equal = 2), inner(range(min = 1)))]
        pub decoder: Vec<usize> = vec![256, 128],
        /// Width of the hidden layer of a classifier.
        #[schemars(length(equal = 1), inner(range(min = 1)))]
        pub classifier: Vec<usize> = vec![256],
        /// Dropout rate after hidden layers, in networks without a key of their own.
        #[schemars(with = "Fraction")]
        pub dropout: f64 = 0.4,
        /// Dropout rate of decoders: after the first hidden layer, and before the last layer.
        #[schemars(with = "Option<Fraction>")]
        pub decoder_dropout: Option<f64> = None,
        /// Dropout rate of classifiers: after their hidden layer.
        #[schemars(with = "Option<Fraction>")]
        pub classifier_dropout: Option<f64> = None,
        /// Dropout rate before the single layer of a linear head, which trains the lab layer.
        #[schemars(with = "Option<Fraction>")]
        pub linear_dropout: Option<f64> = None,
    }
}

impl Component for MlpOptions {
    const NAME: &'static str = "mlp";
    const ABOUT: &'static str =
        "Perceptrons with ReLU: `decoder` of three layers, `classifier` of two, `linear` of one.";
    const CITATION: &'static str = "DuaLK, arXiv 2410.19955";
    const DEFAULT: bool = true;
}

/// So many widths of layers. Those of a manifest are as many by the declared range; a program may give others.
pub(crate) fn widths<const N: usize>(key: &str, widths: &[usize]) -> Result<[usize; N]> {
    match <[usize; N]>::try_from(widths) {
        Ok(widths) if !widths.contains(&0) => Ok(widths),
        _ => Err(Error::user(format!("expected {N} widths of at least 1, found {widths:?}")).at_key(key)),
    }
}

/// Three layers, fc3(dropout(h₂)), h₂ = ReLU(fc2(h₁)), h₁ = dropout(ReLU(fc1(x))). One for each category of laboratory
/// items in pretraining; h₂ is what it lends to the classifier, without dropout of its own, as published.
#[derive(Module, Debug)]
pub struct Decoder {
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
    dropout: Dropout,
}

impl Decoder {
    /// A new decoder with two hidden widths.
    pub fn new(context: &HeadContext<'_>, hidden: [usize; 2], dropout: f64) -> Self {
        let layer = |input, output| LinearConfig::new(input, output).init(context.device);
        let [first, second] = hidden;
        Self {
            fc1: layer(context.input, first),
            fc2: layer(first, second),
            fc3: layer(second, context.outputs),
            dropout: DropoutConfig::new(dropout).init(),
        }
    }

    /// The second hidden layer.
    pub(crate) fn embed(&self, x: Tensor<2>) -> Tensor<2> {
        let h = linear_relu(&self.fc1, x, Some(&self.dropout)); // [batch, decoder[0]]
        linear_relu(&self.fc2, h, None) // [batch, decoder[1]]
    }

    /// Its width.
    pub(crate) fn width(&self) -> usize {
        self.fc3.weight.lazy_shape()[0]
    }

    /// The logits of a batch of vectors.
    ///
    /// # Shapes
    /// - `x`: `[batch, input]`
    /// - output: `[batch, outputs]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let h = linear_relu(&self.fc1, x, Some(&self.dropout)); // [batch, decoder[0]]
        linear(&self.fc3, linear_relu(&self.fc2, h, Some(&self.dropout))) // [batch, outputs]
    }
}

/// Two layers, fc2(dropout(ReLU(fc1(x)))).
#[derive(Module, Debug)]
pub struct Classifier {
    fc1: Linear,
    fc2: Linear,
    dropout: Dropout,
}

impl Classifier {
    /// A new classifier with a hidden width.
    pub fn new(context: &HeadContext<'_>, hidden: usize, dropout: f64) -> Self {
        let layer = |input, output| LinearConfig::new(input, output).init(context.device);
        Self {
            fc1: layer(context.input, hidden),
            fc2: layer(hidden, context.outputs),
            dropout: DropoutConfig::new(dropout).init(),
        }
    }

    /// The hidden layer.
    pub(crate) fn embed(&self, x: Tensor<2>) -> Tensor<2> {
        linear_relu(&self.fc1, x, Some(&self.dropout)) // [batch, classifier[0]]
    }

    /// Its width.
    pub(crate) fn width(&self) -> usize {
        self.fc2.weight.lazy_shape()[0]
    }

    /// The logits of a batch of vectors.
    ///
    /// # Shapes
    /// - `x`: `[batch, input]`
    /// - output: `[batch, outputs]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        linear(&self.fc2, self.embed(x)) // [batch, outputs]
    }
}

/// The network that an objective asked for.
#[derive(Module, Debug)]
pub enum MlpHead {
    /// Three layers.
    Decoder(Decoder),
    /// Two layers.
    Classifier(Classifier),
    /// One layer.
    Linear(LinearHead),
}

impl BuildHead for MlpOptions {
    type Module = MlpHead;

    fn build(self, context: &HeadContext<'_>) -> Result<MlpHead> {
        let hidden = widths::<2>("decoder", &self.decoder)?;
        let [of_classifier] = widths::<1>("classifier", &self.classifier)?;
        let rate = |own: Option<f64>| own.unwrap_or(self.dropout);
        match context.network {
            "decoder" => Ok(MlpHead::Decoder(Decoder::new(context, hidden, rate(self.decoder_dropout)))),
            "" | "classifier" => {
                let dropout = rate(self.classifier_dropout);
                Ok(MlpHead::Classifier(Classifier::new(context, of_classifier, dropout)))
            }
            "linear" => {
                let dropout = rate(self.linear_dropout);
                Ok(MlpHead::Linear(LinearHead::new(context.input, context.outputs, dropout, context.device)))
            }
            other => Err(Error::user(format!("the objective asks for the network `{other}`, which `mlp` has not"))
                .suggest(other, ["decoder", "classifier", "linear"])),
        }
    }
}

impl Head for MlpHead {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Decoder(head) => head.forward(x),
            Self::Classifier(head) => head.forward(x),
            Self::Linear(head) => head.forward(x),
        }
    }

    fn embed(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Decoder(head) => head.embed(x),
            Self::Classifier(head) => head.embed(x),
            Self::Linear(head) => head.embed(x),
        }
    }

    fn width(&self) -> usize {
        match self {
            Self::Decoder(head) => head.width(),
            Self::Classifier(head) => head.width(),
            Self::Linear(head) => head.width(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dualk_sdk::model::draw_parameters;

    #[test]
    fn it_is_a_sound_head() {
        dualk_sdk::testing::check_head(MlpOptions {
            decoder: vec![7, 5],
            classifier: vec![6],
            ..MlpOptions::default()
        });
    }

    #[test]
    fn shapes_follow_the_options_and_the_network_asked_for() {
        let device = &Device::flex();
        let options = MlpOptions { decoder: vec![7, 5], classifier: vec![6], ..MlpOptions::default() };
        for (network, width) in [("decoder", 5), ("classifier", 6), ("", 6), ("linear", 3)] {
            let head = options
                .clone()
                .build(&HeadContext { network, input: 3, outputs: 4, code_width: None, knowledge: None, device })
                .map(draw_parameters)
                .unwrap();
            let x = Tensor::ones([2, 3], device);
            assert_eq!(head.width(), width);
            assert_eq!(head.embed(x.clone()).dims(), [2, width]);
            assert_eq!(head.forward(x).dims(), [2, 4]);
        }
    }

    #[test]
    fn bad_options_name_their_key_and_unknown_networks_those_there_are() {
        let of = |options: MlpOptions, network| {
            let context = HeadContext {
                network,
                input: 3,
                outputs: 4,
                code_width: None,
                knowledge: None,
                device: &Device::flex(),
            };
            options.build(&context).unwrap_err().to_string()
        };
        assert!(of(MlpOptions { decoder: vec![8], ..Default::default() }, "").starts_with("`decoder`"));
        assert!(of(MlpOptions { classifier: vec![0], ..Default::default() }, "").starts_with("`classifier`"));
        let unknown = of(MlpOptions::default(), "decodr");
        assert!(unknown.contains("`decodr`") && unknown.contains("decoder"), "{unknown}");
    }
}
