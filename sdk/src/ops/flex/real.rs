//! The numbers that kernels compute with, and the loops over channels that they share.

use burn::tensor::Element;
use half::bf16;

/// Floating-point numbers of 32 or 64 bits.
pub(super) trait Real:
    Element
    + bytemuck::Pod
    + Send
    + Sync
    + PartialOrd
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::AddAssign
    + std::ops::MulAssign
    + std::iter::Sum
{
    const ZERO: Self;
    const ONE: Self;
    /// Below every score.
    const LOWEST: Self;

    fn of(value: f32) -> Self;
    fn of64(value: f64) -> Self;
    fn fused(self, by: Self, plus: Self) -> Self;
    fn exp(self) -> Self;
    fn tanh(self) -> Self;
    fn ln(self) -> Self;
    fn sqrt(self) -> Self;
    fn larger(self, other: Self) -> Self;
    fn narrow(self) -> f32;
}

macro_rules! real {
    ($t:ident, $exp:path, $tanh:path) => {
        impl Real for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const LOWEST: Self = $t::MIN;

            #[inline(always)]
            fn of(value: f32) -> Self {
                value as $t
            }

            #[inline(always)]
            fn of64(value: f64) -> Self {
                value as $t
            }

            #[inline(always)]
            fn fused(self, by: Self, plus: Self) -> Self {
                self.mul_add(by, plus)
            }

            #[inline(always)]
            fn exp(self) -> Self {
                $exp(self)
            }

            #[inline(always)]
            fn tanh(self) -> Self {
                $tanh(self)
            }

            #[inline(always)]
            fn ln(self) -> Self {
                self.ln()
            }

            #[inline(always)]
            fn sqrt(self) -> Self {
                self.sqrt()
            }

            #[inline(always)]
            fn larger(self, other: Self) -> Self {
                if other > self { other } else { self }
            }

            #[inline(always)]
            fn narrow(self) -> f32 {
                self as f32
            }
        }
    };
}

real!(f32, exp32, tanh32);
real!(f64, f64::exp, f64::tanh);

/// A number as a table holds it.
pub(super) trait Stored<T>: Copy + Send + Sync {
    /// The number to compute with.
    fn load(self) -> T;

    /// A number as the table is to hold it.
    fn store(number: T) -> Self;

    /// The number that is computed with once it was held.
    #[inline(always)]
    fn rounded(number: T) -> T {
        Self::store(number).load()
    }
}

impl<T: Real> Stored<T> for T {
    #[inline(always)]
    fn load(self) -> T {
        self
    }

    #[inline(always)]
    fn store(number: T) -> Self {
        number
    }
}

impl<T: Real> Stored<T> for bf16 {
    /// A shift, without the look for signalling NaN of `to_f32`: inner loops load, and `store` leaves none.
    #[inline(always)]
    fn load(self) -> T {
        T::of(f32::from_bits(u32::from(self.to_bits()) << 16))
    }

    /// The nearest, ties to even; NaN stays NaN.
    #[inline(always)]
    fn store(number: T) -> Self {
        Self::from_f32(number.narrow())
    }
}

/// a · b + c, in one instruction where the machine has it.
#[inline(always)]
pub(super) fn mul_add<T: Real, const FMA: bool>(a: T, b: T, c: T) -> T {
    if FMA { a.fused(b, c) } else { a * b + c }
}

/// The exponential, without branches so that loops over it become vector code; within 2 units in the last place
/// (coefficients of Cephes' `expf`). What would underflow gives about 1e-38 or 0, what would overflow about 2e38.
#[inline(always)]
pub(super) fn exp32(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    /// Adding it to a small number rounds that to an integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.3, 88.0);
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 0.166_666_66;
    let p = p * r + 0.5;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    (p * (r * r) + r + 1.0) * power
}

/// The hyperbolic tangent without branches, within 3 units in the last place: near 0 a polynomial (coefficients of Cephes'
/// `tanhf`), elsewhere 1 − 2 / (e²ˣ + 1).
#[inline(always)]
pub(super) fn tanh32(x: f32) -> f32 {
    let square = x * x;
    let p = -5.704_988_7e-3;
    let p = p * square + 2.063_909e-2;
    let p = p * square - 5.373_971_6e-2;
    let p = p * square + 0.133_314_42;
    let p = p * square - 0.333_332_8;
    let near = p * square * x + x;
    let far = (1.0 - 2.0 / (exp32(2.0 * x.abs()) + 1.0)).copysign(x);
    if x.abs() < 0.625 { near } else { far }
}

/// acc += w · row.
#[inline(always)]
pub(super) fn add_scaled<T: Real, const FMA: bool>(acc: &mut [T], w: T, row: &[T]) {
    for (a, &x) in acc.iter_mut().zip(row) {
        *a = mul_add::<T, FMA>(w, x, *a);
    }
}

/// a · b, in sixteen partial sums.
#[inline(always)]
pub(super) fn dot<T: Real, const FMA: bool>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::ZERO; 16];
    let (a, a_rest) = a.as_chunks::<16>();
    let (b, b_rest) = b.as_chunks::<16>();
    for (x, y) in a.iter().zip(b) {
        for i in 0..16 {
            sums[i] = mul_add::<T, FMA>(x[i], y[i], sums[i]);
        }
    }
    let mut total = sum16(sums);
    for (&x, &y) in a_rest.iter().zip(b_rest) {
        total = mul_add::<T, FMA>(x, y, total);
    }
    total
}

/// The sum in a fixed order: pairs, then pairs of pairs.
#[inline(always)]
pub(super) fn sum16<T: Real>(mut s: [T; 16]) -> T {
    let mut width = 8;
    while width > 0 {
        for i in 0..width {
            s[i] += s[i + width];
        }
        width /= 2;
    }
    s[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp32_is_within_two_units_of_the_last_place() {
        for i in -870_000..=870_000 {
            let x = i as f32 * 1e-4;
            let exact = (x as f64).exp();
            let error = (exp32(x) as f64 - exact).abs() / exact;
            assert!(error < 2.0 * f32::EPSILON as f64, "exp({x}) is off by {error:e}");
        }
        assert!(exp32(-1e30) < 1e-37 && exp32(f32::MIN) >= 0.0);
    }

    #[test]
    fn tanh32_is_within_three_units_of_the_last_place() {
        for i in -200_000..=200_000 {
            let x = i as f32 * 1e-4;
            let exact = (x as f64).tanh();
            let error = (tanh32(x) as f64 - exact).abs();
            assert!(error <= 3.0 * f32::EPSILON as f64 * exact.abs(), "tanh({x}) is off by {error:e}");
        }
        assert_eq!([1e30, f32::INFINITY, -1e30, f32::NEG_INFINITY].map(tanh32), [1.0, 1.0, -1.0, -1.0]);
        assert!(tanh32(f32::NAN).is_nan());
    }

    /// Halves between two neighbours go to the even one, what is beyond the largest to infinity, as IEEE 754 rounds.
    #[test]
    fn bf16_is_the_nearest_and_keeps_nan() {
        let rounded = <bf16 as Stored<f32>>::rounded;
        for (x, expected) in [
            (1.0, 1.0),
            (1.003, 1.0),
            (1.0 + 1.0 / 256.0, 1.0),
            (1.005, 1.007_812_5),
            (1.0 + 3.0 / 256.0, 1.015_625),
            (-5.03, -5.03125),
            (0.0, 0.0),
            (f32::MAX, f32::INFINITY),
        ] {
            assert_eq!(rounded(x), expected);
        }
        // The upper half of the first is infinity; rounding carries the others beyond NaN.
        for bits in [0x7f80_0001, 0x7fff_ffff, 0xffff_ffff] {
            assert!(rounded(f32::from_bits(bits)).is_nan(), "{bits:x}");
        }
    }

    #[test]
    fn dot_adds_every_product() {
        for n in [0, 1, 15, 16, 17, 64, 100] {
            let a: Vec<f64> = (0..n).map(|i| i as f64 + 0.5).collect();
            let expected: f64 = a.iter().map(|x| x * 3.0).sum();
            assert!((dot::<f64, true>(&a, &vec![3.0; n]) - expected).abs() < 1e-9);
        }
    }
}
