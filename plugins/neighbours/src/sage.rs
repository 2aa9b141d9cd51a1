//! `sage`: a node and an aggregate of its neighbours, projected apart and added.

use dualk_sdk::burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use dualk_sdk::burn::tensor::activation::relu;
use dualk_sdk::component::{in_range, last_width};
use dualk_sdk::ops::{Adjacency, dropout, max_over_edges, propagate};
use dualk_sdk::prelude::*;
use dualk_sdk::serde::{Deserialize, Serialize};

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
}

options! {
    /// Options of `sage`.
    pub struct SageOptions {
        /// Output width of each layer.
        #[schemars(length(min = 1), inner(range(min = 1)))]
        pub dims: Vec<usize> = vec![256, 256],
        /// `mean`, `max` or `sum` of the neighbours.
        pub aggregate: Aggregate = Aggregate::Mean,
        /// Part of the numbers between two layers that is dropped during training.
        #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
        pub dropout: f64 = 0.0,
    }
}

impl Component for SageOptions {
    const NAME: &'static str = "sage";
    const ABOUT: &'static str = "A node and the mean, maximum or sum of its neighbours, with ReLU and dropout between.";
    const CITATION: &'static str = "Hamilton et al., Inductive Representation Learning on Large Graphs, NeurIPS 2017";
}

/// One layer (PyG's `SAGEConv` with its defaults): y_i = aggregate_{j → i}(x_j) W_l + b_l + x_i W_r.
///
/// The neighbours of a node without incoming edges aggregate to zeros; edge weights do not enter. The paper samples
/// neighbours and normalises y; here all of them count, and nothing is normalised.
#[derive(Module, Debug)]
pub struct SageConv {
    lin_l: Linear,
    lin_r: Linear,
}

impl SageConv {
    fn new(input: usize, output: usize, device: &Device) -> Self {
        let linear = LinearConfig::new(input, output);
        Self { lin_l: linear.init(device), lin_r: linear.with_bias(false).init(device) }
    }

    /// One layer.
    ///
    /// # Shapes
    /// - `x`: `[nodes, input]`
    /// - output: `[nodes, output]`
    pub fn forward(&self, x: Tensor<2>, aggregate: impl Fn(Tensor<2>) -> Tensor<2>) -> Tensor<2> {
        self.lin_l.forward(aggregate(x.clone())) + self.lin_r.forward(x) // [nodes, output]
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
}

impl BuildGraphEncoder for SageOptions {
    type Module = Sage;

    fn build(self, context: &GraphEncoderContext<'_>) -> Result<Sage> {
        let dropout = DropoutConfig::new(in_range("dropout", self.dropout, 0.0, 1.0)?).init();
        let width = last_width("dims", &self.dims)?;
        let inputs = std::iter::once(context.input).chain(self.dims.iter().copied());
        let convs = inputs.zip(&self.dims).map(|(i, &o)| SageConv::new(i, o, context.device)).collect();
        Ok(Sage { convs, dropout, width, aggregate: self.aggregate })
    }
}

impl GraphEncoder for Sage {
    fn forward(&self, features: Tensor<2>, graph: &Graph) -> Tensor<2> {
        let adjacency = match self.aggregate {
            Aggregate::Mean => {
                let degree = |target: u32| graph.incoming(target as usize).0.len() as f32;
                Adjacency::reweighted(graph, "1 / in-degree", |_, target, _| 1.0 / degree(target))
            }
            Aggregate::Sum => Adjacency::reweighted(graph, "ones", |_, _, _| 1.0),
            Aggregate::Max => Adjacency::of(graph),
        };
        let aggregate = |x| match self.aggregate {
            Aggregate::Mean | Aggregate::Sum => propagate(&adjacency, x), // [nodes, input]
            Aggregate::Max => max_over_edges(&adjacency, x),              // [nodes, input]
        };
        self.convs.iter().enumerate().fold(features, |x, (i, conv)| {
            let x = if i == 0 { x } else { dropout(relu(x), &self.dropout) };
            conv.forward(x, aggregate) // [nodes, dims[i]]
        })
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
            [(vec![4], Aggregate::Mean), (vec![8, 4], Aggregate::Max), (vec![8, 6, 2, 4], Aggregate::Sum)]
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
    fn bad_options_name_their_key() {
        let of = |o: SageOptions| build(o).unwrap_err().to_string();
        assert!(of(SageOptions { dims: vec![], ..Default::default() }).starts_with("`dims`"));
        assert!(of(SageOptions { dims: vec![0], ..Default::default() }).starts_with("`dims`"));
        assert!(of(SageOptions { dropout: -0.1, ..Default::default() }).starts_with("`dropout`"));
    }
}
