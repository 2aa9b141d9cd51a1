//! `sage`: a node and an aggregate of its neighbours, projected apart and added.

use dualk_sdk::burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use dualk_sdk::burn::tensor::activation::relu;
use dualk_sdk::component::last_width;
use dualk_sdk::ops::{Adjacency, layer_widths, layers, linear, max_over_edges, propagate};
use dualk_sdk::prelude::*;
use dualk_sdk::serde::{Deserialize, Serialize};
use std::cell::OnceCell;

/// What becomes of the vectors of the neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, dualk_sdk::schemars::JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum Aggregate {
    /// Their mean.
    Mean,
    /// The largest number of each channel.
    Max,
    /// Their sum.
    Sum,
    /// The largest number of each channel after a layer and ReLU of their own: the paper's pooling (eq. 3).
    Pool,
}

options! {
    /// Options of `sage`.
    pub struct SageOptions {
        /// Output width of each layer.
        #[schemars(length(min = 1), inner(range(min = 1)))]
        pub dims: Vec<usize> = vec![256, 256],
        /// `mean`, `max` or `sum` of the neighbours, or `pool`: the maximum after a layer and ReLU.
        pub aggregate: Aggregate = Aggregate::Mean,
        /// Whether an edge from a node to itself counts as a neighbour. The paper has none; the disease graph has one at every
        /// code.
        pub self_loops: bool = false,
        /// Dropout rate between two layers.
        #[schemars(with = "Fraction")]
        pub dropout: f64 = 0.0,
    }
}

impl Component for SageOptions {
    const NAME: &'static str = "sage";
    const ABOUT: &'static str =
        "A node and the mean, sum, maximum or pooling of its neighbours, with ReLU and dropout between.";
    const CITATION: &'static str = "Hamilton et al., Inductive Representation Learning on Large Graphs, NeurIPS 2017";
}

/// One layer (PyG's `SAGEConv` with its defaults): y_i = aggregate_{j → i}(x_j) W_l + b_l + x_i W_r.
///
/// With `pool` the neighbours first pass ReLU(x_j W_p + b_p) (PyG's `project`). The neighbours of a node without incoming
/// edges aggregate to zeros; edge weights do not enter. The paper samples
/// neighbours and normalises y; here all of them count, and nothing is normalised.
#[derive(Module, Debug)]
pub struct SageConv {
    lin_l: Linear,
    lin_r: Linear,
    project: Option<Linear>,
}

impl SageConv {
    fn new(input: usize, output: usize, aggregate: Aggregate, device: &Device) -> Self {
        let linear = LinearConfig::new(input, output);
        let project = (aggregate == Aggregate::Pool).then(|| LinearConfig::new(input, input).init(device));
        Self { lin_l: linear.init(device), lin_r: linear.with_bias(false).init(device), project }
    }

    /// One layer.
    ///
    /// # Shapes
    /// - `x`: `[nodes, input]`
    /// - output: `[nodes, output]`
    pub fn forward(&self, x: Tensor<2>, aggregate: impl Fn(Tensor<2>) -> Tensor<2>) -> Tensor<2> {
        let seen = match &self.project {
            Some(project) => relu(linear(project, x.clone())), // [nodes, input]
            None => x.clone(),
        };
        linear(&self.lin_l, aggregate(seen)) + linear(&self.lin_r, x) // [nodes, output]
    }
}

/// Layers with ReLU and dropout between, none after the last.
#[derive(Module, Debug)]
pub struct Sage {
    convs: Vec<SageConv>,
    dropout: Dropout,
    width: usize,
    #[module(skip)]
    aggregate: Aggregate,
    self_loops: bool,
}

impl BuildGraphEncoder for SageOptions {
    type Module = Sage;

    fn build(self, context: &GraphEncoderContext<'_>) -> Result<Sage> {
        let dropout = DropoutConfig::new(self.dropout).init();
        let width = last_width("dims", &self.dims)?;
        let convs = layer_widths(context.input, &self.dims)
            .map(|(i, o)| SageConv::new(i, o, self.aggregate, context.device))
            .collect();
        Ok(Sage { convs, dropout, width, aggregate: self.aggregate, self_loops: self.self_loops })
    }
}

/// Weights of edges that are kept with a graph.
#[derive(PartialEq, Eq, Hash)]
enum Weights {
    Mean { loops: bool },
    Sum { loops: bool },
}

impl GraphEncoder for Sage {
    fn forward(&self, features: Tensor<2>, graph: &Graph) -> Tensor<2> {
        let loops = self.self_loops;
        let counts = |source: u32, target: u32| if source == target && !loops { 0.0 } else { 1.0 };
        let adjacency = match self.aggregate {
            Aggregate::Mean => {
                let degree = |target: u32| -> f32 {
                    graph.incoming(target as usize).0.iter().map(|&source| counts(source, target)).sum::<f32>().max(1.0)
                };
                let degrees = OnceCell::new(); // once a graph, and once a node
                Adjacency::reweighted(graph, Weights::Mean { loops }, |s, t, _| {
                    let degrees: &Vec<f32> = degrees.get_or_init(|| (0..graph.nodes() as u32).map(degree).collect());
                    counts(s, t) / degrees[t as usize]
                })
            }
            Aggregate::Sum => Adjacency::reweighted(graph, Weights::Sum { loops }, |s, t, _| counts(s, t)),
            Aggregate::Max | Aggregate::Pool if loops => Adjacency::of(graph),
            Aggregate::Max | Aggregate::Pool => Adjacency::without_self_loops(graph),
        };
        let aggregate = |x| match self.aggregate {
            Aggregate::Mean | Aggregate::Sum => propagate(&adjacency, x), // [nodes, input]
            Aggregate::Max | Aggregate::Pool => max_over_edges(&adjacency, x), // [nodes, input]
        };
        layers(&self.convs, features, &self.dropout, |conv, x| conv.forward(x, aggregate)) // [nodes, width]
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(options: SageOptions) -> Result<Sage> {
        options.build(&GraphEncoderContext { input: 3, codes: &[], device: &Device::flex() })
    }

    #[test]
    fn widths_follow_the_options() {
        let graph = Graph::new(4, &[(0, 1, 0.5), (1, 2, 2.0), (2, 0, 1.0)]).unwrap();
        for (dims, aggregate) in
            [(vec![4], Aggregate::Pool), (vec![8, 4], Aggregate::Max), (vec![8, 6, 2, 4], Aggregate::Sum)]
        {
            let sage = build(SageOptions { dims, aggregate, ..Default::default() }).unwrap();
            let out = sage.forward(Tensor::ones([4, 3], &Device::flex()), &graph);
            assert_eq!((out.dims(), sage.width()), ([4, 4], 4));
        }
    }

    #[test]
    fn repeated_edges_matter_to_the_sum_alone() {
        let x = Tensor::<2>::from_data([[1.0, 0.0, 2.0], [0.5, -1.0, 0.0]], &Device::flex());
        let (once, twice) =
            (Graph::new(2, &[(0, 1, 1.0)]).unwrap(), Graph::new(2, &[(0, 1, 1.0), (0, 1, 0.5)]).unwrap());
        for (aggregate, equal) in [(Aggregate::Mean, true), (Aggregate::Max, true), (Aggregate::Sum, false)] {
            let sage = build(SageOptions { dims: vec![4], aggregate, ..Default::default() }).unwrap();
            let difference = sage.forward(x.clone(), &once) - sage.forward(x.clone(), &twice);
            assert_eq!(difference.abs().sum().into_scalar::<f32>() < 1e-5, equal, "{aggregate:?}");
        }
    }

    #[test]
    fn loops_of_the_graph_are_no_neighbours() {
        let x = Tensor::<2>::from_data([[1.0, 0.0, 2.0], [0.5, -1.0, 0.0]], &Device::flex());
        let (plain, loops) = (vec![(0, 1, 1.0)], vec![(0, 1, 1.0), (0, 0, 1.0), (1, 1, 1.0)]);
        for aggregate in [Aggregate::Mean, Aggregate::Sum, Aggregate::Max, Aggregate::Pool] {
            let sage = build(SageOptions { dims: vec![4], aggregate, ..Default::default() }).unwrap();
            let out = |edges: &[(u32, u32, f32)]| sage.forward(x.clone(), &Graph::new(2, edges).unwrap());
            assert!((out(&plain) - out(&loops)).abs().sum().into_scalar::<f32>() < 1e-5, "{aggregate:?}");
        }
    }

    #[test]
    fn pooling_takes_the_largest_after_its_layer() {
        let device = &Device::flex();
        let matrix = |values: [[f32; 2]; 2]| Param::from_tensor(Tensor::<2>::from_data(values, device));
        let bias = |values: [f32; 2]| Some(Param::from_tensor(Tensor::<1>::from_data(values, device)));
        let mut conv = SageConv::new(2, 2, Aggregate::Pool, device);
        conv.lin_l = Linear { weight: matrix([[1.0, 0.0], [0.0, 1.0]]), bias: bias([0.0, 0.0]) };
        conv.lin_r = Linear { weight: matrix([[0.0, 0.0], [0.0, 0.0]]), bias: None };
        conv.project = Some(Linear { weight: matrix([[1.0, 0.0], [0.0, -2.0]]), bias: bias([-1.0, 0.5]) });
        let x = Tensor::<2>::from_data([[3.0, 1.0], [0.5, -2.0], [0.0, 0.0]], device);
        let graph = Graph::new(3, &[(0, 2, 1.0), (1, 2, 1.0)]).unwrap();
        let out = conv.forward(x, |x| max_over_edges(&Adjacency::without_self_loops(&graph), x));
        // ReLU of (2, -1.5) and (-0.5, 4.5).
        out.into_data()
            .assert_approx_eq::<f32>(&TensorData::from([[0.0, 0.0], [0.0, 0.0], [2.0, 4.5]]), Default::default());
    }
}
