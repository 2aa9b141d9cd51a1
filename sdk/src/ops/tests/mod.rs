//! Every kernel against a plain formulation, on the device that `DUALK_TEST_DEVICE` names (`cpu` by default).

mod activations;
mod dropout;
mod edges;
mod large;
mod losses;
mod products;
mod relational;
mod row_attention;
mod sets;
mod together;

use crate::graph::Graph;
use crate::sparse::Ragged;
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// The device to test, and the relative difference that its arithmetic may make. What is expected is computed on the
/// CPU, with plain tensors.
fn device() -> (Device, f64) {
    let tested = crate::device::tested().unwrap();
    let tolerance = if tested.name == "cpu" { 1e-4 } else { 1e-3 };
    (tested.device, tolerance)
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

fn column(values: &[f32], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len(), 1]), device)
}

/// Compares gradients with central differences in 64 bits.
fn differentiate<const N: usize>(
    inputs: [Tensor<2>; N],
    cotangent: Tensor<2>,
    run: impl Fn([Tensor<2>; N]) -> Tensor<2>,
) {
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
