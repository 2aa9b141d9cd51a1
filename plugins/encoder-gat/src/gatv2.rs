//! `gatv2`: graph attention whose ranking of neighbours depends on the node.

use crate::heads::{check_heads, glorot_vectors};
use dualk_sdk::burn::module::Initializer;
use dualk_sdk::burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use dualk_sdk::ops::{Adjacency, add_row, dynamic_attention, layer_widths, layers, linear};
use dualk_sdk::prelude::*;

options! {
    /// Options of `gatv2`.
    pub struct GatV2Options {
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
        /// Whether edge weights enter the scores.
        pub edge_weight: bool = false,
    }
}

impl Component for GatV2Options {
    const NAME: &'static str = "gatv2";
    const ABOUT: &'static str =
        "Graph attention scored after the nonlinearity, with ReLU and dropout between; on GPUs edges × width.";
    const CITATION: &'static str = "Brody et al., How Attentive are Graph Attention Networks?, ICLR 2022";
}

/// One layer (eq. 7 of the paper, PyG's `GATv2Conv` with its defaults): existing self loops are replaced by one for each
/// node, and for every head
///
/// e_ij = a · LeakyReLU(x_i W_r + b_r + x_j W_l + b_l), α_ij = softmax_{j → i} e_ij, y_i = Σ_j α_ij (x_j W_l + b_l) + b.
///
/// With edge weights w_ij, as PyG's `edge_dim = 1`, w_ij W_edge stands inside LeakyReLU too, and the loop of a node has
/// the mean weight of the other edges into it.
#[derive(Module, Debug)]
pub struct GatV2Conv {
    lin_l: Linear,
    lin_r: Linear,
    att: Param<Tensor<3>>,
    lin_edge: Option<Linear>,
    bias: Param<Tensor<1>>,
    slope: f64,
}

impl GatV2Conv {
    fn new(input: usize, output: usize, options: &GatV2Options, device: &Device) -> Self {
        let glorot = Initializer::XavierUniform { gain: 1.0 };
        let linear = |input| LinearConfig::new(input, output).with_initializer(glorot.clone());
        // PyG starts the biases with zeros.
        let zeroed = || {
            let mut linear = linear(input).init(device);
            linear.bias = Some(Initializer::Zeros.init([output], device));
            linear
        };
        Self {
            lin_l: zeroed(),
            lin_r: zeroed(),
            att: glorot_vectors(options.heads, output / options.heads, device),
            lin_edge: options.edge_weight.then(|| linear(1).with_bias(false).init(device)),
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
        let edge = self.lin_edge.as_ref().map(|lin| lin.weight.val()); // [1, output]
        let (source, target) = (linear(&self.lin_l, x.clone()), linear(&self.lin_r, x)); // [nodes, output]
        let sum = dynamic_attention(adjacency, target, source, edge, self.att.val(), self.slope); // [nodes, output]
        add_row(sum, self.bias.val())
    }
}

/// Layers with ReLU and dropout between, none after the last.
#[derive(Module, Debug)]
pub struct GatV2 {
    convs: Vec<GatV2Conv>,
    dropout: Dropout,
    width: usize,
    edge_weight: bool,
}

impl BuildGraphEncoder for GatV2Options {
    type Module = GatV2;

    fn build(self, context: &GraphEncoderContext<'_>) -> Result<GatV2> {
        let dropout = DropoutConfig::new(self.dropout).init();
        let width = check_heads(&self.dims, self.heads)?;
        let convs =
            layer_widths(context.input, &self.dims).map(|(i, o)| GatV2Conv::new(i, o, &self, context.device)).collect();
        Ok(GatV2 { convs, dropout, width, edge_weight: self.edge_weight })
    }
}

impl GraphEncoder for GatV2 {
    fn forward(&self, features: Tensor<2>, graph: &Graph) -> Tensor<2> {
        let adjacency = match self.edge_weight {
            true => Adjacency::with_mean_self_loops(graph),
            false => Adjacency::with_self_loops(graph),
        };
        layers(&self.convs, features, &self.dropout, |conv, x| conv.forward(x, &adjacency)) // [nodes, width]
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(options: GatV2Options) -> Result<GatV2> {
        options.build(&GraphEncoderContext { input: 3, codes: &[], device: &Device::flex() })
    }

    #[test]
    fn widths_follow_the_options() {
        let graph = Graph::new(4, &[(0, 1, 1.0), (1, 2, 1.0), (2, 0, 1.0), (3, 3, 1.0)]).unwrap();
        for (dims, edge_weight) in [(vec![4], false), (vec![8, 4], true), (vec![8, 6, 2, 4], false)] {
            let gat = build(GatV2Options { dims, heads: 2, edge_weight, ..Default::default() }).unwrap();
            let out = gat.forward(Tensor::ones([4, 3], &Device::flex()), &graph);
            assert_eq!((out.dims(), gat.width()), ([4, 4], 4));
        }
    }

    #[test]
    fn the_ranking_of_neighbours_depends_on_the_node() {
        // h_src = -1 or 1 and a node of -1 or 1: |sum| is large when both agree, so each prefers its like. A sum of a
        // term of the node and one of the neighbour, as in `gat`, would prefer the same neighbour for both.
        let device = Device::flex();
        let mut gat = build(GatV2Options { dims: vec![2], ..Default::default() }).unwrap();
        let linear = |weight: [[f32; 2]; 3]| {
            let mut linear = LinearConfig::new(3, 2).with_bias(false).init(&device);
            linear.weight = Param::from_tensor(Tensor::from_data(weight, &device));
            linear
        };
        let conv = &mut gat.convs[0];
        conv.lin_l = linear([[5.0, -5.0], [0.0, 0.0], [0.0, 0.0]]);
        conv.lin_r = linear([[5.0, -5.0], [0.0, 0.0], [0.0, 0.0]]);
        conv.att = Param::from_tensor(Tensor::from_data([[[1.0f32, 1.0]]], &device));
        let x = Tensor::<2>::from_data([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]], &device);
        let graph = Graph::new(2, &[(0, 1, 1.0), (1, 0, 1.0)]).unwrap();
        let out: Vec<f32> = gat.forward(x, &graph).into_data().iter::<f32>().collect();
        assert!(out[0] > 4.9 && out[2] < -4.9, "{out:?}");
    }

    #[test]
    fn bad_options_name_their_key() {
        let of = |o: GatV2Options| build(o).unwrap_err().to_string();
        assert!(of(GatV2Options { dims: vec![], ..Default::default() }).starts_with("`dims`"));
        assert!(of(GatV2Options { heads: 0, ..Default::default() }).starts_with("`heads`"));
        assert!(of(GatV2Options { heads: 3, ..Default::default() }).starts_with("`heads`"));
    }
}
