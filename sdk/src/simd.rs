//! Compiles a function for the vector instructions of the machine it runs on.

/// Defines a function whose body is compiled three times on x86-64 (for any machine, with AVX2 and FMA, with AVX-512) and
/// chosen by what the processor has; elsewhere once. In the body, the constant after the signature says whether `mul_add`
/// is a single instruction (else it would be a call into the C library). It may be generic over one or two types, and after a
/// semicolon over a number that is known when it is compiled.
///
/// ```
/// dualk_sdk::vectorized_fn! {
///     /// The scalar product.
///     fn dot(a: &[f32], b: &[f32]) -> f32, FMA, {
///         a.iter().zip(b).fold(0.0, |sum, (a, b)| if FMA { a.mul_add(*b, sum) } else { sum + a * b })
///     }
/// }
/// dualk_sdk::vectorized_fn! {
///     /// How many numbers of rows are those of one.
///     fn found<T: PartialEq; N>(rows: &[[T; N]], wanted: &[T; N]) -> usize, _FMA, {
///         rows.iter().flat_map(|row| row.iter().zip(wanted)).filter(|(a, b)| a == b).count()
///     }
/// }
/// assert_eq!(dot(&[1.0, 2.0], &[3.0, 4.0]), 11.0);
/// assert_eq!(found(&[[1, 2], [3, 2]], &[1, 2]), 3);
/// ```
#[macro_export]
macro_rules! vectorized_fn {
    (
        $(#[$meta:meta])* $vis:vis fn $name:ident
        $(<$T:ident: $bound:path $(, $S:ident: $stored:path)? $(; $N:ident)?>)?
        ($($arg:ident: $ty:ty),* $(,)?) $(-> $out:ty)?, $fma:ident, $body:block
    ) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name<$($T: $bound, $($S: $stored,)? $(const $N: usize,)?)?>($($arg: $ty),*) $(-> $out)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body<$($T: $bound, $($S: $stored,)? $(const $N: usize,)?)? const $fma: bool>($($arg: $ty),*) $(-> $out)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx2<$($T: $bound, $($S: $stored,)? $(const $N: usize,)?)?>($($arg: $ty),*) $(-> $out)? {
                    body::<$($T, $($S,)? $($N,)?)? true>($($arg),*)
                }

                #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
                #[allow(clippy::too_many_arguments)]
                fn avx512<$($T: $bound, $($S: $stored,)? $(const $N: usize,)?)?>($($arg: $ty),*) $(-> $out)? {
                    body::<$($T, $($S,)? $($N,)?)? true>($($arg),*)
                }

                match $crate::simd::level() {
                    // SAFETY: `level` has seen that the processor has the instructions which the function is compiled
                    // for.
                    #[allow(unsafe_code)]
                    $crate::simd::Level::Avx512 => unsafe { avx512::<$($T, $($S,)? $($N,)?)?>($($arg),*) },
                    // SAFETY: as above.
                    #[allow(unsafe_code)]
                    $crate::simd::Level::Avx2 => unsafe { avx2::<$($T, $($S,)? $($N,)?)?>($($arg),*) },
                    $crate::simd::Level::Any => body::<$($T, $($S,)? $($N,)?)? false>($($arg),*),
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            body::<$($T, $($S,)? $($N,)?)? { cfg!(target_arch = "aarch64") }>($($arg),*)
        }
    };
}

/// What [`vectorized_fn`] chooses among.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
    /// AVX2 and FMA.
    Avx2,
    /// Whatever the compiler may assume.
    Any,
}

/// The best level of this processor.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn level() -> Level {
    use std::arch::is_x86_feature_detected as has;
    if !(has!("avx2") && has!("fma")) {
        Level::Any
    } else if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") {
        Level::Avx512
    } else {
        Level::Avx2
    }
}

/// The vector instructions that kernels use on this processor, by whose level sums are in another order.
#[cfg(target_arch = "x86_64")]
pub fn instructions() -> &'static str {
    match level() {
        Level::Avx512 => "AVX-512",
        Level::Avx2 => "AVX2",
        Level::Any => "x86-64",
    }
}

/// The vector instructions that kernels use on this processor, by whose level sums are in another order.
#[cfg(not(target_arch = "x86_64"))]
pub fn instructions() -> &'static str {
    std::env::consts::ARCH
}

/// The vector instructions by which the results on a device go: those of the processor, where it is the device. On others the same
/// digits are not to be had.
pub fn instructions_on(device: &str) -> Option<&'static str> {
    (device == "cpu").then(instructions)
}

/// a·b + c; rounded once where the machine does so in one instruction.
#[inline(always)]
pub fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Asks for numbers to be brought into the cache; does nothing where that cannot be asked.
#[inline(always)]
pub fn prefetch(slice: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in slice.chunks(16) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint reads nothing, and the address is that of a reference.
        #[allow(unsafe_code)]
        unsafe {
            _mm_prefetch(line.as_ptr().cast::<i8>(), _MM_HINT_T0);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = slice;
}
