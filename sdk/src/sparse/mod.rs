//! Lists of different lengths, as they are and as kernels run over them, and in which numbers these read tables.

mod csr;
mod precision;
mod ragged;
mod sets;

pub(crate) use csr::in_32_bits;
pub use csr::{Csr, Transposed};
pub use precision::Precision;
pub use ragged::Ragged;
pub use sets::Sets;
