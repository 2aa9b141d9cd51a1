//! Sizes that kernels for GPUs, which count in 32 bits, cannot count. A table that repeats one number has such a size, and takes no
//! memory.

use super::device;
use crate::boundary::guard::{catch, keep_panics_quiet};
use crate::graph::Graph;
use crate::ops::dropped::Dropped;
use crate::ops::{AdamStep, Adjacency, Group, Kernels, Learning, Pooling, Sets};
use crate::ops::{add_row_relu, binary_cross_entropy, matmul, pool, propagate, softmax_pool};
use crate::ops::{attention, attention_with_edges, dot_attention, max_over_edges};
use burn::backend::Dispatch;
use burn::nn::DropoutConfig;
use burn::tensor::{Device, Tensor};

/// A square of this side has 2³² numbers.
const SIDE: usize = 1 << 16;

/// The device to test, which is none that counts in 64 bits.
fn counting_in_32_bits() -> Device {
    let (device, _) = device();
    assert!(device.clone().without_autodiff() != Device::flex(), "DUALK_TEST_DEVICE names no device but the CPU");
    keep_panics_quiet();
    device
}

fn ones(rows: usize, columns: usize, device: &Device) -> Tensor<2> {
    Tensor::ones([rows, columns], device)
}

fn refuses(name: &str, kernel: &dyn Fn()) {
    let refused = catch(|| {
        kernel();
        Ok(())
    });
    let refused = refused.expect_err(name);
    assert_eq!(refused.exit_code(), 2, "{name}: {refused}");
    assert!(refused.to_string().contains("4294967296 numbers"), "{name}: {refused}");
}

#[test]
#[ignore = "on the CPU numbers are counted in 64 bits; `DUALK_TEST_DEVICE` names another device"]
fn tables_that_kernels_cannot_count_are_refused_before_there_is_memory_for_them() {
    let device = counting_in_32_bits();
    let ones = |rows, columns| ones(rows, columns, &device);
    let table = || ones(1, 1).expand([SIDE, SIDE]);
    let one = Sets::new([vec![0u32]].into_iter().collect());
    let many = Sets::new((0..SIDE).map(|_| vec![0u32]).collect());
    let none = DropoutConfig::new(0.0).init();
    let kernels: [(&str, &dyn Fn()); 7] = [
        ("a product's factor", &|| drop(matmul(table(), ones(SIDE, 2)))),
        ("a product", &|| drop(matmul(ones(SIDE, 2), ones(2, SIDE)))),
        ("sums of rows", &|| drop(pool(table(), &one, Pooling::Sum))),
        ("sums", &|| drop(pool(ones(1, SIDE), &many, Pooling::Sum))),
        ("attention over sets", &|| drop(softmax_pool(table(), table(), &one, &none))),
        ("a bias and ReLU", &|| drop(add_row_relu(table(), Tensor::ones([SIDE], &device), None))),
        ("a cross-entropy", &|| drop(binary_cross_entropy(table(), table()))),
    ];
    kernels.into_iter().for_each(|(name, kernel)| refuses(name, kernel));
}

#[test]
#[ignore = "on the CPU numbers are counted in 64 bits; `DUALK_TEST_DEVICE` names another device"]
fn so_are_tables_of_graphs_of_dropout_and_of_adam() {
    let device = counting_in_32_bits();
    let ones = |rows, columns| ones(rows, columns, &device);
    let table = || -> Tensor<2> { ones(1, 1).expand([SIDE, SIDE]) };
    let number = || table().into_dispatch();
    let graph = Graph::new(SIDE, &[(0, 1, 1.0)]).unwrap();
    let edges = Adjacency::of(&graph);
    let terms = || ones(SIDE, 1);
    let step = AdamStep { lr: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, time: 1 };
    let learning =
        || Learning::<Dispatch> { parameter: number(), gradient: number(), mean: number(), square: number() };
    let kernels: [(&str, &dyn Fn()); 7] = [
        ("sums over edges", &|| drop(propagate(&edges, table()))),
        ("maxima over edges", &|| drop(max_over_edges(&edges, table()))),
        ("attention over edges", &|| drop(attention(&edges, terms(), terms(), table(), 0.2))),
        ("attention with edges", &|| drop(attention_with_edges(&edges, terms(), terms(), ones(1, 1), table(), 0.2))),
        ("attention by products", &|| drop(dot_attention(&edges, table(), table(), table(), None, 1))),
        ("dropout", &|| drop(Dispatch::dropout(number(), Dropped::new(1, 0.5)))),
        ("Adam", &|| drop(Dispatch::adam(Group::new(learning), 1, step))),
    ];
    kernels.into_iter().for_each(|(name, kernel)| refuses(name, kernel));
}
