//! Products of matrices, whole and by groups of rows, and what goes with them: biases, sums and means.

use super::{agree, close, device, numbers, random, with_gradients};
use crate::ops::{self, Precision, add_row, head_products, linear, matmul, multiplying, segment_matmul, sum};
use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

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
            let all = |x| if mean { ops::mean::<2>(x) } else { sum(x) };
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
    let weight = random(&mut rng, 4, 3).to_device(&device);
    let bias = random(&mut rng, 1, 3).to_device(&device).squeeze_dim::<1>(0);
    let layer = Linear { weight: Param::from_tensor(weight), bias: Some(Param::from_tensor(bias)) };
    let x = random(&mut rng, 6, 4).to_device(&device);
    let expected = layer.forward(x.clone());
    // TF32 on CUDA, and so nearly equal at most.
    close("linear", linear(&layer, x.reshape([2, 3, 4])).reshape([6, 3]), expected, 1e-2);
}

#[test]
fn segments_agree_with_products_of_each() {
    let (device, tolerance) = device();
    let mut rng = ChaCha8Rng::seed_from_u64(19);
    for ([k, n], ends) in [
        ([1, 1], vec![1]),
        ([3, 5], vec![4, 5]),
        ([16, 16], vec![1, 1500, 2600]),
        ([33, 18], vec![7, 9, 20]),
        ([20, 1], vec![3, 1200]),
    ] {
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
