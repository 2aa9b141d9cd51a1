//! Layers of R-GCN.

use super::{agree, device, numbers, random, with_gradients};
use crate::ops::kernels::composed::{composed, composed_backward};
use crate::ops::{Csr, Relations, relational_convolution};
use burn::backend::Dispatch;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Sizes: nodes, relations, batch, and numbers of a node before and after.
const SIZES: [[usize; 5]; 9] = [
    [1, 1, 1, 1, 1],
    [7, 2, 3, 3, 3],
    [30, 4, 5, 16, 16],
    [12, 3, 64, 16, 20],
    [9, 3, 3, 20, 16],
    [20, 5, 1, 20, 20],
    [20, 5, 2, 33, 1],
    [40, 3, 64, 16, 16],
    [13, 2, 5, 1, 20],
];

/// A row: its relation, the node that it leads to, and those that it comes from, with their weights.
type Row = (usize, u32, Vec<(u32, f32)>);

/// Rows of up to three nodes, repeats among them. A fourth of the nodes has none.
fn rows(rng: &mut ChaCha8Rng, nodes: usize, relations: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    for relation in 0..relations {
        for node in (0..nodes).filter(|node| node % 4 != 3 && (node + relation) % 3 != 1) {
            let count = rng.random_range(0..4usize);
            let source = |_| (rng.random_range(0..nodes as u32), rng.random_range(1i32..4) as f32 * 0.5);
            rows.push((relation, node as u32, (0..count).map(source).collect()));
        }
    }
    rows
}

pub(super) fn relations(nodes: usize, rows: &[Row]) -> Arc<Relations> {
    let (mut offsets, mut members, mut weights) = (vec![0u32], Vec::new(), Vec::new());
    for (_, _, sources) in rows {
        members.extend(sources.iter().map(|source| source.0));
        weights.extend(sources.iter().map(|source| source.1));
        offsets.push(members.len() as u32);
    }
    let to: Vec<u32> = rows.iter().map(|row| row.1).collect();
    let lengths = rows.chunk_by(|a, b| a.0 == b.0).map(<[Row]>::len);
    let ends = lengths.scan(0usize, |end, length| {
        *end += length;
        Some(*end)
    });
    Relations::new(nodes, Csr::new(offsets, members, Some(weights)), &to, ends.collect())
}

/// A random graph.
pub(super) fn random_relations(rng: &mut ChaCha8Rng, nodes: usize, count: usize) -> Arc<Relations> {
    let rows = rows(rng, nodes, count);
    relations(nodes, &rows)
}

/// `h`, `weight`, `bias` and `matrices`, and a cotangent. All are fourths, of which sums are exact: whatever the order, the same
/// numbers are cut off.
fn tensors(rng: &mut ChaCha8Rng, [nodes, relations, batch, k, n]: [usize; 5]) -> ([Tensor<2>; 4], Tensor<2>) {
    let mut fourths = |rows: usize, columns: usize| {
        let values: Vec<f32> = (0..rows * columns).map(|_| rng.random_range(-6i32..7) as f32 * 0.25).collect();
        Tensor::<2>::from_data(TensorData::new(values, [rows, columns]), &Device::flex())
    };
    let inputs = [fourths(nodes, batch * k), fourths(k, n), fourths(1, n), fourths(relations * k, n)];
    (inputs, fourths(nodes, batch * n))
}

pub(super) fn layer(relations: &Arc<Relations>, [h, weight, bias, matrices]: [Tensor<2>; 4]) -> Tensor<2> {
    relational_convolution(relations, h, weight, Some(bias.squeeze_dim(0)), matrices)
}

/// The layer as its equation reads, by a dense matrix for each relation.
fn plain(nodes: usize, rows: &[Row], [h, weight, bias, matrices]: [Tensor<2>; 4]) -> Tensor<2> {
    let ([_, columns], [k, n]) = (h.dims(), weight.dims());
    let batch = columns / k;
    let mut sum = h.clone().reshape([nodes * batch, k]).matmul(weight) + bias;
    for rows in rows.chunk_by(|a, b| a.0 == b.0) {
        let mut edges = vec![0f32; nodes * nodes];
        for (_, to, sources) in rows {
            sources.iter().for_each(|&(from, w)| edges[*to as usize * nodes + from as usize] += w);
        }
        let edges = Tensor::<2>::from_data(TensorData::new(edges, [nodes, nodes]), &h.device());
        let arrived = edges.matmul(h.clone()).reshape([nodes * batch, k]);
        sum = sum + arrived.matmul(matrices.clone().narrow(0, rows[0].0 * k, k));
    }
    relu(sum).reshape([nodes, batch * n])
}

#[test]
fn layers_agree_with_the_plain_formulation() {
    let (device, tolerance) = device();
    let mut rng = ChaCha8Rng::seed_from_u64(20);
    for sizes in SIZES {
        let nodes = sizes[0];
        let rows = rows(&mut rng, nodes, sizes[1]);
        let graph = relations(nodes, &rows);
        let (inputs, cotangent) = tensors(&mut rng, sizes);
        let expected = with_gradients(&Device::flex(), &inputs, &cotangent, |inputs| plain(nodes, &rows, inputs));
        let ours = with_gradients(&device, &inputs, &cotangent, |inputs| layer(&graph, inputs));
        agree(&format!("{sizes:?}"), ours, expected.clone(), tolerance);
        // What other devices do.
        let put_together = with_gradients(&Device::flex(), &inputs, &cotangent, |inputs| {
            Tensor::from_dispatch(composed::<Dispatch>(inputs.map(Tensor::into_dispatch), &graph))
        });
        agree(&format!("{sizes:?}, put together"), put_together, expected.clone(), tolerance);
        let [h, weight, _, matrices] = inputs;
        let outputs = [cotangent, expected[0].clone(), h, weight, matrices].map(Tensor::into_dispatch);
        let back = composed_backward::<Dispatch>(outputs, &graph).map(Tensor::<2>::from_dispatch);
        let with_output = std::iter::once(expected[0].clone()).chain(back).collect();
        agree(&format!("{sizes:?}, put together by hand"), with_output, expected, tolerance);
    }
}

#[test]
fn a_layer_without_bias_has_zeros_in_its_place() {
    let (device, tolerance) = device();
    let mut rng = ChaCha8Rng::seed_from_u64(21);
    let graph = random_relations(&mut rng, 7, 2);
    let ([h, weight, bias, matrices], cotangent) = tensors(&mut rng, [7, 2, 3, 4, 5]);
    let inputs = [h.clone(), weight.clone(), matrices.clone()];
    let ours = with_gradients(&device, &inputs, &cotangent, |[h, weight, matrices]| {
        relational_convolution(&graph, h, weight, None, matrices)
    });
    let zeros = [h, weight, bias.zeros_like(), matrices];
    let mut expected = with_gradients(&device, &zeros, &cotangent, |inputs| layer(&graph, inputs));
    expected.remove(3);
    agree("no bias", ours, expected, tolerance);
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let run = |threads: usize| -> Vec<u64> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut rng = ChaCha8Rng::seed_from_u64(22);
            let graph = random_relations(&mut rng, 60, 4);
            let inputs = [[60, 33 * 16], [16, 16], [1, 16], [4 * 16, 16]].map(|[m, n]| random(&mut rng, m, n));
            let cotangent = random(&mut rng, 60, 33 * 16);
            let outputs = with_gradients(&Device::flex(), &inputs, &cotangent, |inputs| layer(&graph, inputs));
            outputs.into_iter().flat_map(numbers).map(f64::to_bits).collect()
        })
    };
    let one = run(1);
    assert!(run(2) == one && run(3) == one, "threads make a difference");
}

#[test]
fn a_batch_of_nothing_gives_nothing() {
    let (device, _) = device();
    let graph = relations(2, &[(0, 1, vec![(0, 1.0)])]);
    let zeros = |rows: usize, columns: usize| Tensor::<2>::zeros([rows, columns], &device);
    assert_eq!(relational_convolution(&graph, zeros(2, 0), zeros(3, 4), None, zeros(3, 4)).dims(), [2, 0]);
    assert_eq!((graph.nodes(), graph.count()), (2, 1));
}

#[test]
#[should_panic(expected = "relations that end at [1, 1] for 1 rows")]
fn relations_without_rows_are_refused() {
    Relations::new(2, Csr::new(vec![0, 1], vec![0], None), &[1], vec![1, 1]);
}

#[test]
#[should_panic(expected = "3 nodes at the ends of rows, of 2")]
fn rows_that_lead_beyond_the_nodes_are_refused() {
    Relations::new(2, Csr::new(vec![0, 1], vec![0], None), &[2], vec![1]);
}

#[test]
#[should_panic(expected = "1 relations over 2 nodes: h [2, 3]")]
fn numbers_that_are_no_batch_are_refused() {
    let graph = relations(2, &[(0, 1, vec![(0, 1.0)])]);
    let zeros = |rows: usize, columns: usize| Tensor::<2>::zeros([rows, columns], &Device::flex());
    relational_convolution(&graph, zeros(2, 3), zeros(2, 2), None, zeros(2, 2));
}
