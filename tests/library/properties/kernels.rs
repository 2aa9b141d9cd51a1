//! Kernels over edges and over sets.

use crate::support::{all_near, config, edges, numbers, tensor, values};
use dualk_sdk::burn::nn::DropoutConfig;
use dualk_sdk::graph::Graph;
use dualk_sdk::ops::{Adjacency, Pooling, Sets, attention, max_over_edges, pool, propagate, softmax_pool};
use proptest::collection::vec;
use proptest::prelude::{prop_assert, proptest};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn kernels_over_edges_are_dense_sums(
        ((n, edges), d, heads) in (edges(), 1..4usize, 1..3usize),
        values_of in numbers(8 * 3 * 2), scores in numbers(2 * 8 * 2), slope in 0.0f64..1.0,
    ) {
        let graph = Graph::new(n, &edges).unwrap();
        let adjacency = Adjacency::of(&graph);
        let width = heads * d;
        let x = |node: usize, c: usize| f64::from(values_of[node * width + c]);
        let table = || tensor(&values_of[..n * width], width);
        let (mut sums, mut largest, mut attended) = (vec![0.0; n * width], vec![0.0; n * width], vec![0.0; n * width]);
        let (target, source) = scores[..2 * n * heads].split_at(n * heads);
        for t in 0..n {
            let into: Vec<&(u32, u32, f32)> = edges.iter().filter(|e| e.1 as usize == t).collect();
            for c in 0..width {
                let of = into.iter().map(|e| x(e.0 as usize, c));
                sums[t * width + c] = into.iter().map(|e| f64::from(e.2) * x(e.0 as usize, c)).sum();
                largest[t * width + c] = of.fold(None, |top: Option<f64>, v| Some(top.map_or(v, |top| top.max(v)))).unwrap_or(0.0);
                let head = c / d;
                let score = |e: &&(u32, u32, f32)| {
                    let s = f64::from(target[t * heads + head]) + f64::from(source[e.0 as usize * heads + head]);
                    (if s > 0.0 { s } else { slope * s }).exp()
                };
                let total: f64 = into.iter().map(score).sum();
                attended[t * width + c] = into.iter().map(|e| score(e) / total * x(e.0 as usize, c)).sum();
            }
        }
        prop_assert!(all_near(&values(propagate(&adjacency, table())), &sums, 1e-5));
        prop_assert!(all_near(&values(max_over_edges(&adjacency, table())), &largest, 1e-6));
        let ours = attention(&adjacency, tensor(target, heads), tensor(source, heads), table(), slope);
        prop_assert!(all_near(&values(ours), &attended, 1e-4));
    }

    #[test]
    fn kernels_over_sets_are_dense_sums(
        sets in vec(vec(0..6u32, 0..8), 1..6), d in 1..5usize, table in numbers(6 * 4), scores in numbers(6 * 4),
    ) {
        let of = Sets::new(sets.iter().cloned().collect());
        let x = |row: u32, c: usize| f64::from(table[row as usize * d + c]);
        let (mut sums, mut means, mut attended) = (Vec::new(), Vec::new(), Vec::new());
        for set in &sets {
            for c in 0..d {
                let sum: f64 = set.iter().map(|&r| x(r, c)).sum();
                sums.push(sum);
                means.push(sum / set.len().max(1) as f64);
                let weight = |r: u32| f64::from(scores[r as usize * d + c]).exp();
                let total: f64 = set.iter().map(|&r| weight(r)).sum();
                attended.push(set.iter().map(|&r| weight(r) / total * x(r, c)).sum());
            }
        }
        let table = || tensor(&table[..6 * d], d);
        prop_assert!(all_near(&values(pool(table(), &of, Pooling::Sum)), &sums, 1e-5));
        prop_assert!(all_near(&values(pool(table(), &of, Pooling::Mean)), &means, 1e-5));
        let ours = softmax_pool(tensor(&scores[..6 * d], d), table(), &of, &DropoutConfig::new(0.0).init());
        prop_assert!(all_near(&values(ours), &attended, 1e-4));
    }
}
