//! The self-adversarial loss of one triple and its negatives, with exponentials that are vectorised.

use crate::simd::fma;
use crate::vectorized_fn;

vectorized_fn! {
    /// Turns the scores of a triple and its negatives into gradients of the loss, and returns log σ(s⁺) + Σ p_j log σ(−s_j),
    /// where p is the softmax of α s over the negatives, taken as constant. A negative of −∞ is none.
    ///
    /// # Shapes
    /// - `scores`: `[1 + negatives]`, the triple's own first
    /// - `parts`: `[negatives]`, overwritten
    pub(super) fn log_likelihood(scores: &mut [f32], parts: &mut [f32], alpha: f32, share: f32) -> f32, FMA, {
        let Some((positive, negatives)) = scores.split_first_mut() else { return 0.0 };
        let (likelihood, gradient) = log_sigmoid::<FMA>(*positive);
        *positive = -share * gradient;
        let highest = negatives.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if highest == f32::NEG_INFINITY {
            negatives.fill(0.0);
            return likelihood;
        }
        for (part, score) in parts.iter_mut().zip(negatives.iter()) {
            *part = exp::<FMA>(alpha * (score.max(-1e30) - highest));
        }
        let sum: f32 = parts.iter().sum();
        for (part, score) in parts.iter_mut().zip(negatives) {
            let p = *part / sum;
            let (likelihood, gradient) = log_sigmoid::<FMA>(-score.max(-1e30));
            *part = p * likelihood;
            *score = share * p * gradient;
        }
        likelihood + parts.iter().sum::<f32>()
    }
}

/// log σ(x), and its gradient σ(−x).
#[inline(always)]
fn log_sigmoid<const FMA: bool>(x: f32) -> (f32, f32) {
    let e = exp::<FMA>(-x.abs());
    let over = 1.0 / (1.0 + e);
    // log(1 + e) = 2 artanh(e / (2 + e)), whose argument is at most ⅓.
    let s = e / (2.0 + e);
    let z = s * s;
    let p = fma::<FMA>(z, 2.0 / 13.0, 2.0 / 11.0);
    let p = fma::<FMA>(p, z, 2.0 / 9.0);
    let p = fma::<FMA>(p, z, 2.0 / 7.0);
    let p = fma::<FMA>(p, z, 2.0 / 5.0);
    let p = fma::<FMA>(p, z, 2.0 / 3.0);
    let log = s * fma::<FMA>(p, z, 2.0);
    (x.min(0.0) - log, if x >= 0.0 { e * over } else { over })
}

/// eˣ for x ≤ 0; what is below −87 counts as −87.
#[inline(always)]
fn exp<const FMA: bool>(x: f32) -> f32 {
    const LARGE: f32 = 12_582_912.0; // 1.5 · 2²³: adding it rounds to an integer, which the lowest bits then hold
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x = x.max(-87.0);
    let shifted = fma::<FMA>(x, std::f32::consts::LOG2_E, LARGE);
    let n = shifted - LARGE;
    let r = fma::<FMA>(n, -LN_2[1], fma::<FMA>(n, -LN_2[0], x));
    let p = fma::<FMA>(r, 1.0 / 720.0, 1.0 / 120.0);
    let p = fma::<FMA>(p, r, 1.0 / 24.0);
    let p = fma::<FMA>(p, r, 1.0 / 6.0);
    let p = fma::<FMA>(p, r, 0.5);
    let p = fma::<FMA>(p, r, 1.0);
    let p = fma::<FMA>(p, r, 1.0);
    p * f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_those_of_the_library() {
        let points = (0..20_000).map(|i| -8.7e-3 * i as f32);
        for x in points.clone().filter(|x| *x > -87.0) {
            let exact = f64::from(x).exp();
            for found in [exp::<true>(x), exp::<false>(x)] {
                assert!((f64::from(found) / exact - 1.0).abs() < 5e-7, "exp({x}) = {found}");
            }
        }
        for x in points.flat_map(|x| [x, -x]) {
            let exact = f64::from(x).min(0.0) - (-f64::from(x).abs()).exp().ln_1p();
            let expected = 1.0 / (1.0 + f64::from(x).exp());
            for (log, gradient) in [log_sigmoid::<true>(x), log_sigmoid::<false>(x)] {
                assert!((f64::from(log) - exact).abs() < 3e-7 * exact.abs().max(1.0), "log σ({x}) = {log}");
                assert!((f64::from(gradient) - expected).abs() < 3e-7, "σ({}) = {gradient}", -x);
            }
        }
    }

    // PyTorch 2.8: s = torch.tensor([1.2, -0.7, 0.4, 2.0], requires_grad=True); p = torch.softmax(0.5 * s[1:], 0).detach()
    //   l = F.logsigmoid(s[0]) + (p * F.logsigmoid(-s[1:])).sum(); l.backward(); l, -s.grad
    #[test]
    fn the_loss_of_a_triple_as_in_pytorch() {
        let mut scores = [1.2, -0.7, 0.4, f32::NEG_INFINITY, 2.0];
        let value = log_likelihood(&mut scores, &mut [0.0; 4], 0.5, 1.0);
        let expected = [-0.231475, 0.050346, 0.157446, 0.0, 0.515517];
        assert!((value - (-1.809426)).abs() < 1e-5, "{value}");
        assert!(scores.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{scores:?}");
    }
}
