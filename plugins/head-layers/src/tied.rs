//! `tied`: a classifier whose logits also compare the patient with the embedding of the code that they ask for.

use crate::Decoder;
use crate::mlp::widths;
use dualk_sdk::burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use dualk_sdk::ops::{linear, linear_relu, matmul};
use dualk_sdk::prelude::*;

options! {
    /// Options of `tied`.
    pub struct TiedOptions {
        /// Width of the hidden layer.
        #[schemars(range(min = 1))]
        pub hidden: usize = 256,
        /// Whether each code also has weights of its own, as in `mlp`. Without, all that is learnt of a code for its logit is
        /// its embedding and a bias: codes that are seldom seen share what others teach.
        pub own_weights: bool = false,
        /// Widths of the two hidden layers of heads that do not ask for codes.
        #[schemars(length(equal = 2), inner(range(min = 1)))]
        pub decoder: Vec<usize> = vec![256, 128],
        /// Dropout rate after hidden layers.
        #[schemars(with = "Fraction")]
        pub dropout: f64 = 0.4,
    }
}

impl Component for TiedOptions {
    const NAME: &'static str = "tied";
    const ABOUT: &'static str =
        "A classifier that compares patients with embeddings of the codes it asks for; `mlp`'s decoder elsewhere.";
    const CITATION: &'static str =
        "after Press and Wolf, Using the Output Embedding to Improve Language Models, EACL 2017";
}

/// logits = [W₂ h] + b + E V h, h = dropout(ReLU(W₁ x)), with E the embeddings of the codes.
#[derive(Module, Debug)]
pub struct Tied {
    fc1: Linear,
    /// Weights of each code, or its bias alone.
    own: Option<Linear>,
    bias: Option<Param<Tensor<1>>>,
    compare: Linear,
    dropout: Dropout,
}

/// [`Tied`] where logits ask for codes.
#[derive(Module, Debug)]
pub enum TiedHead {
    /// Logits that ask for codes.
    Codes(Tied),
    /// Other logits.
    Decoder(Decoder),
}

impl BuildHead for TiedOptions {
    type Module = TiedHead;

    fn build(self, context: &HeadContext<'_>) -> Result<TiedHead> {
        let Self { hidden, dropout, .. } = self;
        let of_decoder = widths::<2>("decoder", &self.decoder)?;
        let Some(width) = context.code_width else {
            return Ok(TiedHead::Decoder(Decoder::new(context, of_decoder, dropout)));
        };
        let layer = |input, output| LinearConfig::new(input, output).init(context.device);
        Ok(TiedHead::Codes(Tied {
            fc1: layer(context.input, hidden),
            own: self.own_weights.then(|| layer(hidden, context.outputs)),
            bias: (!self.own_weights).then(|| Param::from_tensor(Tensor::zeros([context.outputs], context.device))),
            compare: LinearConfig::new(hidden, width).with_bias(false).init(context.device),
            dropout: DropoutConfig::new(dropout).init(),
        }))
    }
}

impl Tied {
    fn hidden(&self, x: Tensor<2>) -> Tensor<2> {
        linear_relu(&self.fc1, x, Some(&self.dropout)) // [batch, hidden]
    }

    fn forward(&self, x: Tensor<2>, codes: Option<Tensor<2>>) -> Tensor<2> {
        let h = self.hidden(x);
        let compared = codes.map(|codes| matmul(linear(&self.compare, h.clone()), codes.transpose())); // [batch, outputs]
        let own = match (&self.own, &self.bias) {
            (Some(own), _) => linear(own, h), // [batch, outputs]
            (None, Some(bias)) => bias.val().unsqueeze_dim::<2>(0).repeat_dim(0, h.dims()[0]), // [batch, outputs]
            (None, None) => unreachable!("a head has weights or a bias"),
        };
        match compared {
            Some(compared) => own + compared,
            None => own,
        }
    }
}

impl Head for TiedHead {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Codes(head) => head.forward(x, None),
            Self::Decoder(head) => head.forward(x),
        }
    }

    fn forward_with_codes(&self, x: Tensor<2>, codes: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Codes(head) => head.forward(x, Some(codes)),
            Self::Decoder(head) => head.forward(x),
        }
    }

    fn looks_at_codes(&self) -> bool {
        matches!(self, Self::Codes(_))
    }

    fn embed(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Codes(head) => head.hidden(x),
            Self::Decoder(head) => head.embed(x),
        }
    }

    fn width(&self) -> usize {
        match self {
            Self::Codes(head) => head.compare.weight.lazy_shape()[0],
            Self::Decoder(head) => head.width(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dualk_sdk::model::draw_parameters;

    #[test]
    fn it_is_a_sound_head() {
        dualk_sdk::testing::check_head(TiedOptions { hidden: 5, decoder: vec![7, 5], ..Default::default() });
    }

    fn head(own_weights: bool, device: &Device) -> TiedHead {
        let context =
            HeadContext { network: "classifier", input: 3, outputs: 4, code_width: Some(2), knowledge: None, device };
        let options = TiedOptions { hidden: 5, own_weights, dropout: 0.0, ..Default::default() };
        draw_parameters(options.build(&context).unwrap())
    }

    /// Without weights of its own, a code with the embedding of another has its logit, and one without embedding has none.
    #[test]
    fn codes_alike_have_logits_alike() {
        let device = Device::flex();
        let x = Tensor::<2>::from_data([[0.5, -1.0, 2.0], [-0.5, 1.0, -2.0]], &device);
        let codes = Tensor::<2>::from_data([[1.0, 2.0], [0.0, 0.0], [1.0, 2.0], [2.0, 4.0]], &device);
        let head = head(false, &device);
        assert!(head.looks_at_codes() && head.width() == 5);
        let logits: Vec<f32> = head.forward_with_codes(x, codes).into_data().iter::<f32>().collect();
        // Each hidden number is there for one of two opposite patients.
        assert!(logits.iter().any(|z| *z != 0.0));
        for row in logits.chunks_exact(4) {
            assert!(row[1] == 0.0 && row[0] == row[2], "{row:?}");
            assert!((row[3] - 2.0 * row[0]).abs() < 1e-6 * row[3].abs().max(1.0), "{row:?}");
        }
    }

    #[test]
    fn gradients_reach_embeddings_and_weights() {
        let device = Device::flex().autodiff();
        let codes = Tensor::<2>::ones([4, 2], &device).require_grad();
        let x = Tensor::<2>::from_data([[0.5, -1.0, 2.0], [-0.5, 1.0, -2.0]], &device);
        for own_weights in [false, true] {
            let head = head(own_weights, &device);
            let logits = head.forward_with_codes(x.clone(), codes.clone());
            let gradients = logits.sum().backward();
            let of_codes: Vec<f32> = codes.grad(&gradients).unwrap().into_data().iter::<f32>().collect();
            assert!(of_codes.iter().any(|g| *g != 0.0));
            let TiedHead::Codes(tied) = &head else { unreachable!() };
            assert!(tied.compare.weight.grad(&gradients).is_some() && tied.own.is_some() == own_weights);
        }
    }
}
