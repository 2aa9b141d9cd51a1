//! The disease graph: how often codes occur in the same admission.

use super::Graph;
use crate::Result;
use crate::sparse::Ragged;
use rayon::prelude::*;

/// The graph over the given admissions (rows of `codes`). The weight of the edge a → b is the number of pairs of a and b, divided
/// by the total of a.
///
/// Every pair of positions of an admission counts once in each direction, repeats included; a's total grows by the
/// number of other positions in each admission that holds a; a code that is ever beside another one has an edge of weight
/// 1 to itself. Edges are ordered by source, then target. The time is linear in the number of pairs, and sources
/// are counted in parallel.
///
/// # Errors
/// When a code is not below `nodes`.
pub fn cooccurrence(nodes: usize, codes: &Ragged<u32>, admissions: impl Iterator<Item = usize>) -> Result<Graph> {
    let admissions: Vec<usize> = admissions.filter(|&row| codes.row(row).len() > 1).collect();
    if let Some(code) = admissions.iter().flat_map(|&row| codes.row(row)).find(|&&c| c as usize >= nodes) {
        return Err(crate::Error::program(format!("code {code} leaves the graph of {nodes} nodes")));
    }
    let holders = holders(nodes, codes, &admissions);
    let scratch = || (vec![0u64; nodes], Vec::new());
    let edges: Vec<Vec<Edge>> = (0..nodes as u32)
        .into_par_iter()
        .map_init(scratch, |(counts, met), source| edges_of(source, holders.row(source as usize), codes, counts, met))
        .collect();
    Graph::new(nodes, &edges.concat())
}

/// Source, target, weight.
type Edge = (u32, u32, f32);

/// The edges of `source`, which the admissions `rows` hold. `counts` is zero and `met` empty before and after.
fn edges_of(source: u32, rows: &[usize], codes: &Ragged<u32>, counts: &mut [u64], met: &mut Vec<u32>) -> Vec<Edge> {
    for &row in rows {
        for &target in codes.row(row).iter().filter(|&&c| c != source) {
            if counts[target as usize] == 0 {
                met.push(target);
            }
            counts[target as usize] += 1;
        }
    }
    let mut distinct = rows.to_vec();
    distinct.dedup();
    let total: usize = distinct.iter().map(|&row| codes.row(row).len() - 1).sum();
    if total > 0 {
        met.push(source);
    }
    met.sort_unstable();
    let edge = |target| {
        let count = std::mem::take(&mut counts[target as usize]);
        let weight = if target == source { 1.0 } else { (count as f64 / total as f64) as f32 };
        (source, target, weight)
    };
    met.drain(..).map(edge).collect()
}

/// For each code the admissions that hold it, ascending by position in the list, once per occurrence.
fn holders(nodes: usize, codes: &Ragged<u32>, admissions: &[usize]) -> Ragged<usize> {
    let mut offsets = vec![0usize; nodes + 1];
    let occurrences = || admissions.iter().flat_map(|&row| codes.row(row).iter().map(move |&c| (c as usize, row)));
    occurrences().for_each(|(c, _)| offsets[c + 1] += 1);
    (0..nodes).for_each(|c| offsets[c + 1] += offsets[c]);
    let mut next = offsets.clone();
    let mut rows = vec![0; offsets[nodes]];
    for (c, row) in occurrences() {
        rows[next[c]] = row;
        next[c] += 1;
    }
    Ragged::from_parts(offsets, rows).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_by_hand() {
        // Admission 0: 1 2 3; admission 1: 1 2 2; admission 2: 4 alone; admission 3 is left out.
        let codes = [vec![1, 2, 3], vec![1, 2, 2], vec![4], vec![1, 4]].into_iter().collect();
        let graph = cooccurrence(5, &codes, 0..3).unwrap();
        let mut edges: Vec<_> = graph.iter().collect();
        edges.sort_by_key(|e| (e.0, e.1));
        let expected = [
            (1, 1, 1.0),
            (1, 2, 3.0 / 4.0),
            (1, 3, 1.0 / 4.0),
            (2, 1, 3.0 / 4.0),
            (2, 2, 1.0),
            (2, 3, 1.0 / 4.0),
            (3, 1, 1.0 / 2.0),
            (3, 2, 1.0 / 2.0),
            (3, 3, 1.0),
        ];
        assert_eq!(edges, expected);
        assert_eq!(graph.nodes(), 5);
    }
}
