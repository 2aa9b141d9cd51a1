//! Attention and sums over the members of sets, and sets that are filled up.

use super::{agree, column, device, lists, numbers, random, with_gradients};
use crate::ops::dropped::Dropped;
use crate::ops::{Kernels, PaddedSets, Pooling, Sets, pool, softmax_pool};
use crate::sparse::Ragged;
use burn::backend::Dispatch;
use burn::nn::DropoutConfig;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Sizes of sets: sets, rows, longest, hub, channels.
const SETS: [(usize, usize, usize, usize, usize); 6] = [
    (1, 1, 0, 1, 3),
    (1, 4, 0, 0, 3),
    (9, 5, 4, 6, 1),
    (50, 30, 12, 7000, 33),
    (64, 400, 40, 90, 64),
    (3, 2, 2, 2, 256),
];

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
