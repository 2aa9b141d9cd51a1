//! Tables of bfloat16: two numbers in 32 bits, so that every device can read them.

use super::{UNITS, thread_number, threads};
use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

/// Numbers that kernels read at once from a table of bfloat16.
pub(super) const VECTOR: usize = 4;

/// A table whose rows kernels gather.
#[derive(Clone)]
pub(super) struct Table {
    /// The numbers in 32 bits; where a bfloat16 copy exists, nothing reads them.
    pub wide: CubeTensor,
    /// In bfloat16, [`VECTOR`] numbers a place; the wide one where no bfloat16 copy exists.
    pub packed: CubeTensor,
    /// Whether a bfloat16 copy exists.
    pub narrow: bool,
}

impl Table {
    /// `values` in 32 bits, or rounded to bfloat16. Where rows cannot be read by `vector` numbers they are rounded as well, and
    /// lie in 32 bits.
    pub fn new(values: &CubeTensor, rounded: bool, vector: usize) -> Self {
        let (wide, narrow) = (values.clone(), rounded && vector == VECTOR);
        match (rounded, narrow) {
            (false, _) => Self { packed: wide.clone(), wide, narrow },
            (true, true) => Self { packed: packed(values), wide, narrow },
            (true, false) => {
                let wide = rounded_copy(values);
                Self { packed: wide.clone(), wide, narrow }
            }
        }
    }
}

/// Two numbers a word.
fn packed(values: &CubeTensor) -> CubeTensor {
    let mut shape = values.shape();
    let last = shape.num_dims() - 1;
    shape[last] /= 2;
    let output = empty_device_contiguous_dtype(values.client.clone(), values.device.clone(), shape, DType::U32);
    let (input, count) = (values.clone().into_buffer_arg(), output.shape().num_elements());
    let to = output.clone().into_buffer_arg();
    pack::launch(&output.client, threads(count), CubeDim::new_1d(UNITS), input, to, count);
    output
}

fn rounded_copy(values: &CubeTensor) -> CubeTensor {
    let (client, device) = (values.client.clone(), values.device.clone());
    let output = empty_device_contiguous_dtype(client, device, values.shape(), values.dtype);
    let (input, count) = (values.clone().into_buffer_arg(), output.shape().num_elements());
    let to = output.clone().into_buffer_arg();
    round_all::launch(&output.client, threads(count), CubeDim::new_1d(UNITS), input, to, count);
    output
}

/// The bits of the nearest number of bfloat16, ties to even, and 16 zeros. NaN stays NaN.
#[cube]
fn nearest(x: f32) -> u32 {
    let bits = u32::reinterpret(x);
    let up = 0x7fffu32 + ((bits >> 16u32) & 1u32);
    let mut rounded = bits + up;
    if (bits & 0x7fff_ffffu32) > 0x7f80_0000u32 {
        rounded = bits | 0x0040_0000u32;
    }
    rounded & 0xffff_0000u32
}

/// The nearest numbers of bfloat16.
#[cube]
pub(super) fn round<N: Size>(values: Vector<f32, N>) -> Vector<f32, N> {
    let mut out = Vector::<f32, N>::new(0.0f32);
    #[unroll]
    for c in 0..N::value() {
        out.insert(c, f32::reinterpret(nearest(values.extract(c))));
    }
    out
}

/// The numbers of a place of a packed table.
#[cube]
pub(super) fn widen<N: Size, M: Size>(words: Vector<u32, M>) -> Vector<f32, N> {
    let mut out = Vector::<f32, N>::new(0.0f32);
    #[unroll]
    for c in 0..M::value() {
        let word = words.extract(c);
        out.insert(c * 2, f32::reinterpret(word << 16u32));
        out.insert(c * 2 + 1, f32::reinterpret(word & 0xffff_0000u32));
    }
    out
}

#[cube(launch)]
fn pack(values: &[f32], output: &mut [u32], count: usize) {
    let at = thread_number();
    if at < count {
        output[at] = (nearest(values[at * 2]) >> 16u32) | nearest(values[at * 2 + 1]);
    }
}

#[cube(launch)]
fn round_all(values: &[f32], output: &mut [f32], count: usize) {
    let at = thread_number();
    if at < count {
        output[at] = f32::reinterpret(nearest(values[at]));
    }
}
