//! `transformer`: dot-product attention over the edges of the graph.

use crate::heads::check_heads;
use dualk_sdk::burn::module::Initializer;
use dualk_sdk::burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use dualk_sdk::ops::{Adjacency, dot_attention, edge_weights, layer_widths, layers, linear, matmul};
use dualk_sdk::prelude::*;

options! {
    /// Options of `transformer`.
    pub struct TransformerOptions {
        /// Output width of each layer, all heads together.
        #[schemars(length(min = 1), inner(range(min = 1)))]
        pub dims: Vec<usize> = vec![256, 256],
        /// Heads of each layer; their outputs are joined. Divides every width.
        #[schemars(range(min = 1))]
        pub heads: usize = 4,
        /// Dropout rate between two layers.
        #[schemars(with = "Fraction")]
        pub dropout: f64 = 0.0,
        /// Whether the weight of an edge, times a learned number a head, is added to its scores.
        pub edge_weight: bool = true,
        /// Whether an edge from a node to itself counts as a neighbour. The paper has none; the disease graph has one at every
        /// code.
        pub self_loops: bool = false,
    }
}

impl Component for TransformerOptions {
    const NAME: &'static str = "transformer";
    const ABOUT: &'static str =
        "Dot-product attention over edges, biased by weights, with ReLU and dropout between; on GPUs edges × width.";
    const CITATION: &'static str = "Shi et al., Masked Label Prediction, IJCAI 2021; the bias of an edge: Ying et al., \
                                    Do Transformers Really Perform Bad for Graph Representation?, NeurIPS 2021";
}

/// One layer (Shi et al., PyG's `TransformerConv` with its defaults): for every head
///
/// q = x W_q + b_q, k = x W_k + b_k, v = x W_v + b_v, α_ij = softmax_{j → i}(q_i · k_j / √d + c w_ij),
/// y_i = Σ_j α_ij v_j + x_i W_s + b_s.
///
/// No self loops are added, and those of the disease graph do not count: a node reaches itself through W_s. c starts at 0 and is
/// one number a head; PyG has no such term, its `edge_dim` adds to keys and values instead.
#[derive(Module, Debug)]
pub struct TransformerConv {
    lin_query: Linear,
    lin_key: Linear,
    lin_value: Linear,
    lin_skip: Linear,
    edge_bias: Option<Param<Tensor<2>>>,
    heads: usize,
}

impl TransformerConv {
    fn new(input: usize, output: usize, options: &TransformerOptions, device: &Device) -> Self {
        let linear = || LinearConfig::new(input, output).init(device);
        Self {
            lin_query: linear(),
            lin_key: linear(),
            lin_value: linear(),
            lin_skip: linear(),
            edge_bias: options.edge_weight.then(|| Initializer::Zeros.init([1, options.heads], device)),
            heads: options.heads,
        }
    }

    /// One layer.
    ///
    /// # Shapes
    /// - `x`: `[nodes, input]`
    /// - output: `[nodes, output]`
    pub fn forward(&self, x: Tensor<2>, adjacency: &Adjacency) -> Tensor<2> {
        let bias = self.edge_bias.as_ref().map(|c| matmul(edge_weights(adjacency, &x.device()), c.val())); // [edges, heads]
        let [query, key, value, skip] =
            [&self.lin_query, &self.lin_key, &self.lin_value, &self.lin_skip].map(|layer| linear(layer, x.clone())); // [nodes, output] each
        dot_attention(adjacency, query, key, value, bias, self.heads) + skip
    }
}

/// Layers with ReLU and dropout between, none after the last.
#[derive(Module, Debug)]
pub struct Transformer {
    convs: Vec<TransformerConv>,
    dropout: Dropout,
    width: usize,
    self_loops: bool,
}

impl BuildGraphEncoder for TransformerOptions {
    type Module = Transformer;

    fn build(self, context: &GraphEncoderContext<'_>) -> Result<Transformer> {
        let dropout = DropoutConfig::new(self.dropout).init();
        let width = check_heads(&self.dims, self.heads)?;
        let convs = layer_widths(context.input, &self.dims)
            .map(|(i, o)| TransformerConv::new(i, o, &self, context.device))
            .collect();
        Ok(Transformer { convs, dropout, width, self_loops: self.self_loops })
    }
}

impl GraphEncoder for Transformer {
    fn forward(&self, features: Tensor<2>, graph: &Graph) -> Tensor<2> {
        let adjacency = if self.self_loops { Adjacency::of(graph) } else { Adjacency::without_self_loops(graph) };
        layers(&self.convs, features, &self.dropout, |conv, x| conv.forward(x, &adjacency)) // [nodes, width]
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(options: TransformerOptions) -> Result<Transformer> {
        options.build(&GraphEncoderContext { input: 3, codes: &[], device: &Device::flex() })
    }

    #[test]
    fn widths_follow_the_options() {
        let graph = Graph::new(4, &[(0, 1, 1.0), (1, 2, 1.0), (2, 0, 1.0), (3, 3, 1.0)]).unwrap();
        for (dims, edge_weight) in [(vec![4], false), (vec![8, 4], true), (vec![8, 6, 2, 4], false)] {
            let encoder = build(TransformerOptions { dims, heads: 2, edge_weight, ..Default::default() }).unwrap();
            let out = encoder.forward(Tensor::ones([4, 3], &Device::flex()), &graph);
            assert_eq!((out.dims(), encoder.width()), ([4, 4], 4));
        }
    }

    #[test]
    fn loops_of_the_graph_are_no_neighbours() {
        let x = Tensor::<2>::from_data([[1.0, 0.0, 2.0], [0.5, -1.0, 0.0]], &Device::flex());
        let (plain, loops) = (vec![(0, 1, 1.0)], vec![(0, 1, 1.0), (0, 0, 1.0), (1, 1, 1.0)]);
        for self_loops in [false, true] {
            let encoder =
                build(TransformerOptions { dims: vec![8], heads: 2, self_loops, ..Default::default() }).unwrap();
            let out = |edges: &[(u32, u32, f32)]| encoder.forward(x.clone(), &Graph::new(2, edges).unwrap());
            let difference = (out(&plain) - out(&loops)).abs().sum().into_scalar::<f32>();
            assert_eq!(difference > 1e-4, self_loops, "{difference}");
        }
    }

    #[test]
    fn a_large_bias_picks_the_heaviest_edge() {
        let device = Device::flex();
        let mut encoder = build(TransformerOptions { dims: vec![2], heads: 1, ..Default::default() }).unwrap();
        encoder.convs[0].edge_bias = Some(Param::from_tensor(Tensor::full([1, 1], 1e4, &device)));
        let x = Tensor::<2>::from_data([[1.0, 0.0, 2.0], [0.5, -1.0, 0.0], [0.0, 2.0, 1.0]], &device);
        let graph = Graph::new(3, &[(0, 2, 0.25), (1, 2, 0.5)]).unwrap();
        let conv = &encoder.convs[0];
        let expected = conv.lin_value.forward(x.clone()).slice([1..2]) + conv.lin_skip.forward(x.clone()).slice([2..3]);
        let out = encoder.forward(x, &graph).slice([2..3]);
        out.into_data().assert_approx_eq::<f32>(&expected.into_data(), Default::default());
    }

    #[test]
    fn bad_options_name_their_key() {
        let of = |o: TransformerOptions| build(o).unwrap_err().to_string();
        assert!(of(TransformerOptions { dims: vec![], ..Default::default() }).starts_with("`dims`"));
        assert!(of(TransformerOptions { heads: 0, ..Default::default() }).starts_with("`heads`"));
        assert!(of(TransformerOptions { heads: 3, ..Default::default() }).starts_with("`heads`"));
    }
}
