//! Loops over rows in the width of vector registers.

use dualk_sdk::simd::fma;

/// Walks over the same places of several slices, 16 numbers at a time, then 4, then 1, so that every rest is vectorised as
/// far as it goes. The body is a function of a const generic number of lanes.
///
/// `walk!(d, |L, at| expression)` runs the expression for each block of `L` numbers that begins at `at`.
macro_rules! walk {
    ($d:expr, |$lanes:ident, $at:ident| $body:expr) => {{
        let d: usize = $d;
        let mut $at = 0;
        {
            const $lanes: usize = 16;
            while $at + $lanes <= d {
                $body;
                $at += $lanes;
            }
        }
        {
            const $lanes: usize = 4;
            while $at + $lanes <= d {
                $body;
                $at += $lanes;
            }
        }
        {
            const $lanes: usize = 1;
            while $at + $lanes <= d {
                $body;
                $at += $lanes;
            }
        }
    }};
}
pub(crate) use walk;

/// Sixteen running sums; blocks of fewer lanes add to the first.
#[derive(Clone, Copy)]
pub struct Sums(pub [f32; 16]);

impl Sums {
    #[inline(always)]
    pub fn zero() -> Self {
        Self([0.0; 16])
    }

    /// The sum of all, pairwise.
    #[inline(always)]
    pub fn total(self) -> f32 {
        let mut sums = self.0;
        let mut n = 8;
        while n > 0 {
            for i in 0..n {
                sums[i] += sums[i + n];
            }
            n /= 2;
        }
        sums[0]
    }
}

/// The block of `L` numbers of a slice that begins at `at`.
#[inline(always)]
pub fn block<const L: usize>(slice: &[f32], at: usize) -> &[f32; L] {
    match slice[at..].first_chunk() {
        Some(block) => block,
        None => unreachable!("blocks end within their rows"),
    }
}

/// Adds a∘b to the block of a slice that begins at `at`.
#[inline(always)]
pub fn add<const FMA: bool, const L: usize>(slice: &mut [f32], at: usize, a: &[f32; L], b: &[f32; L]) {
    let Some(block) = slice[at..].first_chunk_mut::<L>() else { unreachable!("blocks end within their rows") };
    let mut sums = *block;
    for l in 0..L {
        sums[l] = fma::<FMA>(a[l], b[l], sums[l]);
    }
    *block = sums;
}

/// 1, −1, or 0 at 0.
#[inline(always)]
pub fn sign(x: f32) -> f32 {
    if x == 0.0 { 0.0 } else { 1f32.copysign(x) }
}
