//! Which places are dropped, alone and after ReLU.

use super::{agree, device, lists, numbers, random, with_gradients};
use crate::device::generator;
use crate::ops::dropped::Dropped;
use crate::ops::{Kernels, Sets, add_row_relu, softmax_pool};
use burn::backend::Dispatch;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

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
        generator::alone(|| {
            generator::seed(&device, seed);
            let values: Tensor<2> = Tensor::from_inner(values.clone());
            numbers(softmax_pool(values.clone(), values, &sets, &dropout).inner())
        })
    };
    assert_eq!(on(1), on(1), "the seed decides");
    assert_ne!(on(1), on(2));
    let off = numbers(softmax_pool(values.clone(), values.clone(), &sets, &dropout));
    assert_ne!(on(1), off);
    assert_eq!(off, numbers(softmax_pool(values.clone(), values, &sets, &DropoutConfig::new(0.0).init())));
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
    // A gradient that is some columns of a wider one.
    let inputs = [random(&mut rng, 9, 128), random(&mut rng, 1, 128)];
    let cotangent = random(&mut rng, 9, 384);
    let beside = |x: &Tensor<2>, y: Tensor<2>| Tensor::cat(vec![x.clone(), y, x.clone()], 1);
    let ours = with_gradients(&device, &inputs, &cotangent, |[x, row]| {
        beside(&x, add_row_relu(x.clone(), row.squeeze_dim(0), None))
    });
    let plain = with_gradients(&Device::flex(), &inputs, &cotangent, |[x, row]| beside(&x, relu(x.clone() + row)));
    agree("columns", ours, plain, tolerance);
    let nan = Tensor::<2>::from_data([[f32::NAN, -1.0]], &device).into_dispatch();
    let zeros = Tensor::<2>::zeros([1, 2], &device).into_dispatch();
    let out = numbers(Tensor::from_dispatch(Dispatch::rectify(nan, zeros, Dropped::NOTHING)));
    assert!(out[0].is_nan() && out[1] == 0.0, "{out:?}");
}
