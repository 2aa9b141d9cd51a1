//! `lightgcn`: the mean of the features propagated 0, 1, 2, … times, without weights.

use dualk_sdk::ops::{Adjacency, propagate};
use dualk_sdk::prelude::*;
use std::sync::Arc;

options! {
    /// Options of `lightgcn`.
    pub struct LightGcnOptions {
        /// How often features are propagated.
        #[schemars(range(min = 1, max = 1000))]
        pub layers: usize = 2,
        /// Whether edge weights enter.
        pub edge_weight: bool = true,
        /// Whether an edge from a node to itself counts as a neighbour. The paper has none; the disease graph has one at every
        /// code.
        pub self_loops: bool = false,
    }
}

impl Component for LightGcnOptions {
    const NAME: &'static str = "lightgcn";
    const ABOUT: &'static str =
        "The mean of the features propagated 0 to `layers` times; has no parameters of its own.";
    const CITATION: &'static str =
        "He et al., LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation, SIGIR 2020";
}

/// y = 1/(L + 1) Σ_{l = 0}^{L} Pˡ x, P = D^-½ A D^-½, D the in-degree by weight (eq. 7 and 8 of the paper, PyG's
/// `LGConv`). No self loops are added; a node without incoming edges has D^-½ = 0, so it keeps x / (L + 1) and adds
/// nothing to others. An embedding is as wide as the features.
#[derive(Module, Debug)]
pub struct LightGcn {
    layers: usize,
    edge_weight: bool,
    self_loops: bool,
    width: usize,
}

impl BuildGraphEncoder for LightGcnOptions {
    type Module = LightGcn;

    fn build(self, context: &GraphEncoderContext<'_>) -> Result<LightGcn> {
        let Self { layers, edge_weight, self_loops } = self;
        Ok(LightGcn { layers, edge_weight, self_loops, width: context.input })
    }
}

impl GraphEncoder for LightGcn {
    fn forward(&self, features: Tensor<2>, graph: &Graph) -> Tensor<2> {
        let adjacency = normalised(graph, self.edge_weight, self.self_loops);
        let (mut x, mut sum) = (features.clone(), features);
        for _ in 0..self.layers {
            x = propagate(&adjacency, x); // [nodes, input]
            sum = sum + x.clone();
        }
        sum / (self.layers + 1) as f64
    }

    fn width(&self) -> usize {
        self.width
    }
}

/// D^-½ A D^-½, without self loops of its own.
fn normalised(graph: &Graph, edge_weight: bool, self_loops: bool) -> Arc<Adjacency> {
    let weight = |s: u32, t: u32, w: f32| match s == t && !self_loops {
        true => 0.0,
        false if edge_weight => w,
        false => 1.0,
    };
    let scale = |node: u32| {
        let (sources, weights) = graph.incoming(node as usize);
        let degree: f32 = sources.iter().zip(weights).map(|(&s, &w)| weight(s, node, w)).sum();
        if degree > 0.0 { degree.sqrt().recip() } else { 0.0 }
    };
    #[derive(Clone, Copy, PartialEq, Eq, Hash)]
    struct Normalised {
        edge_weight: bool,
        self_loops: bool,
    }
    let key = Normalised { edge_weight, self_loops };
    let scales = graph.derived(key, |graph| (0..graph.nodes() as u32).map(scale).collect::<Vec<f32>>());
    Adjacency::reweighted(graph, key, |s, t, w| weight(s, t, w) * scales[s as usize] * scales[t as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(options: LightGcnOptions, edges: &[(u32, u32, f32)]) -> Vec<f32> {
        let device = Device::flex();
        let encoder = options.build(&GraphEncoderContext { input: 1, codes: &[], device: &device }).unwrap();
        let x = Tensor::<2>::from_data([[1.0], [10.0], [100.0]], &device);
        let out = encoder.forward(x, &Graph::new(3, edges).unwrap());
        assert_eq!((out.dims(), encoder.width()), ([3, 1], 1));
        out.into_data().iter::<f32>().collect()
    }

    #[test]
    fn values_by_hand() {
        // In-degrees 4 and 9: both edges have weight w / 6. Node 2 is alone.
        let edges = [(0, 1, 9.0), (1, 0, 4.0)];
        let out = forward(LightGcnOptions { layers: 1, ..Default::default() }, &edges);
        let expected = [(1.0 + 10.0 * 4.0 / 6.0) / 2.0, (10.0 + 9.0 / 6.0) / 2.0, 50.0];
        out.iter().zip(expected).for_each(|(o, e)| assert!((o - e).abs() < 1e-5, "{out:?}"));
        // Without weights both degrees are 1 and the two numbers change places every time.
        let out = forward(LightGcnOptions { layers: 2, edge_weight: false, ..Default::default() }, &edges);
        let expected = [(1.0 + 10.0 + 1.0) / 3.0, (10.0 + 1.0 + 10.0) / 3.0, 100.0 / 3.0];
        out.iter().zip(expected).for_each(|(o, e)| assert!((o - e).abs() < 1e-5, "{out:?}"));
    }

    #[test]
    fn loops_of_the_graph_are_no_neighbours() {
        let (edges, loops) = (vec![(0, 1, 9.0), (1, 0, 4.0)], vec![(0, 1, 9.0), (1, 0, 4.0), (0, 0, 1.0), (2, 2, 1.0)]);
        let of = |self_loops: bool, edges: &[(u32, u32, f32)]| {
            forward(LightGcnOptions { layers: 1, self_loops, ..Default::default() }, edges)
        };
        assert_eq!(of(false, &edges), of(false, &loops));
        assert_ne!(of(true, &edges), of(true, &loops));
    }
}
