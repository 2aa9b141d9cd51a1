//! `gin`: a perceptron over a node plus the sum of its neighbours.

use dualk_sdk::burn::module::Initializer;
use dualk_sdk::burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use dualk_sdk::burn::tensor::activation::relu;
use dualk_sdk::burn::tensor::module::batch_norm_train;
use dualk_sdk::component::last_width;
use dualk_sdk::ops::{Adjacency, layer_widths, layers, linear, propagate};
use dualk_sdk::prelude::*;
use dualk_sdk::serde::{Deserialize, Serialize};

/// What follows the first layer of a perceptron.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, dualk_sdk::schemars::JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum Norm {
    /// No normalisation.
    None,
    /// Batch normalisation over the nodes of the graph.
    Batch,
}

options! {
    /// Options of `gin`.
    pub struct GinOptions {
        /// Output width of each layer, which is also the hidden width of its perceptron.
        #[schemars(length(min = 1), inner(range(min = 1)))]
        pub dims: Vec<usize> = vec![256, 256],
        /// Dropout rate between two layers.
        #[schemars(with = "Fraction")]
        pub dropout: f64 = 0.0,
        /// ε, by how much a node counts more than a neighbour; more than −1.
        #[schemars(range(min = -1.0))]
        pub eps: f64 = 0.0,
        /// Whether ε is trained, starting from `eps`.
        pub train_eps: bool = false,
        /// Whether an edge from a node to itself counts as a neighbour. The paper has none; the disease graph has one at every
        /// code.
        pub self_loops: bool = false,
        /// `batch`: the hidden layer of each perceptron is normalised over the nodes of the graph, as in the paper. `none`: it is
        /// not.
        pub norm: Norm = Norm::None,
    }
}

impl Component for GinOptions {
    const NAME: &'static str = "gin";
    const ABOUT: &'static str =
        "Two-layer perceptrons over a node plus the sum of its neighbours, with ReLU and dropout between.";
    const CITATION: &'static str = "Xu et al., How Powerful are Graph Neural Networks?, ICLR 2019";
}

/// One layer (eq. 4.1 of the paper, PyG's `GINConv`): y_i = MLP((1 + ε) x_i + Σ_{j → i} x_j) with
/// MLP(x) = ReLU(norm(x W_1 + b_1)) W_2 + b_2. Edge weights do not enter.
///
/// With `norm = "batch"`, norm is batch normalisation, which has the place of b_1. The paper's batches are of graphs; here there
/// is one graph, and its nodes are all there whenever it is encoded, so that it is normalised by their own mean and variance, in
/// training and after it, and no running ones are kept.
///
/// It trains without, too: sums over hundreds of neighbours start large, but a step of Adam moves a weight by about the learning
/// rate however large its gradient is, so that the first steps bring them down and do not diverge.
#[derive(Module, Debug)]
pub struct GinConv {
    fc1: Linear,
    norm: Option<BatchNorm>,
    fc2: Linear,
    trained_eps: Option<Param<Tensor<1>>>,
    eps: f64,
}

/// y = (x − mean) / √(variance + 10⁻⁵) ∘ γ + β in every channel, mean and variance over all rows.
#[derive(Module, Debug)]
struct BatchNorm {
    gamma: Param<Tensor<1>>,
    beta: Param<Tensor<1>>,
}

impl BatchNorm {
    /// PyTorch's ε.
    const EPSILON: f64 = 1e-5;

    fn new(width: usize, device: &Device) -> Self {
        Self { gamma: Initializer::Ones.init([width], device), beta: Initializer::Zeros.init([width], device) }
    }

    /// `[rows, width]` → `[rows, width]`
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        batch_norm_train(x, self.gamma.val(), self.beta.val(), Self::EPSILON).output
    }
}

impl GinConv {
    fn new(input: usize, output: usize, options: &GinOptions, device: &Device) -> Self {
        let eps = || Param::from_tensor(Tensor::from_floats([options.eps as f32], device));
        let normalised = options.norm == Norm::Batch;
        Self {
            // Its bias would cancel in the normalisation.
            fc1: LinearConfig::new(input, output).with_bias(!normalised).init(device),
            norm: normalised.then(|| BatchNorm::new(output, device)),
            fc2: LinearConfig::new(output, output).init(device),
            trained_eps: options.train_eps.then(eps),
            eps: options.eps,
        }
    }

    /// One layer.
    ///
    /// # Shapes
    /// - `x`: `[nodes, input]`
    /// - output: `[nodes, output]`
    pub fn forward(&self, x: Tensor<2>, adjacency: &Adjacency) -> Tensor<2> {
        let own = match &self.trained_eps {
            Some(eps) => x.clone() * (eps.val() + 1.0).unsqueeze_dim(0),
            None => x.clone() * (1.0 + self.eps),
        };
        let sum = own + propagate(adjacency, x); // [nodes, input]
        let hidden = linear(&self.fc1, sum); // [nodes, output]
        let hidden = match &self.norm {
            Some(norm) => norm.forward(hidden),
            None => hidden,
        };
        linear(&self.fc2, relu(hidden)) // [nodes, output]
    }
}

/// Layers with ReLU and dropout between, none after the last.
#[derive(Module, Debug)]
pub struct Gin {
    convs: Vec<GinConv>,
    dropout: Dropout,
    width: usize,
    self_loops: bool,
}

impl BuildGraphEncoder for GinOptions {
    type Module = Gin;

    fn build(self, context: &GraphEncoderContext<'_>) -> Result<Gin> {
        let dropout = DropoutConfig::new(self.dropout).init();
        let width = last_width("dims", &self.dims)?;
        let convs =
            layer_widths(context.input, &self.dims).map(|(i, o)| GinConv::new(i, o, &self, context.device)).collect();
        Ok(Gin { convs, dropout, width, self_loops: self.self_loops })
    }
}

impl GraphEncoder for Gin {
    fn forward(&self, features: Tensor<2>, graph: &Graph) -> Tensor<2> {
        #[derive(PartialEq, Eq, Hash)]
        struct Ones {
            self_loops: bool,
        }
        let self_loops = self.self_loops;
        let one = |s, t, _| if s == t && !self_loops { 0.0 } else { 1.0 };
        let adjacency = Adjacency::reweighted(graph, Ones { self_loops }, one);
        layers(&self.convs, features, &self.dropout, |conv, x| conv.forward(x, &adjacency)) // [nodes, width]
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

    /// The same weights each time: of others all units may be silent.
    fn build(options: GinOptions) -> Result<Gin> {
        let device = Device::flex();
        generator::alone(|| {
            generator::seed(&device, 1);
            options.build(&GraphEncoderContext { input: 3, codes: &[], device: &device }).map(draw_parameters)
        })
    }

    #[test]
    fn widths_follow_the_options() {
        let graph = Graph::new(4, &[(0, 1, 0.5), (1, 2, 2.0), (2, 0, 1.0)]).unwrap();
        for (dims, train_eps) in [(vec![4], false), (vec![8, 4], true), (vec![8, 6, 2, 4], false)] {
            let gin = build(GinOptions { dims, train_eps, ..Default::default() }).unwrap();
            let out = gin.forward(Tensor::ones([4, 3], &Device::flex()), &graph);
            assert_eq!((out.dims(), gin.width()), ([4, 4], 4));
        }
    }

    #[test]
    fn a_neighbour_weighs_as_much_as_the_node_itself() {
        // With ε = 0 the two nodes of a pair see the same sum.
        let x = Tensor::<2>::from_data([[1.0, 0.0, 2.0], [0.5, -1.0, 0.0]], &Device::flex());
        let graph = Graph::new(2, &[(0, 1, 3.0), (1, 0, 0.2)]).unwrap();
        for (eps, equal) in [(0.0, true), (0.5, false)] {
            let gin = build(GinOptions { dims: vec![32], eps, ..Default::default() }).unwrap();
            let out = gin.forward(x.clone(), &graph);
            let difference = out.clone().narrow(0, 0, 1) - out.narrow(0, 1, 1);
            assert_eq!(difference.abs().sum().into_scalar::<f32>() < 1e-5, equal);
        }
    }

    #[test]
    fn loops_of_the_graph_are_no_neighbours() {
        let x = Tensor::<2>::from_data([[1.0, 0.0, 2.0], [0.5, -1.0, 0.0]], &Device::flex());
        let (plain, loops) = (vec![(0, 1, 1.0)], vec![(0, 1, 1.0), (0, 0, 1.0), (1, 1, 1.0)]);
        for self_loops in [false, true] {
            let gin = build(GinOptions { dims: vec![8], self_loops, ..Default::default() }).unwrap();
            let out = |edges: &[(u32, u32, f32)]| gin.forward(x.clone(), &Graph::new(2, edges).unwrap());
            let difference = (out(&plain) - out(&loops)).abs().sum().into_scalar::<f32>();
            assert_eq!(difference > 1e-4, self_loops, "{difference}");
        }
    }

    #[test]
    fn normalised_layers_do_not_grow_with_their_sums() {
        let x = Tensor::<2>::from_data([[1.0, 0.0, 2.0], [0.5, -1.0, 0.0], [3.0, 1.0, -2.0]], &Device::flex());
        let graph = Graph::new(3, &[(0, 1, 1.0), (1, 2, 1.0)]).unwrap();
        for (norm, same) in [(Norm::None, false), (Norm::Batch, true)] {
            let gin = build(GinOptions { dims: vec![8], norm, ..Default::default() }).unwrap();
            let out = |factor: f64| gin.forward(x.clone() * factor, &graph);
            let difference = (out(1.0) - out(1000.0)).abs().max().into_scalar::<f32>();
            assert_eq!(difference < 0.1, same, "{difference}");
        }
    }
}
