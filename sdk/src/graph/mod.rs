//! Directed weighted graphs over codes, stored by target, and what is derived from them.

mod cooccurrence;

pub use cooccurrence::cooccurrence;

use crate::sparse::Precision;
use crate::{Error, Result};
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::hash::Hash;
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

/// Structures computed from a graph: for each type of key and structure a map from one to the other.
type Derived = HashMap<TypeId, Box<dyn Any + Send>>;

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

    /// A structure computed from this graph once and kept, by its type and `key`; encoders keep normalised or transposed
    /// forms of the graph here. The key's type is one of its owner's own, so that nobody else means something by it.
    pub fn derived<K, T>(&self, key: K, make: impl FnOnce(&Graph) -> T) -> Arc<T>
    where
        K: Eq + Hash + Send + 'static,
        T: Send + Sync + 'static,
    {
        fn map<K: 'static, T: 'static>(derived: &mut Derived) -> Option<&mut HashMap<K, Arc<T>>>
        where
            HashMap<K, Arc<T>>: Send + Default,
        {
            let all = derived.entry(TypeId::of::<HashMap<K, Arc<T>>>());
            all.or_insert_with(|| Box::new(HashMap::<K, Arc<T>>::default())).downcast_mut()
        }
        let lock = || self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = map::<K, T>(&mut lock()).and_then(|all| all.get(&key).cloned()) {
            return found;
        }
        let made = Arc::new(make(self));
        if let Some(all) = map::<K, T>(&mut lock()) {
            all.insert(key, made.clone());
        }
        made
    }
}
