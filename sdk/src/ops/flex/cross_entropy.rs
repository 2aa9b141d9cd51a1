//! Cross-entropy of independent labels from logits, and its gradient.

use super::real::Real;
use crate::ops::kernels::Entropy;

/// The mean of −P y ln(σ(z) + ε) − N (1 − y) ln(1 − σ(z) + ε).
pub(super) fn mean<T: Real>(logits: &[T], targets: &[T], terms: Entropy) -> T {
    let (p, n, epsilon) = weights::<T>(terms);
    let loss = |(&z, &y): (&T, &T)| {
        let [there, absent] = match terms.epsilon {
            0.0 => {
                let rest = (T::ONE + (T::ZERO - size(z)).exp()).ln();
                [(size(z) - z) / T::of(2.0) + rest, (size(z) + z) / T::of(2.0) + rest]
            }
            _ => probabilities(z).map(|part| T::ZERO - (part + epsilon).ln()),
        };
        p * y * there + n * (T::ONE - y) * absent
    };
    // Sums of sums, so that small losses do not vanish beside the sum of all before them.
    let sums = logits.chunks(512).zip(targets.chunks(512)).map(|(z, y)| z.iter().zip(y).map(loss).sum::<T>());
    sums.sum::<T>() / T::of64(logits.len() as f64)
}

/// The gradient of each logit.
pub(super) fn gradients<T: Real>(logits: &[T], targets: &[T], gradient: T, terms: Entropy) -> Vec<T> {
    let (p, n, epsilon) = weights::<T>(terms);
    let scale = gradient / T::of64(logits.len() as f64);
    let of_logit = |(&z, &y): (&T, &T)| {
        let [there, absent] = probabilities(z);
        let (a, b) = match terms.epsilon {
            0.0 => (absent, there),
            _ => (there * absent / (there + epsilon), there * absent / (absent + epsilon)),
        };
        (n * (T::ONE - y) * b - p * y * a) * scale
    };
    logits.iter().zip(targets).map(of_logit).collect()
}

fn weights<T: Real>(terms: Entropy) -> (T, T, T) {
    (T::of(terms.positive), T::of(terms.negative), T::of(terms.epsilon))
}

/// σ(z) and 1 − σ(z).
fn probabilities<T: Real>(z: T) -> [T; 2] {
    let small = (T::ZERO - size(z)).exp();
    let (less, more) = (small / (T::ONE + small), T::ONE / (T::ONE + small));
    if z < T::ZERO { [less, more] } else { [more, less] }
}

fn size<T: Real>(z: T) -> T {
    if z < T::ZERO { T::ZERO - z } else { z }
}
