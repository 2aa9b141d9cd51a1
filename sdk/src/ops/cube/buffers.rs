//! Copies of compressed lists on devices.

use super::super::Csr;
use burn::tensor::{Bytes, DType, Shape};
use burn_cubecl::CubeDevice;
use burn_cubecl::tensor::CubeTensor;
use std::sync::{Mutex, PoisonError};

/// The lists of a [`Csr`] on every device that has asked for them.
#[derive(Default)]
struct Buffers {
    forward: Mutex<Vec<(CubeDevice, Lists)>>,
    backward: Mutex<Vec<(CubeDevice, TransposedLists)>>,
    pieces: [Mutex<Vec<(CubeDevice, Pieces)>>; 2],
}

/// The most entries of a list that one cube goes through, one group of units after the other.
const PIECE: u32 = 512;

/// Lists cut into pieces, so that no cube works long when all others are done: each piece is a cube's.
#[derive(Clone)]
pub(super) struct Pieces {
    /// How many there are.
    pub count: usize,
    /// For each its list, its first entry, the one after its last, and one more than the row of partial sums that it fills;
    /// 0 there, where it is the whole list.
    pub bounds: CubeTensor,
    /// Rows of partial sums.
    pub partial: usize,
    /// Lists of more than one piece.
    pub long: usize,
    /// For each of these the list, its first row of partial sums and how many it has.
    pub rows: CubeTensor,
}

impl Pieces {
    fn new(offsets: &[u32], like: &CubeTensor) -> Self {
        let (mut bounds, mut rows, mut partial) = (Vec::new(), Vec::new(), 0u32);
        for (list, ends) in offsets.windows(2).enumerate() {
            let (first, end) = (ends[0], ends[1]);
            let pieces = (end - first).div_ceil(PIECE);
            if pieces < 2 {
                bounds.extend([list as u32, first, end, 0]);
                continue;
            }
            rows.extend([list as u32, partial, pieces]);
            for begin in (first..end).step_by(PIECE as usize) {
                partial += 1;
                bounds.extend([list as u32, begin, end.min(begin + PIECE), partial]);
            }
        }
        let (count, long) = (bounds.len() / 4, rows.len() / 3);
        let bounds = numbers(&bounds, like);
        let rows = if long == 0 { bounds.clone() } else { numbers(&rows, like) }; // nothing reads them
        Self { count, bounds, partial: partial as usize, long, rows }
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
    kept(&csr.copies::<Buffers>().forward, like, || Lists {
        offsets: numbers(csr.offsets(), like),
        members: numbers(csr.members(), like),
        weights: upload(csr.weights().unwrap_or(&[1.0]), DType::F32, like),
    })
}

/// The transposed lists where `like` is.
pub(super) fn transposed(csr: &Csr, like: &CubeTensor) -> TransposedLists {
    kept(&csr.copies::<Buffers>().backward, like, || {
        let t = csr.transposed();
        TransposedLists {
            offsets: numbers(&t.offsets, like),
            outputs: numbers(&t.outputs, like),
            positions: numbers(&t.positions, like),
            slots: numbers(&t.slots, like),
        }
    })
}

/// The pieces of the lists, or of the transposed ones, where `like` is.
pub(super) fn pieces(csr: &Csr, transposed: bool, like: &CubeTensor) -> Pieces {
    kept(&csr.copies::<Buffers>().pieces[usize::from(transposed)], like, || {
        Pieces::new(if transposed { &csr.transposed().offsets } else { csr.offsets() }, like)
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
    upload(if list.is_empty() { &[0] } else { list }, DType::U32, like)
}

/// A copy of these numbers. `create_from_slice` would copy them twice on their way.
fn upload<T: bytemuck::NoUninit + Send + Sync>(numbers: &[T], dtype: DType, like: &CubeTensor) -> CubeTensor {
    let shape = Shape::new([numbers.len()]);
    let handle = like.client.create(Bytes::from_elems(numbers.to_vec()));
    CubeTensor::new_contiguous(like.client.clone(), like.device.clone(), shape, handle, dtype)
}
