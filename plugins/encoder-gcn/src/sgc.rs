//! `sgc`: features that are propagated a number of times, then one linear layer.

use dualk_sdk::burn::nn::{Linear, LinearConfig};
use dualk_sdk::ops::{Adjacency, linear, propagate};
use dualk_sdk::prelude::*;

options! {
    /// Options of `sgc`.
    pub struct SgcOptions {
        /// Width of an embedding.
        #[schemars(range(min = 1))]
        pub dim: usize = 256,
        /// How often features are propagated.
        #[schemars(range(min = 1, max = 1000))]
        pub layers: usize = 2,
        /// Whether edge weights enter.
        pub edge_weight: bool = true,
    }
}

impl Component for SgcOptions {
    const NAME: &'static str = "sgc";
    const ABOUT: &'static str = "Features propagated `layers` times, then one linear layer.";
    const CITATION: &'static str = "Wu et al., Simplifying Graph Convolutional Networks, ICML 2019";
}

/// Y = P^L X W + b, P = D^-½ (A + I) D^-½ as `gcn` has it (eq. 8 of the paper without its softmax, PyG's `SGConv`).
#[derive(Module, Debug)]
pub struct Sgc {
    lin: Linear,
    layers: usize,
    edge_weight: bool,
    width: usize,
}

impl BuildGraphEncoder for SgcOptions {
    type Module = Sgc;

    fn build(self, context: &GraphEncoderContext<'_>) -> Result<Sgc> {
        let Self { dim, layers, edge_weight } = self;
        let lin = LinearConfig::new(context.input, dim).init(context.device);
        Ok(Sgc { lin, layers, edge_weight, width: dim })
    }
}

impl GraphEncoder for Sgc {
    fn forward(&self, features: Tensor<2>, graph: &Graph) -> Tensor<2> {
        let adjacency = Adjacency::normalized(graph, self.edge_weight);
        let x = (0..self.layers).fold(features, |x, _| propagate(&adjacency, x)); // [nodes, input]
        linear(&self.lin, x) // [nodes, dim]
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// a = numpy.array([[1, .5, 0], [2, 1, 1], [0, 0, 3]])  # or (a > 0) * 1.0
    /// x, w = numpy.array([[1, 2], [0, -1], [3, .5]]), numpy.array([[1, -1], [.5, 2]])
    /// d = a.sum(1) ** -.5
    /// numpy.linalg.matrix_power(d[:, None] * a * d, 2) @ x @ w + [.25, -.5]
    /// ```
    #[test]
    fn values_are_those_of_numpy() {
        let device = &Device::flex();
        let graph = Graph::new(3, &[(0, 1, 2.0), (1, 0, 0.5), (2, 1, 1.0), (2, 2, 3.0)]).unwrap();
        let weighted = [1.570_173, 0.841_255, 2.805_07, 0.565_344, 3.5, -2.5];
        let without = [1.679_262, -0.401_818, 3.293_376, -1.574_536, 3.5, -2.5];
        for (edge_weight, expected) in [(true, weighted), (false, without)] {
            let context = GraphEncoderContext { input: 2, codes: &[], device };
            let options = SgcOptions { dim: 2, edge_weight, ..Default::default() };
            let mut encoder = options.build(&context).unwrap();
            let weight = Tensor::<2>::from_data([[1.0, -1.0], [0.5, 2.0]], device);
            let bias = Tensor::<1>::from_data([0.25, -0.5], device);
            encoder.lin = Linear { weight: Param::from_tensor(weight), bias: Some(Param::from_tensor(bias)) };
            let x = Tensor::<2>::from_data([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]], device);
            let out = encoder.forward(x, &graph);
            assert_eq!((out.dims(), encoder.width()), ([3, 2], 2));
            let out: Vec<f32> = out.into_data().iter().collect();
            out.iter().zip(expected).for_each(|(o, e)| assert!((o - e).abs() < 1e-5, "{out:?}"));
        }
    }

    #[test]
    fn each_layer_reaches_one_edge_further() {
        let device = &Device::flex();
        let graph = Graph::new(4, &[(0, 1, 1.0), (1, 2, 1.0), (2, 3, 1.0)]).unwrap();
        for layers in 1..=3 {
            let context = GraphEncoderContext { input: 1, codes: &[], device };
            let encoder = SgcOptions { dim: 3, layers, ..Default::default() }.build(&context).unwrap();
            let of = |first: f32| encoder.forward(Tensor::from_data([[first], [0.0], [0.0], [0.0]], device), &graph);
            let moved: Vec<f32> = (of(1.0) - of(0.0)).abs().sum_dim(1).into_data().iter().collect();
            let reached = moved.iter().filter(|by| **by > 0.0).count();
            assert_eq!(reached, layers + 1, "{moved:?}");
        }
    }
}
