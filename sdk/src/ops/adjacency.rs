//! The edges of a graph as encoders want them.

use super::Csr;
use crate::graph::Graph;
use crate::sparse::in_32_bits;
use std::hash::Hash;
use std::sync::{Arc, OnceLock};

/// Edges by target, with their weights, ready for [`attention`](super::attention) and
/// [`propagate`](super::propagate). Repeated edges count repeatedly.
///
/// Made from a [`Graph`] once and kept with it.
#[derive(Debug)]
pub struct Adjacency {
    csr: Arc<Csr>,
    /// Made on first use.
    ends: OnceLock<Ends>,
}

/// The ends of the edges: lists for products that gather rows edge by edge, and whose backward pass adds them up.
#[derive(Debug)]
pub(super) struct Ends {
    /// For each edge its source.
    pub(super) sources: Arc<Csr>,
    /// For each edge its target.
    pub(super) targets: Arc<Csr>,
    /// For each node the numbers of the edges into it.
    pub(super) incoming: Arc<Csr>,
}

/// Forms of a graph's edges that are kept.
#[derive(PartialEq, Eq, Hash)]
enum Form {
    AsItIs,
    WithoutLoops,
    WithLoops,
    WithMeanLoops,
    Normalised { edge_weights: bool },
}

impl Adjacency {
    /// The edges as they are.
    pub fn of(graph: &Graph) -> Arc<Self> {
        graph.derived(Form::AsItIs, |g| Self::new(g, |t| triples(g, t, |_| true)))
    }

    /// Without edges from a node to itself.
    pub fn without_self_loops(graph: &Graph) -> Arc<Self> {
        graph.derived(Form::WithoutLoops, |g| Self::new(g, |t| triples(g, t, move |s| s != t)))
    }

    /// With exactly one edge of weight 1 from each node to itself, as GAT wants it: existing self loops are replaced.
    pub fn with_self_loops(graph: &Graph) -> Arc<Self> {
        graph.derived(Form::WithLoops, |g| Self::new(g, |t| triples(g, t, move |s| s != t).chain([(t as u32, 1.0)])))
    }

    /// With one edge from each node to itself whose weight is the mean of the weights of the other edges into it, 0
    /// when there are none: PyG's `add_self_loops` with `fill_value = "mean"`, after existing loops are removed.
    pub fn with_mean_self_loops(graph: &Graph) -> Arc<Self> {
        graph.derived(Form::WithMeanLoops, |g| {
            Self::new(g, |t| {
                let others = || triples(g, t, move |s| s != t);
                let mean = others().map(|(_, w)| w).sum::<f32>() / others().count().max(1) as f32;
                others().chain([(t as u32, mean)])
            })
        })
    }

    /// The edges with other weights: `weight` gets source, target and weight. They are kept with the graph by `key`, of a
    /// type of the caller's own; other weights must have another key.
    pub fn reweighted<K>(graph: &Graph, key: K, weight: impl Fn(u32, u32, f32) -> f32) -> Arc<Self>
    where
        K: Eq + Hash + Send + 'static,
    {
        graph.derived(key, |g| {
            let weight = &weight;
            Self::new(g, |t| triples(g, t, |_| true).map(move |(s, w)| (s, weight(s, t as u32, w))))
        })
    }

    /// The propagation matrix of GCN, D^-½ (A + I) D^-½ with D the weighted in-degree.
    ///
    /// A node that has a self loop keeps its weight (the last one's, when repeated); the others get one of weight 1.
    /// Without `edge_weights` every weight is 1. A node whose in-degree is not positive is left out, as PyG does for 0.
    pub fn normalized(graph: &Graph, edge_weights: bool) -> Arc<Self> {
        graph.derived(Form::Normalised { edge_weights }, |g| {
            let edges = Self::new(g, |t| {
                let own = triples(g, t, |s| s == t).last().map_or(1.0, |(_, w)| w);
                let edges = triples(g, t, move |s| s != t).chain([(t as u32, own)]);
                edges.map(move |(s, w)| (s, if edge_weights { w } else { 1.0 }))
            });
            let degrees = (0..edges.nodes()).map(|t| edges.incoming(t).1.iter().sum::<f32>());
            let scale: Vec<f32> = degrees.map(|d| if d > 0.0 { d.sqrt().recip() } else { 0.0 }).collect();
            let weights = (0..edges.nodes()).flat_map(|target| {
                let (sources, weights) = edges.incoming(target);
                let scale = &scale;
                sources.iter().zip(weights).map(move |(&source, w)| w * scale[source as usize] * scale[target])
            });
            let weights = weights.collect();
            let (offsets, sources) = (edges.csr.offsets().to_vec(), edges.csr.members().to_vec());
            Self::from(Csr::with_precision(offsets, sources, Some(weights), g.precision()))
        })
    }

    fn new<I: Iterator<Item = (u32, f32)>>(graph: &Graph, incoming: impl Fn(usize) -> I) -> Self {
        let (mut offsets, mut sources, mut weights) = (vec![0], Vec::new(), Vec::new());
        for target in 0..graph.nodes() {
            for (source, weight) in incoming(target) {
                sources.push(source);
                weights.push(weight);
            }
            offsets.push(in_32_bits(sources.len(), || "the graph's list of edges".into()));
        }
        Self::from(Csr::with_precision(offsets, sources, Some(weights), graph.precision()))
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.csr.len()
    }

    /// Number of edges.
    pub fn edges(&self) -> usize {
        self.csr.members().len()
    }

    /// Sources and weights of the edges into `target`.
    pub fn incoming(&self, target: usize) -> (&[u32], &[f32]) {
        let range = self.csr.range(target);
        (&self.csr.members()[range.clone()], &self.csr.weights().unwrap_or_default()[range])
    }

    /// The ends of the edges, one by one.
    pub(super) fn ends(&self) -> &Ends {
        self.ends.get_or_init(|| Ends::of(&self.csr))
    }

    /// The edges in compressed form: for each target its sources.
    pub fn csr(&self) -> Arc<Csr> {
        self.csr.clone()
    }
}

impl From<Arc<Csr>> for Adjacency {
    fn from(csr: Arc<Csr>) -> Self {
        Self { csr, ends: OnceLock::new() }
    }
}

impl Ends {
    fn of(edges: &Csr) -> Self {
        let count = edges.members().len() as u32;
        let single = |rows: Vec<u32>| Csr::new((0..=count).collect(), rows, None);
        let targets = (0..edges.len()).flat_map(|i| edges.range(i).map(move |_| i as u32)).collect();
        Self {
            sources: single(edges.members().to_vec()),
            targets: single(targets),
            incoming: Csr::new(edges.offsets().to_vec(), (0..count).collect(), None),
        }
    }
}

/// Source and weight of the edges into `target` whose source passes `keep`.
fn triples(graph: &Graph, target: usize, keep: impl Fn(usize) -> bool) -> impl Iterator<Item = (u32, f32)> {
    let (sources, weights) = graph.incoming(target);
    sources.iter().copied().zip(weights.iter().copied()).filter(move |(s, _)| keep(*s as usize))
}
