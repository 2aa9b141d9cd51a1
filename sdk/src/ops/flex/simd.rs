//! Compiles a function for the vector instructions of the machine it runs on.

/// Defines `fn $name`, whose body is compiled three times on x86-64 (for any machine, with AVX2 and FMA, with AVX-512)
/// and chosen by what the processor has; elsewhere once. In the body, the constant `$fma` says whether `mul_add` is a
/// single instruction (else it would be a call into the C library). After a semicolon stands the name of a number that
/// is known when the function is compiled.
macro_rules! vectorized {
    ($(#[$meta:meta])* fn $name:ident<$T:ident: $bound:path $(, $S:ident: $stored:path)? $(; $C:ident)?>($($arg:ident: $ty:ty),* $(,)?), $fma:ident, $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        pub(super) fn $name<$T: $bound $(, $S: $stored)? $(, const $C: usize)?>($($arg: $ty),*) {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body<$T: $bound $(, $S: $stored)? $(, const $C: usize)?, const $fma: bool>($($arg: $ty),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx2<$T: $bound $(, $S: $stored)? $(, const $C: usize)?>($($arg: $ty),*) {
                    body::<$T $(, $S)? $(, $C)?, true>($($arg),*)
                }

                #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
                #[allow(clippy::too_many_arguments)]
                fn avx512<$T: $bound $(, $S: $stored)? $(, const $C: usize)?>($($arg: $ty),*) {
                    body::<$T $(, $S)? $(, $C)?, true>($($arg),*)
                }

                match $crate::simd::level() {
                    // SAFETY: `level` has seen that the processor has the instructions which the function is compiled
                    // for.
                    #[allow(unsafe_code)]
                    $crate::simd::Level::Avx512 => unsafe { avx512::<$T $(, $S)? $(, $C)?>($($arg),*) },
                    // SAFETY: as above.
                    #[allow(unsafe_code)]
                    $crate::simd::Level::Avx2 => unsafe { avx2::<$T $(, $S)? $(, $C)?>($($arg),*) },
                    $crate::simd::Level::Any => body::<$T $(, $S)? $(, $C)?, false>($($arg),*),
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            body::<$T $(, $S)? $(, $C)?, { cfg!(target_arch = "aarch64") }>($($arg),*)
        }
    };
}
pub(super) use vectorized;
