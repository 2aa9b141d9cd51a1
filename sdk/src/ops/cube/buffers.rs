//! Copies of compressed lists on devices.

use super::super::Csr;
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeDevice;
use burn_cubecl::tensor::CubeTensor;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// The lists of a [`Csr`] on every device that has asked for them.
#[derive(Default)]
pub(in super::super) struct Buffers {
    forward: Mutex<Vec<(CubeDevice, Lists)>>,
    backward: Mutex<Vec<(CubeDevice, TransposedLists)>>,
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers").finish_non_exhaustive()
    }
}

/// [`Csr`] on a device.
#[derive(Clone)]
pub(super) struct Lists {
    pub offsets: CubeTensor,
    pub members: CubeTensor,
    /// One entry where all weights are 1.
    pub weights: CubeTensor,
}

/// [`super::super::Transposed`] on a device.
#[derive(Clone)]
pub(super) struct TransposedLists {
    pub offsets: CubeTensor,
    pub outputs: CubeTensor,
    pub positions: CubeTensor,
    pub slots: CubeTensor,
}

/// The lists where `like` is.
pub(super) fn lists(csr: &Csr, like: &CubeTensor) -> Lists {
    kept(&csr.device.forward, like, || Lists {
        offsets: numbers(csr.offsets(), like),
        members: numbers(csr.members(), like),
        weights: upload(bytemuck::cast_slice(csr.weights().unwrap_or(&[1.0])), DType::F32, like),
    })
}

/// The transposed lists where `like` is.
pub(super) fn transposed(csr: &Csr, like: &CubeTensor) -> TransposedLists {
    kept(&csr.device.backward, like, || {
        let t = csr.transposed();
        TransposedLists {
            offsets: numbers(&t.offsets, like),
            outputs: numbers(&t.outputs, like),
            positions: numbers(&t.positions, like),
            slots: numbers(&t.slots, like),
        }
    })
}

fn kept<T: Clone>(all: &Mutex<Vec<(CubeDevice, T)>>, like: &CubeTensor, make: impl FnOnce() -> T) -> T {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, found)) = all.iter().find(|(device, _)| *device == like.device) {
        return found.clone();
    }
    let made = make();
    all.push((like.device.clone(), made.clone()));
    made
}

/// Buffers must not be empty: an empty list gets one entry that nothing reads.
fn numbers(list: &[u32], like: &CubeTensor) -> CubeTensor {
    upload(bytemuck::cast_slice(if list.is_empty() { &[0] } else { list }), DType::U32, like)
}

fn upload(bytes: &[u8], dtype: DType, like: &CubeTensor) -> CubeTensor {
    let shape = Shape::new([bytes.len() / dtype.size()]);
    let handle = like.client.create_from_slice(bytes);
    CubeTensor::new_contiguous(like.client.clone(), like.device.clone(), shape, handle, dtype)
}
