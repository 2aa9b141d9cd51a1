//! `gat`: graph attention layers.

use dualk_sdk::burn::module::Initializer;
use dualk_sdk::burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use dualk_sdk::burn::tensor::activation::relu;
use dualk_sdk::component::{at_least, in_range};
use dualk_sdk::ops::{Adjacency, attention};
use dualk_sdk::prelude::*;

options! {
    /// Options of `gat`.
    pub struct GatOptions {
        /// Output width of each layer, all heads together.
        pub dims: Vec<usize> = vec![256, 256],
        /// Heads of each layer; their outputs are joined. Divides every width.
        pub heads: usize = 1,
        /// Part of the numbers between two layers that is dropped during training.
        pub dropout: f64 = 0.2,
        /// Slope of LeakyReLU below zero.
        pub slope: f64 = 0.2,
    }
}

impl Component for GatOptions {
    const NAME: &'static str = "gat";
    const ABOUT: &'static str = "Graph attention layers with ReLU and dropout between; edge weights do not enter.";
    const CITATION: &'static str = "Veličković et al., Graph Attention Networks, ICLR 2018";
}

/// One layer (eq. 1-6 of the paper, PyG's `GATConv` with its defaults): existing self loops are replaced by one for
/// each node, and for every head
///
/// h = x W, e_ij = LeakyReLU(a_dst · h_i + a_src · h_j), α_ij = softmax_{j → i} e_ij, y_i = Σ_j α_ij h_j + b.
#[derive(Module, Debug)]
pub struct GatConv {
    lin: Linear,
    att_src: Param<Tensor<3>>,
    att_dst: Param<Tensor<3>>,
    bias: Param<Tensor<1>>,
    slope: f64,
}

impl GatConv {
    fn new(input: usize, output: usize, heads: usize, slope: f64, device: &Device) -> Self {
        // PyG's glorot takes the last two dimensions of `[1, heads, d]` for fan-in and fan-out.
        let glorot = Initializer::XavierUniform { gain: 1.0 };
        let width = output / heads;
        let score = || glorot.init_with([1, heads, width], Some(heads), Some(width), device);
        Self {
            lin: LinearConfig::new(input, output).with_bias(false).with_initializer(glorot.clone()).init(device),
            att_src: score(),
            att_dst: score(),
            bias: Initializer::Zeros.init([output], device),
            slope,
        }
    }

    /// One layer.
    ///
    /// # Shapes
    /// - `x`: `[nodes, input]`
    /// - output: `[nodes, output]`
    pub fn forward(&self, x: Tensor<2>, adjacency: &Adjacency) -> Tensor<2> {
        let h = self.lin.forward(x); // [nodes, heads * d]
        let target = scores(h.clone(), self.att_dst.val()); // [nodes, heads]
        let source = scores(h.clone(), self.att_src.val()); // [nodes, heads]
        let sum = attention(adjacency, target, source, h, self.slope); // [nodes, heads * d]
        sum + self.bias.val().unsqueeze_dim(0)
    }
}

/// The products a · h of each node and head.
///
/// # Shapes
/// - `h`: `[nodes, heads * d]`
/// - `a`: `[1, heads, d]`
/// - output: `[nodes, heads]`
fn scores(h: Tensor<2>, a: Tensor<3>) -> Tensor<2> {
    let [_, heads, d] = a.dims();
    let [nodes, _] = h.dims();
    if heads == 1 {
        return h.matmul(a.reshape([d, 1])); // [nodes, 1]
    }
    (h.reshape([nodes, heads, d]) * a).sum_dim(2).squeeze_dim(2) // [nodes, heads]
}

/// Layers with ReLU and dropout between, none after the last.
#[derive(Module, Debug)]
pub struct Gat {
    conv1: GatConv,
    conv2: Option<GatConv>,
    more: Vec<GatConv>,
    dropout: Dropout,
    width: usize,
}

impl BuildGraphEncoder for GatOptions {
    type Module = Gat;

    fn build(self, context: &GraphEncoderContext<'_>) -> Result<Gat> {
        at_least("heads", self.heads, 1)?;
        in_range("dropout", self.dropout, 0.0, 1.0)?;
        in_range("slope", self.slope, 0.0, 1.0)?;
        let Some(&width) = self.dims.last() else {
            return Err(Error::user("expected the width of at least one layer, found none").at_key("dims"));
        };
        for &dim in &self.dims {
            at_least("dims", dim, 1)?;
            if !dim.is_multiple_of(self.heads) {
                let message = format!("expected a number that divides every width in `dims`, found {}", self.heads);
                return Err(Error::user(message).at_key("heads").help(format!("{dim} is not a multiple of it")));
            }
        }
        let inputs = std::iter::once(context.input).chain(self.dims.iter().copied());
        let mut layers =
            inputs.zip(&self.dims).map(|(i, &o)| GatConv::new(i, o, self.heads, self.slope, context.device));
        let Some(conv1) = layers.next() else { unreachable!("`dims` has a first width") };
        let (conv2, more) = (layers.next(), layers.collect());
        Ok(Gat { conv1, conv2, more, dropout: DropoutConfig::new(self.dropout).init(), width })
    }
}

impl GraphEncoder for Gat {
    fn forward(&self, features: Tensor<2>, graph: &Graph) -> Tensor<2> {
        let adjacency = Adjacency::with_self_loops(graph);
        let first = self.conv1.forward(features, &adjacency); // [nodes, dims[0]]
        self.conv2.iter().chain(&self.more).fold(first, |x, conv| {
            conv.forward(self.dropout.forward(relu(x)), &adjacency) // [nodes, dims[i]]
        })
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph() -> Graph {
        Graph::new(4, &[(0, 1, 1.0), (1, 2, 1.0), (2, 0, 1.0), (3, 3, 1.0)]).unwrap()
    }

    fn build(options: GatOptions) -> Result<Gat> {
        options.build(&GraphEncoderContext { input: 3, codes: &[], device: &Device::flex() })
    }

    #[test]
    fn widths_follow_the_options() {
        for dims in [vec![4], vec![8, 4], vec![8, 6, 2, 4]] {
            let gat = build(GatOptions { dims, heads: 2, ..Default::default() }).unwrap();
            let out = gat.forward(Tensor::ones([4, 3], &Device::flex()), &graph());
            assert_eq!((out.dims(), gat.width()), ([4, 4], 4));
        }
    }

    #[test]
    fn equal_nodes_keep_their_projection() {
        let gat = build(GatOptions { dims: vec![4], heads: 2, ..Default::default() }).unwrap();
        let x = Tensor::ones([4, 3], &Device::flex());
        let expected = gat.conv1.lin.forward(x.clone());
        gat.forward(x, &graph()).into_data().assert_approx_eq::<f32>(&expected.into_data(), Default::default());
    }

    #[test]
    fn bad_options_name_their_key() {
        let of = |o: GatOptions| build(o).unwrap_err().to_string();
        assert!(of(GatOptions { dims: vec![], ..Default::default() }).starts_with("`dims`"));
        assert!(of(GatOptions { dims: vec![8, 0], ..Default::default() }).starts_with("`dims`"));
        assert!(of(GatOptions { heads: 0, ..Default::default() }).starts_with("`heads`"));
        assert!(of(GatOptions { heads: 3, ..Default::default() }).starts_with("`heads`"));
        assert!(of(GatOptions { dropout: 1.5, ..Default::default() }).starts_with("`dropout`"));
        assert!(of(GatOptions { slope: f64::NAN, ..Default::default() }).starts_with("`slope`"));
    }
}
