//! The global disease graph: which codes go with a code.

use dualk_sdk::prelude::*;
use std::sync::Arc;

/// The matrix A of the paper: for each code those that it is seen with, and how much of its company each is.
pub struct Companions {
    rows: Ragged<(u32, f32)>,
}

impl Companions {
    /// Those of the disease graph that are at least the part `threshold` of a code's company, their weights made to add up to 1.
    /// Made once and kept with the graph.
    pub fn of(graph: &Graph, threshold: f64) -> Arc<Self> {
        #[derive(PartialEq, Eq, Hash)]
        struct Threshold(u32);
        // In 32 bits, as weights are: a part that equals the threshold is kept.
        let threshold = threshold as f32;
        graph.derived(Threshold(threshold.to_bits()), |graph| Self::new(graph, threshold))
    }

    fn new(graph: &Graph, threshold: f32) -> Self {
        let mut rows = vec![Vec::new(); graph.nodes()];
        for (code, companion, weight) in graph.iter().filter(|&(code, companion, _)| code != companion) {
            if weight > 0.0 && weight >= threshold {
                rows[code as usize].push((companion, weight));
            }
        }
        for row in &mut rows {
            let total: f32 = row.iter().map(|(_, weight)| weight).sum();
            row.iter_mut().for_each(|(_, weight)| *weight /= total);
        }
        Self { rows: rows.into_iter().collect() }
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.rows.len()
    }

    /// What goes with `code`, with weights, ascending.
    pub fn row(&self, code: u32) -> &[(u32, f32)] {
        self.rows.row(code as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_company_is_dropped_and_the_rest_adds_up_to_one() {
        // Code 1 was seen 5 times with 2, 4 times with 3 and once with 4; the others with 1 alone.
        let edges =
            [(1, 1, 1.0), (1, 2, 0.5), (1, 3, 0.4), (1, 4, 0.1), (2, 1, 1.0), (2, 2, 1.0), (3, 1, 1.0), (4, 1, 1.0)];
        let graph = Graph::new(6, &edges).unwrap();
        let companions = Companions::of(&graph, 0.2);
        let row = companions.row(1);
        assert_eq!(row.iter().map(|entry| entry.0).collect::<Vec<_>>(), [2, 3]);
        assert!((row[0].1 - 5.0 / 9.0).abs() < 1e-6 && (row[1].1 - 4.0 / 9.0).abs() < 1e-6, "{row:?}");
        assert_eq!(
            (companions.row(2), companions.row(4), companions.row(5)),
            (&[(1, 1.0)][..], &[(1, 1.0)][..], &[][..])
        );
        // A part as large as the threshold is kept.
        assert_eq!(Companions::of(&graph, 0.1).row(1).len(), 3);
        assert_eq!(Companions::of(&graph, 0.1001).row(1).len(), 2);
    }
}
