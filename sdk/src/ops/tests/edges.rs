//! Attention, weighted sums and maxima over the incoming edges of graphs.

use super::{agree, close, column, device, graph, numbers, random, with_gradients};
use crate::graph::Graph;
use crate::ops::{Adjacency, Precision, attention, max_over_edges, propagate};
use burn::tensor::activation::{leaky_relu, softmax};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Sizes of graphs: nodes, longest list, hub, heads, channels a head.
const GRAPHS: [(usize, usize, usize, usize, usize); 8] = [
    (1, 0, 3, 1, 4),
    (2, 1, 0, 2, 1),
    (7, 3, 9, 1, 5),
    (60, 20, 700, 1, 32),
    (40, 7, 50, 3, 17),
    (33, 40, 1000, 2, 64),
    (2, 1, 1300, 2, 6),
    (2, 1, 1400, 1, 8),
];

/// Attention as the equation reads, by dense matrices.
fn plain_attention(a: &Adjacency, target: Tensor<2>, source: Tensor<2>, values: Tensor<2>, slope: f64) -> Tensor<2> {
    let ([n, heads], [_, width]) = (target.dims(), values.dims());
    let device = values.device();
    let mut log_counts = vec![-1e30f32; n * n];
    for i in 0..n {
        let mut counts = vec![0f32; n];
        a.incoming(i).0.iter().for_each(|&j| counts[j as usize] += 1.0);
        let known = counts.iter().enumerate().filter(|(_, count)| **count > 0.0);
        known.for_each(|(j, count)| log_counts[i * n + j] = count.ln());
    }
    let reached: Vec<f32> = (0..n).map(|i| if a.incoming(i).0.is_empty() { 0.0 } else { 1.0 }).collect();
    let edges = Tensor::<3>::from_data(TensorData::new(log_counts, [1, n, n]), &device).cast(values.dtype());
    let reached = Tensor::<2>::from_data(TensorData::new(reached, [n, 1]), &device).cast(values.dtype());
    let target = target.transpose().unsqueeze_dim::<3>(2); // [h, n, 1]
    let source = source.transpose().unsqueeze_dim::<3>(1); // [h, 1, n]
    let scores = leaky_relu(target + source, slope) + edges; // [h, n, n]
    let values = values.reshape([n, heads, width / heads]).swap_dims(0, 1); // [h, n, d]
    softmax(scores, 2).matmul(values).swap_dims(0, 1).reshape([n, width]) * reached
}

#[test]
fn attention_agrees_with_the_plain_formulation() {
    let (device, tolerance) = device();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for (nodes, longest, hub, heads, d) in GRAPHS {
        let tolerance = tolerance * (hub as f64 / 500.0).max(1.0); // both round every term
        let graph = graph(&mut rng, nodes, longest, hub);
        for a in [Adjacency::of(&graph), Adjacency::with_self_loops(&graph)] {
            let mut tensor = |columns| random(&mut rng, nodes, columns);
            let inputs = [tensor(heads), tensor(heads), tensor(heads * d)];
            let cotangent = tensor(heads * d);
            let ours = with_gradients(&device, &inputs, &cotangent, |[t, s, v]| attention(&a, t, s, v, 0.2));
            let plain =
                with_gradients(&Device::flex(), &inputs, &cotangent, |[t, s, v]| plain_attention(&a, t, s, v, 0.2));
            agree(&format!("{nodes} nodes, {heads} heads"), ours, plain, tolerance);
        }
    }
}

#[test]
fn propagation_agrees_with_the_plain_formulation() {
    let (device, tolerance) = device();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for (nodes, longest, hub, _, d) in GRAPHS {
        let tolerance = tolerance * (hub as f64 / 500.0).max(1.0); // both round every term
        let graph = graph(&mut rng, nodes, longest, hub);
        for a in [Adjacency::of(&graph), Adjacency::normalized(&graph, true)] {
            let mut matrix = vec![0f32; nodes * nodes];
            for i in 0..nodes {
                let (sources, weights) = a.incoming(i);
                sources.iter().zip(weights).for_each(|(&j, w)| matrix[i * nodes + j as usize] += w);
            }
            let matrix = Tensor::<2>::from_data(TensorData::new(matrix, [nodes, nodes]), &Device::flex().autodiff());
            let inputs = [random(&mut rng, nodes, d)];
            let cotangent = random(&mut rng, nodes, d);
            let ours = with_gradients(&device, &inputs, &cotangent, |[v]| propagate(&a, v));
            let plain = with_gradients(&Device::flex(), &inputs, &cotangent, |[v]| matrix.clone().matmul(v));
            agree(&format!("{nodes} nodes"), ours, plain, tolerance);
        }
    }
}

/// Rounding rows to 8 bits, one of them before the mantissa, moves a sum of neighbours by at most 2⁻⁸ of its terms, and gives
/// the same on every device, where rows can be read by fours and where they cannot.
#[test]
fn tables_of_bf16_are_near_and_the_same_everywhere() {
    let (device, tolerance) = device();
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for (nodes, hub, heads, width) in [(60, 700, 2, 64), (300, 3000, 1, 32), (40, 90, 2, 10), (9, 600, 1, 5)] {
        let wide = graph(&mut rng, nodes, 20, hub);
        let narrow = wide.clone().with_precision(Precision::Bf16);
        let inputs = [heads, heads, width].map(|columns| random(&mut rng, nodes, columns));
        let cotangent = random(&mut rng, nodes, width);
        let run = |graph: &Graph, device: &Device| {
            let a = Adjacency::with_self_loops(graph);
            with_gradients(device, &inputs, &cotangent, |[t, s, v]| propagate(&a, attention(&a, t, s, v, 0.2)))
        };
        let (exact, rounded) = (run(&wide, &Device::flex()), run(&narrow, &device));
        assert_ne!(numbers(exact[0].clone()), numbers(rounded[0].clone()));
        agree("bf16", rounded.clone(), exact, 0.05);
        let spread = tolerance * (hub as f64 / 500.0).max(1.0); // both round every term
        // A gradient between two numbers of 8 bits may go to either: 2⁻⁸ of it in each of the two passes.
        agree("bf16 on both", rounded, run(&narrow, &Device::flex()), spread.max(8e-3));
    }
    // One neighbour of weight 1: the row itself, rounded to the nearest, ties to even.
    let a = Adjacency::of(&Graph::new(2, &[(0, 1, 1.0)]).unwrap().with_precision(Precision::Bf16));
    let row = [1.0, 1.003_906_2, 1.011_718_8, -3.3, 1e-20, f32::NAN, 65_504.0, 0.1];
    let table = Tensor::<2>::from_data([row, [0.0; 8]], &device);
    let ours: Vec<f32> = propagate(&a, table).slice([1..2, 0..8]).into_data().iter().collect();
    let expected = [1.0, 1.0, 1.015_625, -3.296_875, 1.000_557_7e-20, f32::NAN, 65_536.0, 0.100_097_656];
    if device != Device::flex() {
        // The CPU keeps 32 bits where few rows are read.
        for (ours, expected) in ours.iter().zip(expected) {
            assert!((ours - expected).abs() <= 1e-6 * expected.abs() || expected.is_nan() && ours.is_nan(), "{ours:?}");
        }
    }
}

/// Four nodes: a path, a cycle back, a repeated edge, a self loop of weight 3 and node 3 without incoming edges.
fn four() -> Graph {
    Graph::new(4, &[(0, 1, 0.5), (1, 2, 2.0), (2, 0, 1.5), (0, 1, 0.25), (3, 1, 1.0), (2, 2, 3.0)]).unwrap()
}

#[test]
fn propagation_adds_repeated_edges() {
    let (device, _) = device();
    let values = column(&[1.0, 10.0, 100.0, 1000.0], &device);
    let graph = four();
    let expected = |values: &[f32]| column(values, &device);
    close(
        "all edges",
        propagate(&Adjacency::of(&graph), values.clone()),
        expected(&[150.0, 1000.75, 320.0, 0.0]),
        1e-6,
    );
    let a = Adjacency::without_self_loops(&graph);
    close("no self loops", propagate(&a, values), expected(&[150.0, 1000.75, 20.0, 0.0]), 1e-6);
}

#[test]
fn gcn_normalisation_keeps_existing_self_loops() {
    let (device, _) = device();
    // PyG: add_remaining_self_loops gives node 2 its own 3.0 and the others 1.0; in-degrees are then
    // 0: 1.5 + 1, 1: 0.5 + 0.25 + 1 + 1, 2: 2 + 3, 3: 1.
    let (d0, d1, d2, d3) = (2.5f32, 2.75f32, 5.0f32, 1.0f32);
    let expected = [
        1.0 / d0 + 1.5 / (d0 * d2).sqrt(),
        1.0 / d1 + 0.75 / (d0 * d1).sqrt() + 1.0 / (d1 * d3).sqrt(),
        3.0 / d2 + 2.0 / (d1 * d2).sqrt(),
        1.0 / d3,
    ];
    let ones = column(&[1.0; 4], &device);
    let ours = propagate(&Adjacency::normalized(&four(), true), ones.clone());
    close("weights", ours, column(&expected, &device), 1e-5);
    // Without weights the in-degrees are 0: 2, 1: 4, 2: 2, 3: 1.
    let expected = [0.5 + 0.5, 0.25 + 2.0 / 8f32.sqrt() + 0.5, 0.5 + 1.0 / 8f32.sqrt(), 1.0];
    close("counts", propagate(&Adjacency::normalized(&four(), false), ones), column(&expected, &device), 1e-5);
}

/// Lists and rows that are longer than a piece, and equal largest numbers.
#[test]
fn maxima_over_hubs_agree_with_the_plain_formulation() {
    let (device, _) = device();
    let mut rng = ChaCha8Rng::seed_from_u64(15);
    for (nodes, longest, hub, d) in [(3, 2, 1300, 5), (700, 9, 5000, 8), (2, 1, 1400, 33)] {
        // One node has all the others as neighbours, and is a neighbour of all.
        let mut edges: Vec<(u32, u32, f32)> = graph(&mut rng, nodes, longest, hub).iter().collect();
        edges.extend((0..nodes as u32).flat_map(|i| [(0, i, 1.0), (i, 0, 1.0)]));
        edges.extend((0..600).map(|_| (0, 1, 1.0)));
        let a = Adjacency::of(&Graph::new(nodes, &edges).unwrap());
        // Few different numbers, so that many are equal.
        let values: Vec<f32> = (0..nodes * d).map(|_| rng.random_range(-3i32..3) as f32).collect();
        let cotangent = random(&mut rng, nodes, d);
        let weights = numbers(cotangent.clone());
        let (mut output, mut gradient) = (vec![0.0; nodes * d], vec![0.0; nodes * d]);
        for (i, channel) in (0..nodes).flat_map(|i| (0..d).map(move |c| (i, c))) {
            let sources = || a.incoming(i).0.iter().map(|&j| j as usize * d + channel);
            let Some(top) = sources().map(|at| values[at]).reduce(f32::max) else { continue };
            output[i * d + channel] = f64::from(top);
            let first = sources().find(|&at| values[at] == top).unwrap();
            gradient[first] += weights[i * d + channel];
        }
        let inputs = [Tensor::from_data(TensorData::new(values, [nodes, d]), &Device::flex())];
        let run = || with_gradients(&device, &inputs, &cotangent, |[v]| max_over_edges(&a, v));
        let ours = run();
        assert_eq!(numbers(ours[0].clone()), output);
        for (a, b) in numbers(ours[1].clone()).iter().zip(&gradient) {
            assert!((a - b).abs() < 1e-3 * b.abs().max(1.0), "{a} is not {b}");
        }
        assert!(numbers(run()[1].clone()) == numbers(ours[1].clone()), "two calls differ");
    }
}
