//! Graphs whose edges have relations.

use super::Csr;
use std::ops::Range;
use std::sync::Arc;

/// The edges of a graph by their relations, as [`relational_convolution`](super::relational_convolution) wants them. A row for
/// each pair of a relation and a node that it leads to, relation after relation.
#[derive(Debug)]
pub struct Relations {
    /// For each row the nodes that it comes from.
    arriving: Arc<Csr>,
    /// For each node the rows that lead to it, ascending.
    adding: Arc<Csr>,
    /// The node that each row leads to.
    to: Vec<u32>,
    /// The relation of each row.
    of_row: Vec<u32>,
    /// Where the rows of each relation end.
    ends: Vec<usize>,
}

impl Relations {
    /// Of a graph of `nodes` nodes: for each row the nodes that it comes from, with weights where these are not 1; the node that
    /// it leads to; and where the rows of each relation end, which has at least one. Repeats count.
    ///
    /// # Panics
    /// When the parts do not fit together, or a row comes from or leads to what is no node.
    pub fn new(nodes: usize, arriving: Arc<Csr>, to: &[u32], ends: Vec<usize>) -> Arc<Self> {
        let rows = arriving.len();
        let grow = ends.first().is_some_and(|&end| end > 0) && ends.windows(2).all(|two| two[0] < two[1]);
        assert!(grow && ends.last() == Some(&rows), "relations that end at {ends:?} for {rows} rows");
        assert!(to.len() == rows, "{} nodes to lead to for {rows} rows", to.len());
        let last = to.iter().map(|&node| node as usize + 1).max().unwrap_or(0).max(arriving.columns());
        assert!(last <= nodes, "{last} nodes at the ends of rows, of {nodes}");
        let mut of_node: Vec<Vec<u32>> = vec![Vec::new(); nodes];
        for (row, &node) in (0u32..).zip(to) {
            of_node[node as usize].push(row);
        }
        let mut of_row: Vec<u32> = Vec::with_capacity(rows);
        for (relation, &end) in (0u32..).zip(&ends) {
            of_row.resize(end, relation);
        }
        let adding = Csr::of(&of_node.into_iter().collect());
        Arc::new(Self { arriving, adding, to: to.to_vec(), of_row, ends })
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.adding.len()
    }

    /// Number of relations.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// For each row the nodes that it comes from.
    pub(super) fn arriving(&self) -> &Arc<Csr> {
        &self.arriving
    }

    /// For each node the rows that lead to it.
    pub(super) fn adding(&self) -> &Arc<Csr> {
        &self.adding
    }

    /// The node that each row leads to.
    pub(super) fn to(&self) -> &[u32] {
        &self.to
    }

    /// The rows of a relation.
    pub(super) fn rows(&self, relation: usize) -> Range<usize> {
        let before = relation.checked_sub(1).map_or(0, |before| self.ends[before]);
        before..self.ends[relation]
    }

    /// The relation of a row.
    pub(super) fn of_row(&self, row: usize) -> usize {
        self.of_row[row] as usize
    }

    /// Where the rows of each relation end when each is there `batch` times.
    pub(super) fn ends(&self, batch: usize) -> Arc<Vec<usize>> {
        Arc::new(self.ends.iter().map(|end| end * batch).collect())
    }
}
