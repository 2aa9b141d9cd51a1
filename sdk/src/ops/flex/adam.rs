//! Adam in one pass over memory.

use super::real::{Real, mul_add};
use crate::ops::kernels::AdamStep;
use crate::vectorized_fn;
use rayon::prelude::*;

/// Numbers a task.
const PIECE: usize = 1 << 14;

/// Updates parameter, mean and mean square in place.
pub(super) fn update<T: Real>(parameter: &mut [T], gradient: &[T], mean: &mut [T], square: &mut [T], step: &AdamStep) {
    let pieces = parameter.par_chunks_mut(PIECE).zip(mean.par_chunks_mut(PIECE)).zip(square.par_chunks_mut(PIECE));
    pieces.zip(gradient.par_chunks(PIECE)).for_each(|(((parameter, mean), square), gradient)| {
        piece(parameter, gradient, mean, square, step);
    });
}

vectorized_fn! {
    /// m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², p ← p − lr / (1 − β₁ᵗ) · m / (√(v / (1 − β₂ᵗ)) + ε), as PyTorch.
    fn piece<T: Real>(parameter: &mut [T], gradient: &[T], mean: &mut [T], square: &mut [T], step: &AdamStep), FMA, {
        let n = parameter.len();
        let (gradient, mean, square) = (&gradient[..n], &mut mean[..n], &mut square[..n]);
        let (rate, root) = step.factors();
        let (rate, root, epsilon) = (T::of64(rate), T::of64(root), T::of64(step.epsilon));
        let (b1, b2) = (T::of64(step.beta1), T::of64(step.beta2));
        let (c1, c2) = (T::of64(1.0 - step.beta1), T::of64(1.0 - step.beta2));
        for i in 0..n {
            let g = gradient[i];
            let m = mul_add::<T, FMA>(c1, g, b1 * mean[i]);
            let v = mul_add::<T, FMA>(c2 * g, g, b2 * square[i]);
            (mean[i], square[i]) = (m, v);
            parameter[i] = parameter[i] - rate * m / (v.sqrt() * root + epsilon);
        }
    }
}
