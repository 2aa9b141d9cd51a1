//! Kernels in CubeCL, for CUDA and wgpu devices. A cube (thread block) or a thread owns each output, so that nothing is
//! added atomically.

// The arguments of kernels, and their loops, are what CubeCL can compile.
#![allow(clippy::too_many_arguments, clippy::needless_range_loop)]

mod adam;
mod buffers;
mod copy_scores;
mod cross_entropy;
mod dropout;
mod edge_attention;
mod largest;
mod marks;
mod matrix_product;
mod narrow;
pub(crate) mod reduce;
mod set_attention;
mod sparse_product;
mod vectors;

use super::dropped::Dropped;
use super::kernels::{AdamStep, Entropy, Group, Kernels};
use super::{Csr, Precision};
use crate::sparse::in_32_bits;
use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use std::sync::Arc;

/// Units of a cube; a power of two.
pub(crate) const UNITS: u32 = 256;
/// Cubes along the first axis of a grid; wgpu allows 65,535.
const GRID: u32 = 32_768;

/// Groups of rows that end at `ends`, with their numbers.
fn groups(ends: &[usize]) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> {
    std::iter::once(0).chain(ends.iter().copied()).zip(ends.iter().copied()).map(|(from, to)| from..to).enumerate()
}

/// Some rows of a table.
fn rows_of(table: CubeTensor, rows: std::ops::Range<usize>) -> CubeTensor {
    ready(CubeBackend::float_slice(table, &[rows.into()]))
}

impl Kernels for CubeBackend {
    fn matrix_product(
        left: FloatTensor<Self>,
        right: FloatTensor<Self>,
        transposed: [bool; 2],
        precision: Precision,
    ) -> FloatTensor<Self> {
        matrix_product::product(left, right, transposed, precision)
    }

    fn segment_product(
        values: FloatTensor<Self>,
        matrices: FloatTensor<Self>,
        ends: Arc<Vec<usize>>,
        transposed: bool,
    ) -> FloatTensor<Self> {
        let k = matrices.shape()[0] / ends.len();
        let products = groups(&ends).map(|(group, rows)| {
            let matrix = rows_of(matrices.clone(), group * k..(group + 1) * k);
            matrix_product::product(rows_of(values.clone(), rows), matrix, [false, transposed], Precision::F32)
        });
        Self::float_cat(products.collect(), 0)
    }

    fn segment_gradient(
        values: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        ends: Arc<Vec<usize>>,
    ) -> FloatTensor<Self> {
        let sums = groups(&ends).map(|(_, rows)| {
            let [values, gradient] = [values.clone(), gradient.clone()].map(|t| rows_of(t, rows.clone()));
            matrix_product::product(values, gradient, [true, false], Precision::F32)
        });
        Self::float_cat(sums.collect(), 0)
    }

    fn edge_attention(
        target: FloatTensor<Self>,
        source: FloatTensor<Self>,
        values: FloatTensor<Self>,
        edges: Arc<Csr>,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [target, source, values] = [target, source, values].map(ready);
        edge_attention::forward(target, source, values, &edges, slope)
    }

    fn edge_attention_backward(
        gradient: FloatTensor<Self>,
        target: FloatTensor<Self>,
        source: FloatTensor<Self>,
        values: FloatTensor<Self>,
        output: FloatTensor<Self>,
        log_sum_exp: FloatTensor<Self>,
        edges: Arc<Csr>,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [gradient, target, source, values, output, log_sum_exp] =
            [gradient, target, source, values, output, log_sum_exp].map(ready);
        edge_attention::backward([gradient, target, source, values, output, log_sum_exp], &edges, slope)
    }

    fn add_row(values: FloatTensor<Self>, row: FloatTensor<Self>) -> FloatTensor<Self> {
        CubeBackend::float_add(values, row)
    }

    fn row_sums(values: FloatTensor<Self>) -> FloatTensor<Self> {
        vectors::row_sums(ready(values), None)
    }

    fn total(values: FloatTensor<Self>, mean: bool) -> FloatTensor<Self> {
        vectors::total(ready(values), mean)
    }

    fn sparse_product(values: FloatTensor<Self>, matrix: Arc<Csr>, transposed: bool, rows: usize) -> FloatTensor<Self> {
        sparse_product::product(ready(values), &matrix, transposed, rows)
    }

    fn largest(values: FloatTensor<Self>, lists: Arc<Csr>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        largest::forward(ready(values), &lists)
    }

    fn largest_backward(
        gradient: FloatTensor<Self>,
        places: FloatTensor<Self>,
        lists: Arc<Csr>,
        rows: usize,
    ) -> FloatTensor<Self> {
        largest::backward(ready(gradient), ready(places), &lists, rows)
    }

    fn set_attention(
        scores: FloatTensor<Self>,
        values: FloatTensor<Self>,
        sets: Arc<Csr>,
        dropped: Dropped,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        set_attention::forward(ready(scores), ready(values), &sets, dropped)
    }

    fn set_attention_backward(
        gradient: FloatTensor<Self>,
        scores: FloatTensor<Self>,
        values: FloatTensor<Self>,
        output: FloatTensor<Self>,
        log_sum_exp: FloatTensor<Self>,
        sets: Arc<Csr>,
        dropped: Dropped,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        set_attention::backward([gradient, scores, values, output, log_sum_exp].map(ready), &sets, dropped)
    }

    fn dropout(values: FloatTensor<Self>, dropped: Dropped) -> FloatTensor<Self> {
        dropout::drop_places(ready(values), dropped)
    }

    fn rectify(values: FloatTensor<Self>, row: FloatTensor<Self>, dropped: Dropped) -> FloatTensor<Self> {
        dropout::rectify(ready(values), ready(row), dropped)
    }

    fn rectify_backward(gradient: FloatTensor<Self>, output: FloatTensor<Self>, scale: f32) -> FloatTensor<Self> {
        dropout::rectify_backward(gradient, ready(output), scale)
    }

    fn cross_entropy(logits: FloatTensor<Self>, targets: FloatTensor<Self>, terms: Entropy) -> FloatTensor<Self> {
        cross_entropy::forward(ready(logits), ready(targets), terms)
    }

    fn cross_entropy_backward(
        gradient: FloatTensor<Self>,
        logits: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        terms: Entropy,
    ) -> FloatTensor<Self> {
        cross_entropy::backward(ready(gradient), ready(logits), ready(targets), terms)
    }

    fn marks(lists: IntTensor<Self>, rows: usize, columns: usize) -> FloatTensor<Self> {
        marks::matrix(into_contiguous(lists), rows, columns)
    }

    fn copy_scores(
        own_of: FloatTensor<Self>,
        own: FloatTensor<Self>,
        near_of: FloatTensor<Self>,
        near: FloatTensor<Self>,
        item_of: FloatTensor<Self>,
        item: FloatTensor<Self>,
        lists: Arc<Csr>,
        patients: usize,
    ) -> FloatTensor<Self> {
        copy_scores::forward([own_of, own, near_of, near, item_of, item].map(ready), &lists, patients)
    }

    fn copy_scores_backward(
        gradient: FloatTensor<Self>,
        own_of: FloatTensor<Self>,
        item_of: FloatTensor<Self>,
        lists: Arc<Csr>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        copy_scores::backward(ready(gradient), dims(&own_of), dims(&item_of)[0], &lists)
    }

    fn adam(group: Group<Self>, count: usize, step: AdamStep) -> Group<Self> {
        adam::update(group, count, &step)
    }
}

/// Contiguous and of 32 bits, as the kernels want them.
fn ready(tensor: CubeTensor) -> CubeTensor {
    assert!(tensor.dtype == DType::F32, "the kernels take numbers of 32 bits on this device, not {:?}", tensor.dtype);
    let shape = tensor.shape();
    in_32_bits(shape.iter().product(), || format!("a table of {shape:?}"));
    into_contiguous(tensor)
}

/// A matrix whose rows are in order, though something may lie between them, as in columns of a wider one; and how many numbers
/// lie from the beginning of a row to that of the next.
fn with_pitch(matrix: CubeTensor) -> (CubeTensor, usize) {
    let (strides, [rows, width]) = (matrix.meta.strides(), dims(&matrix));
    let pitch = strides[0];
    if strides[1] != 1 || pitch < width || matrix.dtype != DType::F32 {
        return (ready(matrix), width);
    }
    in_32_bits(rows.saturating_mul(pitch), || format!("{width} columns of a table of {rows} rows and {pitch} columns"));
    (matrix, pitch)
}

/// Refuses a matrix, as it lies, whose numbers kernels cannot count.
fn check_countable(matrix: &CubeTensor) {
    let (strides, [rows, columns]) = (matrix.meta.strides(), dims(matrix));
    let last = rows.saturating_sub(1).saturating_mul(strides[0]) + columns.saturating_sub(1).saturating_mul(strides[1]);
    let numbers = rows.saturating_mul(columns).max(last + 1);
    in_32_bits(numbers, || format!("a table of {rows} rows and {columns} columns"));
}

fn dims(tensor: &CubeTensor) -> [usize; 2] {
    let shape = tensor.shape();
    [shape[0], shape[1]]
}

/// Memory for `rows` times `columns` numbers, where `like` is.
fn empty(like: &CubeTensor, rows: usize, columns: usize) -> CubeTensor {
    in_32_bits(rows.saturating_mul(columns), || format!("a table of {rows} rows and {columns} columns"));
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), Shape::new([rows, columns]), like.dtype)
}

/// Products of the rows of two tables, head by head: `[rows, heads * d]` twice → `[rows, heads]`. Those of the first are
/// rounded to `precision`.
fn row_products(a: CubeTensor, b: CubeTensor, heads: usize, precision: Precision) -> CubeTensor {
    let [rows, width] = dims(&a);
    let each = vectors::Each { rounded: precision == Precision::Bf16 };
    reshaped(vectors::row_dots(ready(a), ready(b), rows * heads, width / heads, Some(each)), rows, heads)
}

/// The same numbers in another shape.
fn reshaped(tensor: CubeTensor, rows: usize, columns: usize) -> CubeTensor {
    ready(CubeBackend::float_reshape(tensor, Shape::new([rows, columns])))
}

/// A grid of at least `count` cubes.
pub(crate) fn cubes(count: usize) -> CubeCount {
    let count = count.max(1) as u32;
    CubeCount::Static(count.min(GRID), count.div_ceil(GRID), 1)
}

/// How the units of a cube share rows: `lanes` of them read a row together, `vector` numbers each, and the others do the same
/// for other rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Numbers that are read at once.
    pub vector: usize,
    lanes: usize,
    units: u32,
}

impl Layout {
    /// For rows of `width` numbers, of which a cube goes through some `length`.
    pub fn new(width: usize, length: usize, tables: &[&CubeTensor]) -> Self {
        // Sixteen bytes at a time, where all rows begin at multiples of that.
        let aligned = |t: &&CubeTensor| t.handle.offset_start.unwrap_or(0).is_multiple_of(16);
        let vector = if width.is_multiple_of(4) && tables.iter().all(aligned) { 4 } else { 1 };
        let lanes = (width / vector).next_power_of_two().min(UNITS as usize);
        let rows = (length / 4).next_power_of_two();
        Self { vector, lanes, units: ((lanes * rows) as u32).clamp(32, UNITS) }
    }

    /// The same rows, by cubes of which at most so many units go along one.
    fn narrow(&self, lanes: usize) -> Self {
        Self { lanes: self.lanes.min(lanes), units: UNITS, ..*self }
    }

    fn dim(&self) -> CubeDim {
        CubeDim::new_1d(self.units)
    }

    /// Words of 32 bits that hold as many numbers of bfloat16 as are read at once.
    fn words(&self) -> usize {
        self.vector.div_ceil(2)
    }
}

/// Adds up the partial sums of lists that were cut into pieces, in order; `output` has rows of `width` numbers.
fn join(pieces: &buffers::Pieces, partial: CubeTensor, output: &CubeTensor, width: usize) {
    if pieces.long > 0 {
        join_pieces::launch(
            &output.client,
            threads(pieces.long * width),
            CubeDim::new_1d(UNITS),
            pieces.rows.clone().into_buffer_arg(),
            partial.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            pieces.long,
            width,
        );
    }
}

#[cube(launch)]
fn join_pieces(rows: &[u32], partial: &[f32], output: &mut [f32], long: usize, width: usize) {
    let number = thread_number();
    if number < long * width {
        let (at, channel) = (number / width, number % width);
        let list = rows[at * 3] as usize;
        let first = rows[at * 3 + 1] as usize;
        let mut sum = 0.0f32;
        for piece in 0..rows[at * 3 + 2] as usize {
            sum += partial[(first + piece) * width + channel];
        }
        output[list * width + channel] = sum;
    }
}

/// Where a piece begins and ends, of which list it is, and which row of partial sums it fills, counted from 1. Beyond the
/// pieces come lists without entries.
#[cube]
fn piece_bounds(bounds: &[u32], piece: usize, pieces: usize, lists: usize) -> (usize, usize, usize, usize) {
    let mut list = lists + piece - pieces;
    let mut first = 0usize;
    let mut end = 0usize;
    let mut row = 0usize;
    if piece < pieces {
        list = bounds[piece * 4] as usize;
        first = bounds[piece * 4 + 1] as usize;
        end = bounds[piece * 4 + 2] as usize;
        row = bounds[piece * 4 + 3] as usize;
    }
    (list, first, end, row)
}

/// A grid with a thread for each of `count` numbers.
pub(crate) fn threads(count: usize) -> CubeCount {
    cubes(count.div_ceil(UNITS as usize))
}

/// The number of this thread in its grid.
#[cube]
pub(crate) fn thread_number() -> usize {
    ((CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X) * CUBE_DIM_X + UNIT_POS_X) as usize
}

/// The number of this cube in its grid.
#[cube]
pub(crate) fn cube_number() -> usize {
    (CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X) as usize
}
