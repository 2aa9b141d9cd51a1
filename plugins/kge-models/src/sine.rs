//! Sine and cosine of half a turn, in a few multiplications.

use dualk_sdk::simd::fma;

/// sin(πy) / y as a polynomial in y², for y in [0, ½]: odd minimax approximation of degree 9, error below 3.4·10⁻⁹ before
/// rounding.
#[allow(clippy::approx_constant)] // a coefficient of the fit, which is not π
const SINE: [f32; 5] = [3.141_592_6, -5.167_706_7, 2.550_031_4, -0.598_045_2, 0.077_220_13];

/// sin(πy) for y in [0, ½].
#[inline(always)]
fn sine<const FMA: bool>(y: f32) -> f32 {
    let z = y * y;
    let p = fma::<FMA>(SINE[4], z, SINE[3]);
    let p = fma::<FMA>(p, z, SINE[2]);
    let p = fma::<FMA>(p, z, SINE[1]);
    y * fma::<FMA>(p, z, SINE[0])
}

/// The signed distance of x from the nearest integer; |x| must stay below 2²².
#[inline(always)]
fn beyond_integer<const FMA: bool>(x: f32) -> f32 {
    const LARGE: f32 = 12_582_912.0; // 1.5 · 2²³: adding it rounds to an integer
    if FMA { x - x.round_ties_even() } else { x - ((x + LARGE) - LARGE) }
}

/// |sin πx|.
#[inline(always)]
pub fn abs_sine<const FMA: bool>(x: f32) -> f32 {
    sine::<FMA>(beyond_integer::<FMA>(x).abs())
}

/// The derivative of |sin πx| by πx: cos(πu) with the sign of u, u being the distance of x from the nearest integer. At an
/// integer itself, where there is none, 1 or −1.
#[inline(always)]
pub fn abs_sine_slope<const FMA: bool>(x: f32) -> f32 {
    let u = beyond_integer::<FMA>(x);
    sine::<FMA>(0.5 - u.abs()).copysign(u)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn largest_error(f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
        let points = (-60_000..60_000).map(|i| i as f32 * 7.1e-5);
        points.map(|x| (f64::from(f(x)) - exact(f64::from(x))).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn it_is_the_sine() {
        let exact = |x: f64| (std::f64::consts::PI * x).sin().abs();
        assert!(largest_error(abs_sine::<true>, exact) < 3e-7, "{}", largest_error(abs_sine::<true>, exact));
        assert!(largest_error(abs_sine::<false>, exact) < 3e-7);
    }

    #[test]
    fn the_slope_is_that_of_the_sine() {
        let exact = |x: f64| {
            let turn = std::f64::consts::PI * x;
            turn.cos() * turn.sin().signum()
        };
        // Both are 1 or −1 beside a kink, where rounding decides the side.
        let away = |f: fn(f32) -> f32| {
            move |x: f32| if (x - x.round()).abs() < 1e-4 { exact(f64::from(x)) as f32 } else { f(x) }
        };
        assert!(largest_error(away(abs_sine_slope::<true>), exact) < 3e-7);
        assert!(largest_error(away(abs_sine_slope::<false>), exact) < 3e-7);
    }
}
