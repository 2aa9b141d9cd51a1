//! Attention by rows of both ends: the kernels of the CPU against tables of edges × width, and against finite differences.
//! Elsewhere it is tables against tables.

use super::{agree, device, differentiate, graph, numbers, random, with_gradients};
use crate::graph::Graph;
use crate::ops::edges::{dot_by_tables, dynamic_by_tables};
use crate::ops::{Adjacency, dot_attention, dynamic_attention};
use burn::tensor::{Device, FloatDType, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Sizes of graphs: nodes, longest list, hub, heads, channels a head. Tiles have 16 or 64 channels.
const SIZES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 0, 3, 1, 4),
    (7, 3, 9, 4, 5),
    (60, 20, 700, 4, 33),
    (40, 7, 50, 1, 17),
    (33, 40, 1000, 1, 130),
    (12, 4, 9000, 4, 16),
    (2, 1, 1400, 1, 1),
];

/// Edges whose weights are multiples of ¼, as they are and with loops of weight 1.
fn adjacencies(rng: &mut ChaCha8Rng, nodes: usize, longest: usize, hub: usize) -> [Arc<Adjacency>; 2] {
    let quarters = |(s, t, _): (u32, u32, f32)| (s, t, ((s + 2 * t) % 7) as f32 * 0.25);
    let edges: Vec<_> = graph(rng, nodes, longest, hub).iter().map(quarters).collect();
    let graph = Graph::new(nodes, &edges).unwrap();
    [Adjacency::of(&graph), Adjacency::with_self_loops(&graph)]
}

/// Numbers that are 1/1024 above multiples of 1/256. A sum of two of them and of a multiple of 1/256 is exact and never 0, where
/// LeakyReLU has two slopes.
fn on_a_grid(tensor: Tensor<2>) -> Tensor<2> {
    (tensor * 256.0).round() / 256.0 + 1.0 / 1024.0
}

#[test]
fn dot_attention_agrees_with_tables() {
    let (device, tolerance) = device();
    let mut rng = ChaCha8Rng::seed_from_u64(21);
    for (nodes, longest, hub, heads, d) in SIZES {
        let tolerance = tolerance * (hub as f64 / 500.0).max(1.0); // both round every term
        for a in adjacencies(&mut rng, nodes, longest, hub) {
            let [query, key, values, cotangent] = [(); 4].map(|()| random(&mut rng, nodes, heads * d));
            let inputs = [query, key, values, random(&mut rng, a.edges(), heads)];
            let what = format!("{nodes} nodes, {heads} heads of {d}");
            let ours = with_gradients(&device, &inputs, &cotangent, |[q, k, v, bias]| {
                dot_attention(&a, q, k, v, Some(bias), heads)
            });
            let tables = with_gradients(&Device::flex(), &inputs, &cotangent, |[q, k, v, bias]| {
                dot_by_tables(&a, q, k, v, Some(bias), heads)
            });
            agree(&format!("{what}, bias"), ours, tables, tolerance);
            let [query, key, values, _] = inputs;
            let inputs = [query, key, values];
            let ours =
                with_gradients(&device, &inputs, &cotangent, |[q, k, v]| dot_attention(&a, q, k, v, None, heads));
            let tables = with_gradients(&Device::flex(), &inputs, &cotangent, |[q, k, v]| {
                dot_by_tables(&a, q, k, v, None, heads)
            });
            agree(&what, ours, tables, tolerance);
        }
    }
}

#[test]
fn dynamic_attention_agrees_with_tables() {
    let (device, tolerance) = device();
    let mut rng = ChaCha8Rng::seed_from_u64(22);
    for (nodes, longest, hub, heads, d) in SIZES {
        let tolerance = tolerance * (hub as f64 / 500.0).max(1.0); // both round every term
        for a in adjacencies(&mut rng, nodes, longest, hub) {
            let width = heads * d;
            let [target, source] = [(); 2].map(|()| on_a_grid(random(&mut rng, nodes, width)));
            // A quarter of it is a multiple of 1/256.
            let edge = (random(&mut rng, 1, width) * 64.0).round() / 64.0;
            let (vector, cotangent) = (random(&mut rng, 1, width), random(&mut rng, nodes, width));
            let inputs = [target, source, vector, edge];
            let what = format!("{nodes} nodes, {heads} heads of {d}");
            let three = |vector: Tensor<2>| vector.reshape([1, heads, d]);
            let ours = with_gradients(&device, &inputs, &cotangent, |[t, s, vector, edge]| {
                dynamic_attention(&a, t, s, Some(edge), three(vector), 0.2)
            });
            let tables = with_gradients(&Device::flex(), &inputs, &cotangent, |[t, s, vector, edge]| {
                dynamic_by_tables(&a, t, s, Some(edge), three(vector), 0.2)
            });
            agree(&format!("{what}, weights"), ours, tables, tolerance);
            let [target, source, vector, _] = inputs;
            let inputs = [target, source, vector];
            let ours = with_gradients(&device, &inputs, &cotangent, |[t, s, vector]| {
                dynamic_attention(&a, t, s, None, three(vector), 0.2)
            });
            let tables = with_gradients(&Device::flex(), &inputs, &cotangent, |[t, s, vector]| {
                dynamic_by_tables(&a, t, s, None, three(vector), 0.2)
            });
            agree(&what, ours, tables, tolerance);
        }
    }
}

/// In 64 bits, and so on the CPU.
#[test]
fn gradients_by_rows_are_those_of_finite_differences() {
    let mut rng = ChaCha8Rng::seed_from_u64(23);
    let graph = graph(&mut rng, 9, 4, 12);
    for a in [Adjacency::of(&graph), Adjacency::with_mean_self_loops(&graph)] {
        let mut tensor = |rows, columns| random(&mut rng, rows, columns).cast(FloatDType::F64);
        let rows = [(); 3].map(|()| tensor(9, 6));
        let (cotangent, bias, vector, edge) = (tensor(9, 6), tensor(a.edges(), 2), tensor(1, 6), tensor(1, 6));
        let [q, k, v] = rows.clone();
        differentiate([q, k, v, bias], cotangent.clone(), |[q, k, v, bias]| dot_attention(&a, q, k, v, Some(bias), 2));
        differentiate(rows.clone(), cotangent.clone(), |[q, k, v]| dot_attention(&a, q, k, v, None, 2));
        let [target, source, _] = rows;
        let three = |vector: Tensor<2>| vector.reshape([1, 2, 3]);
        differentiate(
            [target.clone(), source.clone(), vector.clone(), edge],
            cotangent.clone(),
            |[t, s, vector, edge]| dynamic_attention(&a, t, s, Some(edge), three(vector), 0.2),
        );
        differentiate([target, source, vector], cotangent, |[t, s, vector]| {
            dynamic_attention(&a, t, s, None, three(vector), 0.2)
        });
    }
}

#[test]
fn repeats_by_rows_give_the_same_bits() {
    let (device, _) = device();
    let mut rng = ChaCha8Rng::seed_from_u64(24);
    let a = Adjacency::with_mean_self_loops(&graph(&mut rng, 500, 60, 7000));
    let [t, s, v, cotangent] = [(); 4].map(|()| random(&mut rng, 500, 66));
    let inputs = [t, s, v, random(&mut rng, 1, 66), random(&mut rng, 1, 66)];
    let run = || {
        let outputs = with_gradients(&device, &inputs, &cotangent, |[t, s, v, vector, edge]| {
            let mixed = dynamic_attention(&a, t.clone(), s, Some(edge), vector.reshape([1, 2, 33]), 0.2);
            dot_attention(&a, t, mixed, v, None, 2)
        });
        outputs.into_iter().flat_map(numbers).map(f64::to_bits).collect::<Vec<_>>()
    };
    let first = run();
    for _ in 0..3 {
        assert!(run() == first, "two calls differ");
    }
}

#[test]
#[should_panic(expected = "attention of 3 heads over 2 nodes")]
fn heads_that_do_not_divide_the_width_are_refused() {
    let a = Adjacency::of(&Graph::new(2, &[(0, 1, 1.0)]).unwrap());
    let rows = || Tensor::<2>::zeros([2, 4], &Device::flex());
    dot_attention(&a, rows(), rows(), rows(), None, 3);
}
