//! Directed weighted graphs over codes, stored by target, and what is derived from them.

mod cooccurrence;

pub use cooccurrence::cooccurrence;

use crate::ops::Precision;
use crate::{Error, Result};
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A directed graph. Edges are ordered by target, then by their order on construction; repeats are kept.
///
/// Clones share the cache of derived structures (see [`Graph::derived`]).
#[derive(Debug, Clone)]
pub struct Graph {
    nodes: usize,
    offsets: Arc<Vec<usize>>,
    sources: Arc<Vec<u32>>,
    weights: Arc<Vec<f32>>,
    derived: Arc<Mutex<Derived>>,
    precision: Precision,
}

/// Structures computed from a graph, by type and key.
type Derived = HashMap<(TypeId, String), Arc<dyn Any + Send + Sync>>;

impl Graph {
    /// A graph from `(source, target, weight)` triples.
    ///
    /// # Errors
    /// When an end is not below `nodes` or a weight is not finite.
    pub fn new(nodes: usize, edges: &[(u32, u32, f32)]) -> Result<Self> {
        if let Some(&(s, t, _)) = edges.iter().find(|e| e.0 as usize >= nodes || e.1 as usize >= nodes) {
            return Err(Error::program(format!("edge {s} → {t} leaves the graph of {nodes} nodes")));
        }
        if let Some(&(s, t, w)) = edges.iter().find(|e| !e.2.is_finite()) {
            return Err(Error::program(format!("edge {s} → {t} has weight {w}")));
        }
        let mut offsets = vec![0usize; nodes + 1];
        edges.iter().for_each(|e| offsets[e.1 as usize + 1] += 1);
        (0..nodes).for_each(|i| offsets[i + 1] += offsets[i]);
        let mut next = offsets.clone();
        let (mut sources, mut weights) = (vec![0; edges.len()], vec![0.0; edges.len()]);
        for &(s, t, w) in edges {
            let at = next[t as usize];
            next[t as usize] += 1;
            (sources[at], weights[at]) = (s, w);
        }
        Ok(Self {
            nodes,
            offsets: Arc::new(offsets),
            sources: Arc::new(sources),
            weights: Arc::new(weights),
            derived: Arc::default(),
            precision: Precision::default(),
        })
    }

    /// The same graph, over which kernels read the rows of neighbours in `precision`.
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { derived: Arc::default(), precision, ..self }
    }

    /// The numbers in which kernels read the rows of neighbours.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Number of edges.
    pub fn edges(&self) -> usize {
        self.sources.len()
    }

    /// Sources and weights of the edges into `target`.
    pub fn incoming(&self, target: usize) -> (&[u32], &[f32]) {
        let range = self.offsets[target]..self.offsets[target + 1];
        (&self.sources[range.clone()], &self.weights[range])
    }

    /// All edges as `(source, target, weight)`, ordered by target.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32, f32)> + '_ {
        (0..self.nodes).flat_map(move |t| {
            let (sources, weights) = self.incoming(t);
            sources.iter().zip(weights).map(move |(&s, &w)| (s, t as u32, w))
        })
    }

    /// A structure computed from this graph once and kept, by its type and `key`; encoders keep normalised or
    /// transposed forms of the graph here.
    pub fn derived<T: Any + Send + Sync>(&self, key: &str, make: impl FnOnce(&Graph) -> T) -> Arc<T> {
        let slot = (TypeId::of::<T>(), key.to_owned());
        let lock = || self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = lock().get(&slot).cloned().and_then(|any| any.downcast::<T>().ok()) {
            return found;
        }
        let made = Arc::new(make(self));
        lock().insert(slot, made.clone());
        made
    }
}
