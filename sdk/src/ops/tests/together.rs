//! Several operations after one another: equal bits, and gradients that are those of finite differences.

use super::relational::{layer, random_relations};
use super::{device, differentiate, graph, lists, numbers, random, with_gradients};
use crate::ops::dropped::Dropped;
use crate::ops::{Adjacency, Kernels, Pooling, Sets, attention, pool, propagate, softmax_pool};
use burn::backend::Dispatch;
use burn::nn::DropoutConfig;
use burn::tensor::{FloatDType, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

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
    let relations = random_relations(&mut ChaCha8Rng::seed_from_u64(23), 9, 2);
    let mut tensor = |rows, columns| random(&mut rng, rows, columns).cast(FloatDType::F64);
    let (two, wide, one) = (tensor(9, 2), tensor(9, 6), tensor(9, 1));
    let pooled = |s: Tensor<2>, v: Tensor<2>| -> Tensor<2> {
        let (s, v) = (s.into_dispatch(), v.into_dispatch());
        Tensor::from_dispatch(Dispatch::set_attention(s, v, sets.index(), Dropped::new(77, 0.3)).0)
    };
    differentiate([two.clone(), two.clone() * 0.7, wide.clone()], tensor(9, 6), |[t, s, v]| {
        attention(&a, t, s, v, 0.2)
    });
    differentiate([wide.clone()], tensor(9, 6), |[v]| propagate(&a, v));
    differentiate([wide.clone() * 0.5, wide.clone()], tensor(6, 6), |[s, v]| pooled(s, v));
    differentiate([one, wide.clone()], tensor(6, 6), |[s, v]| pooled(s, v));
    differentiate([wide.clone()], tensor(6, 6), |[v]| pool(v, &sets, Pooling::Mean));
    let (weight, bias, matrices) = (tensor(3, 4), tensor(1, 4), tensor(6, 4));
    differentiate([wide, weight, bias, matrices], tensor(9, 8), |inputs| layer(&relations, inputs));
}
