//! `gat`: graph attention layers.

use crate::heads::{check_heads, glorot_vectors};
use dualk_sdk::burn::module::Initializer;
use dualk_sdk::burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use dualk_sdk::ops::{
    self, Adjacency, add_row, attention, attention_with_edges, edge_weights, head_products, layer_widths,
    layers_with_bias, matmul,
};
use dualk_sdk::prelude::*;

options! {
    /// Options of `gat`.
    pub struct GatOptions {
        /// Output width of each layer, all heads together.
        #[schemars(length(min = 1), inner(range(min = 1)))]
        pub dims: Vec<usize> = vec![256, 256],
        /// Heads of each layer; their outputs are joined. Divides every width.
        #[schemars(range(min = 1))]
        pub heads: usize = 1,
        /// Dropout rate between two layers.
        #[schemars(with = "Fraction")]
        pub dropout: f64 = 0.0,
        /// Slope of LeakyReLU below zero.
        #[schemars(with = "Fraction")]
        pub slope: f64 = 0.2,
        /// Whether edge weights enter the scores. Published: `false`.
        pub edge_weight: bool = false,
        /// Whether every layer adds a linear map of a node's own features, past the attention. Published: `false`.
        pub residual: bool = false,
    }
}

impl Component for GatOptions {
    const NAME: &'static str = "gat";
    const ABOUT: &'static str = "Graph attention layers with ReLU and dropout between.";
    const CITATION: &'static str = "Veličković et al., Graph Attention Networks, ICLR 2018";
}

/// One layer (eq. 1-6 of the paper, PyG's `GATConv` with its defaults): existing self loops are replaced by one for
/// each node, and for every head
///
/// h = x W, e_ij = LeakyReLU(a_dst · h_i + a_src · h_j), α_ij = softmax_{j → i} e_ij, y_i = Σ_j α_ij h_j + b.
///
/// With edge weights w_ij, as PyG's `edge_dim = 1`, the score has a third term w_ij (a_edge · W_edge), and the loop of a
/// node has the mean weight of the other edges into it. With `residual`, y_i has a further term x_i W_res, as PyG's
/// `residual = True`: where a node has hundreds of neighbours, its own features are else one of hundreds until the attention is
/// trained.
#[derive(Module, Debug)]
pub struct GatConv {
    lin: Linear,
    att_src: Param<Tensor<3>>,
    att_dst: Param<Tensor<3>>,
    lin_edge: Option<Linear>,
    att_edge: Option<Param<Tensor<3>>>,
    res: Option<Linear>,
    bias: Param<Tensor<1>>,
    slope: f64,
}

impl GatConv {
    fn new(input: usize, output: usize, options: &GatOptions, device: &Device) -> Self {
        let glorot = Initializer::XavierUniform { gain: 1.0 };
        let linear = |input| LinearConfig::new(input, output).with_bias(false).with_initializer(glorot.clone());
        let score = || glorot_vectors(options.heads, output / options.heads, device);
        Self {
            lin: linear(input).init(device),
            att_src: score(),
            att_dst: score(),
            lin_edge: options.edge_weight.then(|| linear(1).init(device)),
            att_edge: options.edge_weight.then(score),
            res: options.residual.then(|| linear(input).init(device)),
            bias: Initializer::Zeros.init([output], device),
            slope: options.slope,
        }
    }

    /// One layer.
    ///
    /// # Shapes
    /// - `x`: `[nodes, input]`
    /// - output: `[nodes, output]`
    pub fn forward(&self, x: Tensor<2>, adjacency: &Adjacency) -> Tensor<2> {
        match self.before_bias(x, adjacency) {
            (sum, Some(bias)) => add_row(sum, bias),
            (output, None) => output,
        }
    }

    /// The layer without its bias, and the bias; with it where a residual comes after.
    fn before_bias(&self, x: Tensor<2>, adjacency: &Adjacency) -> (Tensor<2>, Option<Tensor<1>>) {
        let h = ops::linear(&self.lin, x.clone()); // [nodes, heads * d]
        let target = head_products(h.clone(), self.att_dst.val()); // [nodes, heads]
        let source = head_products(h.clone(), self.att_src.val()); // [nodes, heads]
        let sum = match self.edge_scores(adjacency, &h.device()) {
            None => attention(adjacency, target, source, h, self.slope), // [nodes, heads * d]
            Some(edge) => attention_with_edges(adjacency, target, source, edge, h, self.slope),
        };
        let bias = self.bias.val();
        match &self.res {
            None => (sum, Some(bias)),
            Some(res) => (add_row(sum, bias) + ops::linear(res, x), None),
        }
    }

    /// The term that an edge adds to its scores, when edge weights enter.
    ///
    /// # Shapes
    /// - output: `[edges, heads]`
    fn edge_scores(&self, adjacency: &Adjacency, device: &Device) -> Option<Tensor<2>> {
        let (lin, a) = (self.lin_edge.as_ref()?, self.att_edge.as_ref()?.val());
        // a · (w W) = w (a · W): one factor a head, and nothing of size edges × width.
        let factors = head_products(lin.weight.val(), a); // [1, heads]
        Some(matmul(edge_weights(adjacency, device), factors))
    }
}

/// Layers with ReLU and dropout between, none after the last.
#[derive(Module, Debug)]
pub struct Gat {
    conv1: GatConv,
    conv2: Option<GatConv>,
    more: Vec<GatConv>,
    dropout: Dropout,
    width: usize,
    edge_weight: bool,
}

impl BuildGraphEncoder for GatOptions {
    type Module = Gat;

    fn build(self, context: &GraphEncoderContext<'_>) -> Result<Gat> {
        let width = check_heads(&self.dims, self.heads)?;
        let mut layers =
            layer_widths(context.input, &self.dims).map(|(i, o)| GatConv::new(i, o, &self, context.device));
        let Some(conv1) = layers.next() else { unreachable!("`dims` has a first width") };
        let (conv2, more) = (layers.next(), layers.collect());
        let dropout = DropoutConfig::new(self.dropout).init();
        Ok(Gat { conv1, conv2, more, dropout, width, edge_weight: self.edge_weight })
    }
}

impl GraphEncoder for Gat {
    fn forward(&self, features: Tensor<2>, graph: &Graph) -> Tensor<2> {
        let adjacency = match self.edge_weight {
            true => Adjacency::with_mean_self_loops(graph),
            false => Adjacency::with_self_loops(graph),
        };
        let convs = std::iter::once(&self.conv1).chain(&self.conv2).chain(&self.more);
        layers_with_bias(convs, features, &self.dropout, |conv, x| conv.before_bias(x, &adjacency)) // [nodes, width]
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dualk_sdk::device::generator;
    use dualk_sdk::model::draw_parameters;

    fn graph() -> Graph {
        Graph::new(4, &[(0, 1, 1.0), (1, 2, 1.0), (2, 0, 1.0), (3, 3, 1.0)]).unwrap()
    }

    /// The same weights each time: with others edges may weigh next to nothing.
    fn build(options: GatOptions) -> Result<Gat> {
        let device = Device::flex();
        generator::alone(|| {
            generator::seed(&device, 1);
            options.build(&GraphEncoderContext { input: 3, codes: &[], device: &device }).map(draw_parameters)
        })
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
    fn edge_weights_enter_when_asked_for() {
        let device = Device::flex();
        let x = Tensor::<2>::from_data([[1.0, 0.0, 2.0], [0.5, -1.0, 0.0], [0.0, 2.0, 1.0]], &device);
        let graph = |w| Graph::new(3, &[(0, 2, w), (1, 2, 0.5)]).unwrap();
        for (edge_weight, equal) in [(false, true), (true, false)] {
            let gat = build(GatOptions { dims: vec![4], edge_weight, ..Default::default() }).unwrap();
            let difference = gat.forward(x.clone(), &graph(0.1)) - gat.forward(x.clone(), &graph(0.9));
            assert_eq!(difference.abs().sum().into_scalar::<f32>() < 1e-6, equal);
        }
    }

    #[test]
    fn bad_options_name_their_key() {
        let of = |o: GatOptions| build(o).unwrap_err().to_string();
        assert!(of(GatOptions { dims: vec![], ..Default::default() }).starts_with("`dims`"));
        assert!(of(GatOptions { heads: 0, ..Default::default() }).starts_with("`heads`"));
        assert!(of(GatOptions { heads: 3, ..Default::default() }).starts_with("`heads`"));
    }
}
