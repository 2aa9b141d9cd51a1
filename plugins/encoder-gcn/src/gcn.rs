//! `gcn`: graph convolutions.

use dualk_sdk::burn::module::Initializer;
use dualk_sdk::burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use dualk_sdk::component::last_width;
use dualk_sdk::ops::{Adjacency, add_row, layer_widths, layers, linear, propagate};
use dualk_sdk::prelude::*;

options! {
    /// Options of `gcn`.
    pub struct GcnOptions {
        /// Output width of each layer.
        #[schemars(length(min = 1), inner(range(min = 1)))]
        pub dims: Vec<usize> = vec![256, 256],
        /// Dropout rate between two layers.
        #[schemars(with = "Fraction")]
        pub dropout: f64 = 0.0,
        /// Whether edge weights enter. The published training drops them: `false` reproduces it.
        pub edge_weight: bool = true,
    }
}

impl Component for GcnOptions {
    const NAME: &'static str = "gcn";
    const ABOUT: &'static str = "Graph convolutions with ReLU and dropout between.";
    const CITATION: &'static str =
        "Kipf and Welling, Semi-Supervised Classification with Graph Convolutional Networks, ICLR 2017";
}

/// One layer (eq. 2 of the paper, PyG's `GCNConv` with its defaults): y = D^-½ (A + I) D^-½ x W + b, D the in-degree
/// by weight.
#[derive(Module, Debug)]
pub struct GcnConv {
    lin: Linear,
    bias: Param<Tensor<1>>,
}

impl GcnConv {
    fn new(input: usize, output: usize, device: &Device) -> Self {
        let glorot = Initializer::XavierUniform { gain: 1.0 };
        Self {
            lin: LinearConfig::new(input, output).with_bias(false).with_initializer(glorot).init(device),
            bias: Initializer::Zeros.init([output], device),
        }
    }

    /// One layer.
    ///
    /// # Shapes
    /// - `x`: `[nodes, input]`
    /// - output: `[nodes, output]`
    pub fn forward(&self, x: Tensor<2>, adjacency: &Adjacency) -> Tensor<2> {
        let h = linear(&self.lin, x); // [nodes, output]
        add_row(propagate(adjacency, h), self.bias.val())
    }
}

/// Layers with ReLU and dropout between, none after the last.
#[derive(Module, Debug)]
pub struct Gcn {
    conv1: GcnConv,
    conv2: Option<GcnConv>,
    more: Vec<GcnConv>,
    dropout: Dropout,
    width: usize,
    edge_weight: bool,
}

impl BuildGraphEncoder for GcnOptions {
    type Module = Gcn;

    fn build(self, context: &GraphEncoderContext<'_>) -> Result<Gcn> {
        let width = last_width("dims", &self.dims)?;
        let mut layers = layer_widths(context.input, &self.dims).map(|(i, o)| GcnConv::new(i, o, context.device));
        let Some(conv1) = layers.next() else { unreachable!("`dims` has a first width") };
        let (conv2, more) = (layers.next(), layers.collect());
        let dropout = DropoutConfig::new(self.dropout).init();
        Ok(Gcn { conv1, conv2, more, dropout, width, edge_weight: self.edge_weight })
    }
}

impl GraphEncoder for Gcn {
    fn forward(&self, features: Tensor<2>, graph: &Graph) -> Tensor<2> {
        let adjacency = Adjacency::normalized(graph, self.edge_weight);
        let convs = std::iter::once(&self.conv1).chain(&self.conv2).chain(&self.more);
        layers(convs, features, &self.dropout, |conv, x| conv.forward(x, &adjacency)) // [nodes, width]
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(options: GcnOptions) -> Result<Gcn> {
        options.build(&GraphEncoderContext { input: 3, codes: &[], device: &Device::flex() })
    }

    #[test]
    fn widths_follow_the_options() {
        let graph = Graph::new(4, &[(0, 1, 0.5), (1, 2, 2.0), (2, 0, 1.0)]).unwrap();
        for dims in [vec![4], vec![8, 4], vec![8, 6, 2, 4]] {
            let gcn = build(GcnOptions { dims, ..Default::default() }).unwrap();
            let out = gcn.forward(Tensor::ones([4, 3], &Device::flex()), &graph);
            assert_eq!((out.dims(), gcn.width()), ([4, 4], 4));
        }
    }

    #[test]
    fn without_edge_weights_they_do_not_matter() {
        let device = Device::flex();
        let x = Tensor::<2>::from_data([[1.0, 0.0, 2.0], [0.5, -1.0, 0.0]], &device);
        let (weighted, ones) = (Graph::new(2, &[(0, 1, 0.3)]).unwrap(), Graph::new(2, &[(0, 1, 1.0)]).unwrap());
        for (edge_weight, equal) in [(false, true), (true, false)] {
            let gcn = build(GcnOptions { dims: vec![4], edge_weight, ..Default::default() }).unwrap();
            let difference = gcn.forward(x.clone(), &weighted) - gcn.forward(x.clone(), &ones);
            assert_eq!(difference.abs().sum().into_scalar::<f32>() < 1e-6, equal);
        }
    }
}
