//! Heads: from vectors to logits.

use crate::component::{HeadKind, in_range};
use crate::{Error, Result, ops};
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

crate::options! {
    /// Widths and dropout of the heads.
    pub struct HeadOptions {
        /// Widths of the two hidden layers of a decoder; the second is the embedding that classifiers use.
        pub decoder: Vec<usize> = vec![256, 128],
        /// Width of the hidden layer of a classifier.
        pub classifier: Vec<usize> = vec![256],
        /// Part of the hidden numbers that is dropped during training, in heads without a key of their own.
        pub dropout: f64 = 0.4,
        /// The same in decoders: after the first hidden layer, and before the last layer.
        pub decoder_dropout: Option<f64> = None,
        /// The same in classifiers.
        pub classifier_dropout: Option<f64> = None,
        /// The same before the single layer of a linear head, which trains the lab layer.
        pub linear_dropout: Option<f64> = None,
        /// Whether a patient's own codes, and their neighbours in the graph, also reach the logits of a task directly, past
        /// fusions and hidden layers. Default: true, and false with `compat`.
        pub history: Option<bool> = None,
    }
}

impl HeadOptions {
    /// Checks the options.
    ///
    /// # Errors
    /// Names the key whose value makes no sense.
    pub fn check(&self) -> Result<()> {
        widths("decoder", &self.decoder, 2)?;
        widths("classifier", &self.classifier, 1)?;
        in_range("dropout", self.dropout, 0.0, 1.0)?;
        let own = [
            ("decoder_dropout", self.decoder_dropout),
            ("classifier_dropout", self.classifier_dropout),
            ("linear_dropout", self.linear_dropout),
        ];
        own.into_iter().try_for_each(|(key, rate)| rate.map_or(Ok(()), |rate| in_range(key, rate, 0.0, 1.0).map(drop)))
    }

    /// With a head's own rate, or that of all heads.
    fn dropout(&self, own: Option<f64>) -> Dropout {
        DropoutConfig::new(own.unwrap_or(self.dropout)).init()
    }
}

fn widths(key: &str, widths: &[usize], count: usize) -> Result<()> {
    match widths.len() == count && !widths.contains(&0) {
        true => Ok(()),
        false => Err(Error::user(format!("expected {count} widths of at least 1, found {widths:?}")).at_key(key)),
    }
}

/// A linear layer with PyTorch's defaults: weight and bias uniform in ±1/√inputs.
fn linear(input: usize, output: usize, device: &Device) -> Linear {
    LinearConfig::new(input, output).init(device)
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
    /// A new decoder.
    pub fn new(input: usize, outputs: usize, options: &HeadOptions, device: &Device) -> Self {
        let (first, second) = (options.decoder[0], options.decoder[1]);
        Self {
            fc1: linear(input, first, device),
            fc2: linear(first, second, device),
            fc3: linear(second, outputs, device),
            dropout: options.dropout(options.decoder_dropout),
        }
    }

    /// The second hidden layer.
    ///
    /// # Shapes
    /// - `x`: `[batch, input]`
    /// - output: `[batch, decoder[1]]`
    pub fn embed(&self, x: Tensor<2>) -> Tensor<2> {
        let h = self.dropout.forward(relu(ops::linear(&self.fc1, x))); // [batch, decoder[0]]
        relu(ops::linear(&self.fc2, h)) // [batch, decoder[1]]
    }

    /// Logits.
    ///
    /// # Shapes
    /// - `x`: `[batch, input]`
    /// - output: `[batch, outputs]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        ops::linear(&self.fc3, self.dropout.forward(self.embed(x))) // [batch, outputs]
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
    /// A new classifier.
    pub fn new(input: usize, outputs: usize, options: &HeadOptions, device: &Device) -> Self {
        let hidden = options.classifier[0];
        let dropout = options.dropout(options.classifier_dropout);
        Self { fc1: linear(input, hidden, device), fc2: linear(hidden, outputs, device), dropout }
    }

    /// The hidden layer.
    ///
    /// # Shapes
    /// - `x`: `[batch, input]`
    /// - output: `[batch, classifier[0]]`
    pub fn embed(&self, x: Tensor<2>) -> Tensor<2> {
        self.dropout.forward(relu(ops::linear(&self.fc1, x))) // [batch, classifier[0]]
    }

    /// Logits.
    ///
    /// # Shapes
    /// - `x`: `[batch, input]`
    /// - output: `[batch, outputs]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        ops::linear(&self.fc2, self.embed(x)) // [batch, outputs]
    }
}

/// One layer after dropout, fc(dropout(x)).
#[derive(Module, Debug)]
pub struct LinearHead {
    fc: Linear,
    dropout: Dropout,
}

impl LinearHead {
    /// A new layer.
    pub fn new(input: usize, outputs: usize, options: &HeadOptions, device: &Device) -> Self {
        Self { fc: linear(input, outputs, device), dropout: options.dropout(options.linear_dropout) }
    }

    /// Logits.
    ///
    /// # Shapes
    /// - `x`: `[batch, input]`
    /// - output: `[batch, outputs]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        ops::linear(&self.fc, self.dropout.forward(x)) // [batch, outputs]
    }
}

/// The network of a head.
#[derive(Module, Debug)]
pub enum Head {
    /// Three layers.
    Decoder(Decoder),
    /// Two layers.
    Classifier(Classifier),
    /// One layer.
    Linear(LinearHead),
}

impl Head {
    /// A new head of the given kind. The options must have passed [`HeadOptions::check`].
    pub fn new(kind: HeadKind, input: usize, outputs: usize, options: &HeadOptions, device: &Device) -> Self {
        match kind {
            HeadKind::Decoder => Self::Decoder(Decoder::new(input, outputs, options, device)),
            HeadKind::Classifier => Self::Classifier(Classifier::new(input, outputs, options, device)),
            HeadKind::Linear => Self::Linear(LinearHead::new(input, outputs, options, device)),
        }
    }

    /// Logits.
    ///
    /// # Shapes
    /// - `x`: `[batch, input]`
    /// - output: `[batch, outputs]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Decoder(head) => head.forward(x),
            Self::Classifier(head) => head.forward(x),
            Self::Linear(head) => head.forward(x),
        }
    }

    /// What the last layer sees, before its dropout if it is the only one.
    ///
    /// # Shapes
    /// - `x`: `[batch, input]`
    /// - output: `[batch, self.embedding_width()]`
    pub fn embed(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Decoder(head) => head.embed(x),
            Self::Classifier(head) => head.embed(x),
            Self::Linear(_) => x,
        }
    }

    /// Width of [`Head::embed`].
    pub fn embedding_width(&self) -> usize {
        let last = match self {
            Self::Decoder(head) => &head.fc3,
            Self::Classifier(head) => &head.fc2,
            Self::Linear(head) => &head.fc,
        };
        last.weight.lazy_shape()[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_follow_the_options() {
        let device = Device::flex();
        let options = HeadOptions { decoder: vec![7, 5], classifier: vec![6], ..HeadOptions::default() };
        options.check().unwrap();
        for (kind, width) in [(HeadKind::Decoder, 5), (HeadKind::Classifier, 6), (HeadKind::Linear, 3)] {
            let head = Head::new(kind, 3, 4, &options, &device);
            let x = Tensor::ones([2, 3], &device);
            assert_eq!(head.embedding_width(), width);
            assert_eq!(head.embed(x.clone()).dims(), [2, width]);
            assert_eq!(head.forward(x).dims(), [2, 4]);
        }
    }

    #[test]
    fn weights_start_within_one_over_the_root_of_the_inputs() {
        let device = Device::flex();
        let layer = linear(100, 50, &device);
        for tensor in [layer.weight.val().flatten::<1>(0, 1), layer.bias.unwrap().val()] {
            let values: Vec<f32> = tensor.into_data().iter::<f32>().collect();
            let largest = values.iter().fold(0f32, |m, v| m.max(v.abs()));
            assert!(largest <= 0.1 && largest > 0.08, "{largest}");
        }
    }

    #[test]
    fn bad_options_name_their_key() {
        let of = |o: HeadOptions| o.check().unwrap_err().to_string();
        assert!(of(HeadOptions { decoder: vec![8], ..Default::default() }).starts_with("`decoder`"));
        assert!(of(HeadOptions { classifier: vec![0], ..Default::default() }).starts_with("`classifier`"));
        assert!(of(HeadOptions { dropout: f64::NAN, ..Default::default() }).starts_with("`dropout`"));
    }
}
