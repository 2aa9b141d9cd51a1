//! Every kernel against a plain formulation, on the device that `DUALK_TEST_DEVICE` names (`cpu` by default).

use super::Sets;
use super::dropout::Dropped;
use super::kernels::Entropy;
use super::*;
use crate::graph::Graph;
use crate::sparse::Ragged;
use burn::backend::Dispatch;
use burn::nn::{Dropout, DropoutConfig, LinearConfig};
use burn::tensor::activation::{leaky_relu, relu, softmax};
use burn::tensor::{DType, Device, FloatDType, Int, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// The device to test, and the relative difference that its arithmetic may make. What is expected is computed on the
/// CPU, with plain tensors.
fn device() -> (Device, f64) {
    let name = std::env::var("DUALK_TEST_DEVICE").unwrap_or_else(|_| "cpu".into());
    let found = crate::device::open(&name);
    let tolerance = if name == "cpu" { 1e-4 } else { 1e-3 };
    (found.unwrap_or_else(|e| panic!("DUALK_TEST_DEVICE={name}: {e}")).device, tolerance)
}

fn random(rng: &mut ChaCha8Rng, rows: usize, columns: usize) -> Tensor<2> {
    let values: Vec<f32> = (0..rows * columns).map(|_| rng.random_range(-1.5..1.5)).collect();
    Tensor::from_data(TensorData::new(values, [rows, columns]), &Device::flex())
}

/// Lists of random lengths, some of them empty, one of them a hub.
fn lists(rng: &mut ChaCha8Rng, outputs: usize, rows: usize, longest: usize, hub: usize) -> Ragged<u32> {
    let mut list = |n: usize| (0..n).map(|_| rng.random_range(0..rows as u32)).collect::<Vec<_>>();
    let mut all: Vec<Vec<u32>> =
        (0..outputs).map(|i| if i % 5 == 3 { vec![] } else { list(i % (longest + 1)) }).collect();
    if let Some(last) = all.last_mut() {
        *last = list(hub);
    }
    all.into_iter().collect()
}

fn numbers(tensor: Tensor<2>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn close(what: &str, ours: Tensor<2>, expected: Tensor<2>, tolerance: f64) {
    assert_eq!(ours.dims(), expected.dims(), "{what}");
    let (ours, expected) = (numbers(ours), numbers(expected));
    // Inputs are of size 1, so that smaller results are differences of such.
    let largest = expected.iter().fold(1f64, |top, x| top.max(x.abs()));
    for (a, b) in ours.iter().zip(&expected) {
        assert!((a - b).abs() <= tolerance * b.abs().max(0.1 * largest), "{what}: {a} is not {b}");
    }
}

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

/// The members of sets, filled up with row 0: `[sets, longest, d]`.
fn plain_gather(sets: &Sets, table: Tensor<2>) -> Tensor<3> {
    let ([_, d], longest) = (table.dims(), sets.longest());
    let rows = sets.members().rows().flat_map(|m| (0..longest).map(|j| m.get(j).copied().unwrap_or(0) as i32));
    let rows = Tensor::<1, Int>::from_data(
        TensorData::new(rows.collect::<Vec<_>>(), [sets.len() * longest]),
        &table.device().without_autodiff(),
    );
    table.select(0, rows).reshape([sets.len(), longest, d])
}

/// Set attention with padded sets, dropping what the kernel drops.
fn plain_set_attention(scores: Tensor<2>, values: Tensor<2>, sets: &Sets, dropped: Dropped) -> Tensor<2> {
    let padded = PaddedSets::new(sets, &values.device());
    let ([_, channels], dtype) = (scores.dims(), values.dtype());
    let longest = padded.longest();
    let mut factors = vec![0f32; sets.len() * longest * channels];
    for s in 0..sets.len() {
        for (m, position) in sets.members().range(s).enumerate() {
            for c in 0..channels {
                factors[(s * longest + m) * channels + c] = dropped.factor((position * channels + c) as u32);
            }
        }
    }
    let factors = Tensor::<3>::from_data(TensorData::new(factors, [sets.len(), longest, channels]), &values.device());
    let scores = plain_gather(sets, scores) + padded.score_mask().cast(dtype);
    let weights = softmax(scores, 1) * padded.mask().cast(dtype) * factors.cast(dtype);
    (weights * plain_gather(sets, values)).sum_dim(1).squeeze_dim(1)
}

fn graph(rng: &mut ChaCha8Rng, nodes: usize, longest: usize, hub: usize) -> Graph {
    let incoming = lists(rng, nodes, nodes, longest, hub);
    let edges =
        incoming.rows().enumerate().flat_map(|(t, row)| row.iter().map(move |&s| (s, t as u32, 0.1 + (s % 7) as f32)));
    Graph::new(nodes, &edges.collect::<Vec<_>>()).unwrap()
}

/// Output and gradients of the inputs, for a random cotangent.
fn with_gradients<const N: usize>(
    device: &Device,
    inputs: &[Tensor<2>; N],
    cotangent: &Tensor<2>,
    run: impl Fn([Tensor<2>; N]) -> Tensor<2>,
) -> Vec<Tensor<2>> {
    let inputs = inputs.clone().map(|t| Tensor::from_inner(t.to_device(device)).require_grad());
    let output = run(inputs.clone());
    let gradients = (output.clone() * Tensor::from_inner(cotangent.clone().to_device(device))).sum().backward();
    let gradient = |t: &Tensor<2>| t.grad(&gradients).unwrap_or_else(|| t.clone().inner().zeros_like());
    std::iter::once(output.inner()).chain(inputs.iter().map(gradient)).collect()
}

fn agree(what: &str, ours: Vec<Tensor<2>>, plain: Vec<Tensor<2>>, tolerance: f64) {
    for (i, (ours, plain)) in ours.into_iter().zip(plain).enumerate() {
        let part = if i == 0 { "output".into() } else { format!("gradient {i}") };
        close(&format!("{what}, {part}"), ours, plain, tolerance);
    }
}

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

/// Sizes of sets: sets, rows, longest, hub, channels.
const SETS: [(usize, usize, usize, usize, usize); 6] = [
    (1, 1, 0, 1, 3),
    (1, 4, 0, 0, 3),
    (9, 5, 4, 6, 1),
    (50, 30, 12, 7000, 33),
    (64, 400, 40, 90, 64),
    (3, 2, 2, 2, 256),
];

#[test]
fn set_attention_agrees_with_the_plain_formulation() {
    let (device, tolerance) = device();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for (n, rows, longest, hub, d) in SETS {
        let sets = Sets::new(lists(&mut rng, n, rows, longest, hub));
        let shared = [1, d].into_iter().take(if d == 1 { 1 } else { 2 });
        for (channels, p) in shared.flat_map(|c| [(c, 0.0), (c, 0.4f32)]) {
            let inputs = [channels, d].map(|columns| random(&mut rng, rows, columns));
            let cotangent = random(&mut rng, n, d);
            let dropped = Dropped::new(1234, p);
            let ours = with_gradients(&device, &inputs, &cotangent, |[s, v]| {
                let (s, v) = (s.into_dispatch(), v.into_dispatch());
                Tensor::from_dispatch(Dispatch::set_attention(s, v, sets.index(), dropped).0)
            });
            let plain = match sets.longest() {
                0 => vec![cotangent.zeros_like()],
                _ => with_gradients(&Device::flex(), &inputs, &cotangent, |[s, v]| {
                    plain_set_attention(s, v, &sets, dropped)
                }),
            };
            agree(&format!("{n} sets of {rows} rows, {channels} of {d} channels, dropout {p}"), ours, plain, tolerance);
        }
    }
}

#[test]
fn pooling_agrees_with_the_plain_formulation() {
    let (device, tolerance) = device();
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for (n, rows, longest, hub, d) in SETS {
        let sets = Sets::new(lists(&mut rng, n, rows, longest, hub));
        if sets.longest() == 0 {
            continue;
        }
        let inputs = [random(&mut rng, rows, d)];
        let cotangent = random(&mut rng, n, d);
        for pooling in [Pooling::Sum, Pooling::Mean] {
            let ours = with_gradients(&device, &inputs, &cotangent, |[v]| pool(v, &sets, pooling));
            let plain = with_gradients(&Device::flex(), &inputs, &cotangent, |[v]| {
                let padded = PaddedSets::new(&sets, &v.device());
                let sums = (plain_gather(&sets, v) * padded.mask()).sum_dim(1).squeeze_dim::<2>(1);
                match pooling {
                    Pooling::Sum => sums,
                    Pooling::Mean => sums / padded.mask().sum_dim(1).squeeze_dim::<2>(1).clamp_min(1.0),
                }
            });
            agree(&format!("{pooling:?} of {n} sets"), ours, plain, tolerance);
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
        agree("bf16 on both", rounded, run(&narrow, &Device::flex()), spread.max(4e-3));
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

/// Rounding factors to 10 bits of mantissa moves a product by less than 2⁻¹⁰ of its terms, forward and backward. On the CPU it
/// is done by hand; manifests may ask for it on CUDA alone.
#[test]
fn products_of_tf32_are_near() {
    let mut rng = ChaCha8Rng::seed_from_u64(16);
    let [m, k, n] = [30, 500, 20];
    let inputs = [random(&mut rng, m, k), random(&mut rng, k, n)];
    let cotangent = random(&mut rng, m, n);
    let run = |precision, factors: &[Tensor<2>; 2], cotangent: &Tensor<2>| {
        with_gradients(&Device::flex(), factors, cotangent, |[a, b]| multiplying(precision, || matmul(a, b)))
    };
    let (exact, rounded) = (run(Precision::F32, &inputs, &cotangent), run(Precision::Tf32, &inputs, &cotangent));
    // The sums of the sizes of all terms.
    let terms = run(Precision::F32, &inputs.clone().map(Tensor::abs), &cotangent.clone().abs());
    for ((exact, rounded), terms) in exact.into_iter().zip(rounded).zip(terms) {
        let each = numbers(exact).into_iter().zip(numbers(rounded)).zip(numbers(terms));
        let part = each.map(|((a, b), terms)| (a - b).abs() / terms).fold(0.0, f64::max);
        assert!(part > 1e-7 && part < 1.0 / 1024.0, "{part}");
    }
    let after = run(Precision::F32, &inputs, &cotangent);
    let before = run(Precision::F32, &inputs, &cotangent);
    assert_eq!(numbers(after[0].clone()), numbers(before[0].clone()));
}

#[test]
fn repeats_give_the_same_bits() {
    let (device, _) = device();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let graph = graph(&mut rng, 500, 60, 7000);
    let a = Adjacency::with_self_loops(&graph);
    let sets = Sets::new(lists(&mut rng, 300, 500, 40, 7000));
    let mut tensor = |columns| random(&mut rng, 500, columns);
    let inputs = [tensor(2), tensor(2), tensor(64), tensor(64)];
    let cotangent = random(&mut rng, 300, 64);
    let off = DropoutConfig::new(0.0).init();
    let run = || {
        let outputs = with_gradients(&device, &inputs, &cotangent, |[t, s, v, w]| {
            softmax_pool(w, propagate(&a, attention(&a, t, s, v, 0.2)), &sets, &off)
        });
        outputs.into_iter().flat_map(numbers).map(f64::to_bits).collect::<Vec<_>>()
    };
    let first = run();
    for _ in 0..3 {
        assert!(run() == first, "two calls differ");
    }
}

/// Central differences in 64 bits. Devices without them leave this to the comparison with the plain formulation.
#[test]
fn gradients_are_those_of_finite_differences() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let graph = graph(&mut rng, 9, 4, 12);
    let a = Adjacency::with_self_loops(&graph);
    let sets = Sets::new(lists(&mut rng, 6, 9, 5, 14));
    let mut tensor = |rows, columns| random(&mut rng, rows, columns).cast(FloatDType::F64);
    let (two, wide, one) = (tensor(9, 2), tensor(9, 6), tensor(9, 1));
    let pooled = |s: Tensor<2>, v: Tensor<2>| -> Tensor<2> {
        let (s, v) = (s.into_dispatch(), v.into_dispatch());
        Tensor::from_dispatch(Dispatch::set_attention(s, v, sets.index(), Dropped::new(77, 0.3)).0)
    };
    check([two.clone(), two.clone() * 0.7, wide.clone()], tensor(9, 6), |[t, s, v]| attention(&a, t, s, v, 0.2));
    check([wide.clone()], tensor(9, 6), |[v]| propagate(&a, v));
    check([wide.clone() * 0.5, wide.clone()], tensor(6, 6), |[s, v]| pooled(s, v));
    check([one, wide.clone()], tensor(6, 6), |[s, v]| pooled(s, v));
    check([wide], tensor(6, 6), |[v]| pool(v, &sets, Pooling::Mean));
}

fn check<const N: usize>(inputs: [Tensor<2>; N], cotangent: Tensor<2>, run: impl Fn([Tensor<2>; N]) -> Tensor<2>) {
    const STEP: f64 = 1e-5;
    let exact = with_gradients(&Device::flex(), &inputs, &cotangent, &run);
    let value = |inputs: [Tensor<2>; N]| numbers((run(inputs) * cotangent.clone()).sum().unsqueeze())[0];
    for (which, gradient) in exact[1..].iter().enumerate() {
        let [_, columns] = inputs[which].dims();
        for (at, expected) in numbers(gradient.clone()).into_iter().enumerate() {
            let moved = |by: f64| {
                let mut inputs = inputs.clone();
                let mut data = numbers(inputs[which].clone());
                data[at] += by;
                let rows = data.len() / columns;
                let data = TensorData::new(data, [rows, columns]);
                inputs[which] = Tensor::from_data(data, (&inputs[which].device(), DType::F64));
                value(inputs)
            };
            let difference = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            assert!((difference - expected).abs() < 1e-7, "input {which}, number {at}: {expected} is not {difference}");
        }
    }
}

#[test]
fn dropout_drops_the_same_places_forward_and_backward() {
    let (device, tolerance) = device();
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let (inputs, cotangent) = ([random(&mut rng, 70, 300)], random(&mut rng, 70, 300));
    let run = |seed: u32, p: f32| {
        with_gradients(&device, &inputs, &cotangent, |[v]| {
            Tensor::from_dispatch(Dispatch::dropout(v.into_dispatch(), Dropped::new(seed, p)))
        })
    };
    let dropped = Dropped::new(99, 0.3);
    let factors: Vec<f32> = (0..70 * 300).map(|i| dropped.factor(i)).collect();
    let factors = Tensor::<2>::from_data(TensorData::new(factors, [70, 300]), &Device::flex());
    let plain = vec![inputs[0].clone() * factors.clone(), cotangent.clone() * factors];
    agree("dropout", run(99, 0.3), plain, tolerance);
    agree("no dropout", run(99, 0.0), vec![inputs[0].clone(), cotangent.clone()], tolerance);
}

#[test]
fn dropout_follows_the_seed_and_evaluation_has_none() {
    let (device, _) = device();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let values = random(&mut rng, 20, 8).to_device(&device);
    let sets = Sets::new(lists(&mut rng, 30, 20, 6, 9));
    let dropout: Dropout = DropoutConfig::new(0.5).init();
    let on = |seed| {
        let device = device.clone().autodiff();
        crate::device::generator::seed(&device, seed);
        let values: Tensor<2> = Tensor::from_inner(values.clone());
        numbers(softmax_pool(values.clone(), values, &sets, &dropout).inner())
    };
    // Other tests draw from the same generator and may come between.
    assert!((0..9).any(|_| on(1) == on(1)), "the seed decides");
    assert_ne!(on(1), on(2));
    let off = numbers(softmax_pool(values.clone(), values.clone(), &sets, &dropout));
    assert_ne!(on(1), off);
    assert_eq!(off, numbers(softmax_pool(values.clone(), values, &sets, &DropoutConfig::new(0.0).init())));
}

/// Four nodes: a path, a cycle back, a repeated edge, a self loop of weight 3 and node 3 without incoming edges.
fn four() -> Graph {
    Graph::new(4, &[(0, 1, 0.5), (1, 2, 2.0), (2, 0, 1.5), (0, 1, 0.25), (3, 1, 1.0), (2, 2, 3.0)]).unwrap()
}

fn column(values: &[f32], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len(), 1]), device)
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

#[test]
fn matrix_products() {
    let (device, tolerance) = device();
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    // Vectors; sizes that no square divides; sums that are cut, in small squares and in large ones.
    let small = [[3, 4, 5], [1, 7, 9], [9, 7, 1], [6, 1, 8], [1, 1, 1], [65, 130, 67], [130, 70, 5]];
    for [m, k, n] in
        small.into_iter().chain([[20, 1100, 30], [130, 9000, 130], [300, 41, 1], [1, 500, 24], [700, 8, 1]])
    {
        let inputs = [random(&mut rng, m, k), random(&mut rng, k, n)];
        let cotangent = random(&mut rng, m, n);
        let ours = with_gradients(&device, &inputs, &cotangent, |[a, b]| matmul(a, b));
        let plain = with_gradients(&Device::flex(), &inputs, &cotangent, |[a, b]| a.matmul(b));
        agree(&format!("{m} × {k} × {n}"), ours, plain, tolerance);
    }
    for [m, n] in [[1, 1], [3, 5], [900, 33], [70, 8]] {
        let inputs = [random(&mut rng, m, n), random(&mut rng, 1, n)];
        let cotangent = random(&mut rng, m, n);
        let ours = with_gradients(&device, &inputs, &cotangent, |[x, row]| add_row(x, row.squeeze_dim(0)));
        let plain = with_gradients(&Device::flex(), &inputs, &cotangent, |[x, row]| x + row);
        agree(&format!("a row on {m} × {n}"), ours, plain, tolerance);
    }
    for [m, n] in [[1, 1], [7, 300], [300, 400]] {
        let inputs = [random(&mut rng, m, n)];
        let cotangent = random(&mut rng, 1, 1);
        for mean in [false, true] {
            let all = |x| if mean { super::mean::<2>(x) } else { sum(x) };
            let plain = |x: Tensor<2>| if mean { x.mean() } else { x.sum() };
            let ours = with_gradients(&device, &inputs, &cotangent, |[x]| all(x.square()).unsqueeze_dim(0));
            let expected =
                with_gradients(&Device::flex(), &inputs, &cotangent, |[x]| plain(x.square()).unsqueeze_dim(0));
            agree(&format!("all of {m} × {n}"), ours, expected, tolerance);
        }
    }
    let inputs = [random(&mut rng, 9, 6), random(&mut rng, 3, 2)];
    let cotangent = random(&mut rng, 9, 3);
    let of = |[x, a]: [Tensor<2>; 2]| head_products(x, a.reshape([1, 3, 2]));
    let plain = |[x, a]: [Tensor<2>; 2]| (x.reshape([9, 3, 2]) * a.reshape([1, 3, 2])).sum_dim(2).squeeze_dim(2);
    let expected = with_gradients(&Device::flex(), &inputs, &cotangent, plain);
    agree("heads", with_gradients(&device, &inputs, &cotangent, of), expected, tolerance);
    assert_eq!(matmul(Tensor::zeros([2, 0], &device), Tensor::zeros([0, 3], &device)).dims(), [2, 3]);
    let layer = LinearConfig::new(4, 3).init(&device);
    let x = random(&mut rng, 6, 4).to_device(&device);
    let expected = layer.forward(x.clone());
    // TF32 on CUDA, and so nearly equal at most.
    close("linear", linear(&layer, x.reshape([2, 3, 4])).reshape([6, 3]), expected, 1e-2);
}

#[test]
fn segments_agree_with_products_of_each() {
    let (device, tolerance) = device();
    let mut rng = ChaCha8Rng::seed_from_u64(19);
    for ([k, n], ends) in
        [([1, 1], vec![1]), ([3, 5], vec![4, 5]), ([16, 16], vec![1, 1500, 2600]), ([33, 18], vec![7, 9, 20])]
    {
        let m = *ends.last().unwrap();
        let inputs = [random(&mut rng, m, k), random(&mut rng, ends.len() * k, n)];
        let cotangent = random(&mut rng, m, n);
        let ends = Arc::new(ends);
        let ours = with_gradients(&device, &inputs, &cotangent, |[x, matrices]| segment_matmul(x, matrices, &ends));
        let plain = with_gradients(&Device::flex(), &inputs, &cotangent, |[x, matrices]| {
            let starts = std::iter::once(0).chain(ends.iter().copied());
            let of = |(group, (start, &end)): (usize, (usize, &usize))| {
                x.clone().narrow(0, start, end - start).matmul(matrices.clone().narrow(0, group * k, k))
            };
            Tensor::cat(starts.zip(ends.iter()).enumerate().map(of).collect(), 0)
        });
        agree(&format!("{ends:?} rows of {k} × {n}"), ours, plain, tolerance);
    }
}

#[test]
fn rectified_rows_agree_with_the_plain_formulation() {
    let (device, tolerance) = device();
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    for ([m, n], p) in [([1, 1], 0.0), ([3, 5], 0.0), ([300, 33], 0.4f32), ([70, 400], 0.9)] {
        let inputs = [random(&mut rng, m, n), random(&mut rng, 1, n)];
        let (cotangent, dropped) = (random(&mut rng, m, n), Dropped::new(5, p));
        let factors: Vec<f32> = (0..(m * n) as u32).map(|place| dropped.factor(place)).collect();
        let factors = Tensor::<2>::from_data(TensorData::new(factors, [m, n]), &Device::flex());
        let ours = with_gradients(&device, &inputs, &cotangent, |[x, row]| {
            Tensor::from_dispatch(Dispatch::rectify(x.into_dispatch(), row.into_dispatch(), dropped))
        });
        let plain = with_gradients(&Device::flex(), &inputs, &cotangent, |[x, row]| {
            relu(x + row) * Tensor::from_inner(factors.clone())
        });
        agree(&format!("{m} × {n}, dropout {p}"), ours, plain, tolerance);
    }
    let nan = Tensor::<2>::from_data([[f32::NAN, -1.0]], &device).into_dispatch();
    let zeros = Tensor::<2>::zeros([1, 2], &device).into_dispatch();
    let out = numbers(Tensor::from_dispatch(Dispatch::rectify(nan, zeros, Dropped::NOTHING)));
    assert!(out[0].is_nan() && out[1] == 0.0, "{out:?}");
}

#[test]
fn cross_entropy_agrees_with_the_plain_formulation() {
    let (device, tolerance) = device();
    let mut rng = ChaCha8Rng::seed_from_u64(14);
    let entropy = |z: Tensor<2>, y: Tensor<2>, terms| {
        Tensor::<1>::from_dispatch(Dispatch::cross_entropy(z.into_dispatch(), y.into_dispatch(), terms))
            .unsqueeze_dim(0)
    };
    let weighted = Entropy { positive: 1.5, negative: 0.25, epsilon: 1e-8 };
    for ([m, n], terms) in [[1, 1], [3, 5], [32, 7337]].into_iter().flat_map(|s| [(s, Entropy::PLAIN), (s, weighted)]) {
        let logits = [random(&mut rng, m, n) * 8.0];
        let targets = random(&mut rng, m, n).greater_elem(0.7).float();
        let cotangent = random(&mut rng, 1, 1) * (m * n) as f32;
        let ours = with_gradients(&device, &logits, &cotangent, |[z]| {
            entropy(z, Tensor::from_inner(targets.clone().to_device(&device)), terms)
        });
        let plain = with_gradients(&Device::flex(), &logits, &cotangent, |[z]| {
            let y = Tensor::from_inner(targets.clone());
            let loss = match terms.epsilon {
                0.0 => binary_cross_entropy(z, y),
                _ => weighted_cross_entropy(z, y, [1.5, 0.25], 1e-8),
            };
            loss.unsqueeze_dim(0)
        });
        agree(&format!("{m} × {n}, {terms:?}"), ours, plain, tolerance);
    }
    // −ln(1 − σ(100)) and −ln(1 − σ(−100)), each off by nothing that 32 bits hold; with ε, −ln(10⁻⁸) is the most.
    let [z, y] = [[[100.0f32, -100.0]], [[0.0, 0.0]]].map(|numbers| Tensor::<2>::from_data(numbers, &device));
    assert_eq!(numbers(entropy(z.clone(), y.clone(), Entropy::PLAIN)), [50.0]);
    let bounded = numbers(entropy(z, y, weighted))[0];
    assert!((bounded - 0.125 * 8.0 * std::f64::consts::LN_10).abs() < 1e-4, "{bounded}");
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

#[test]
fn nothing_in_nothing_out() {
    let (device, _) = device();
    let off = DropoutConfig::new(0.0).init();
    let empty = Tensor::<2>::zeros([0, 2], &device);
    let none = Sets::new(vec![vec![], vec![]].into_iter().collect());
    assert_eq!(numbers(softmax_pool(empty.clone(), empty.clone(), &none, &off)), [0.0; 4]);
    assert_eq!(numbers(pool(empty.clone(), &none, Pooling::Mean)), [0.0; 4]);
    assert_eq!(softmax_pool(empty.clone(), empty, &Sets::new(Ragged::new()), &off).dims(), [0, 2]);
    let _: Tensor<1, Int> = Tensor::zeros([1], &device);
}

#[test]
#[should_panic(expected = "row 3 of a table of 2 rows")]
fn members_beyond_the_table_are_refused() {
    let sets = Sets::new(vec![vec![2]].into_iter().collect());
    pool(Tensor::<2>::zeros([2, 2], &Device::flex()), &sets, Pooling::Sum);
}

#[test]
fn padded_sets_hold_members_and_zeros() {
    let (device, _) = device();
    let sets = Sets::new(vec![vec![2, 0], vec![], vec![1, 1, 2]].into_iter().collect());
    let table = column(&[1.0, 10.0, 100.0], &device);
    let padded = PaddedSets::new(&sets, &device);
    let gathered: Vec<f32> = padded.gather(table).into_data().iter::<f32>().collect();
    assert_eq!(gathered, [100.0, 1.0, 0.0, 0.0, 0.0, 0.0, 10.0, 10.0, 100.0]);
}
