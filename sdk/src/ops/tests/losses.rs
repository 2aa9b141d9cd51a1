//! Cross-entropies of independent labels.

use super::{agree, device, numbers, random, with_gradients};
use crate::ops::kernels::Entropy;
use crate::ops::{Kernels, binary_cross_entropy, weighted_cross_entropy};
use burn::backend::Dispatch;
use burn::tensor::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

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
