//! Sizes that kernels for GPUs, which count in 32 bits, cannot count. A table that repeats one number has such a size, and takes no
//! memory.

use super::device;
use crate::boundary::guard::{catch, keep_panics_quiet};
use crate::ops::{Pooling, Sets, add_row_relu, binary_cross_entropy, matmul, pool, softmax_pool};
use burn::nn::DropoutConfig;
use burn::tensor::{Device, Tensor};

/// A square of this side has 2³² numbers.
const SIDE: usize = 1 << 16;

#[test]
#[ignore = "on the CPU numbers are counted in 64 bits; `DUALK_TEST_DEVICE` names another device"]
fn tables_that_kernels_cannot_count_are_refused_before_there_is_memory_for_them() {
    let (device, _) = device();
    assert!(device.clone().without_autodiff() != Device::flex(), "DUALK_TEST_DEVICE names no device but the CPU");
    keep_panics_quiet();
    let ones = |rows: usize, columns: usize| Tensor::<2>::ones([rows, columns], &device);
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
    for (name, kernel) in kernels {
        let refused = catch(|| {
            kernel();
            Ok(())
        });
        let refused = refused.expect_err(name);
        assert_eq!(refused.exit_code(), 2, "{name}: {refused}");
        assert!(refused.to_string().contains("4294967296 numbers"), "{name}: {refused}");
    }
}
