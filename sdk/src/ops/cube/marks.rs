//! Multi-hot rows from the columns that they list: a thread for each number.

use super::{UNITS, empty, thread_number, threads};
use burn::tensor::DType;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

/// Multi-hot rows: 1 in the columns that a row lists, else 0. `lists` has where each row's columns begin and end, and then the
/// columns.
///
/// # Shapes
/// - `lists`: `[rows + 1 + numbers]`; output: `[rows, columns]`, in 32 bits
pub(super) fn matrix(lists: CubeTensor, rows: usize, columns: usize) -> CubeTensor {
    assert!(lists.dtype == DType::I32, "lists of whole numbers of 32 bits, not {:?}", lists.dtype);
    let output = empty(&CubeTensor { dtype: DType::F32, ..lists.clone() }, rows, columns);
    mark::launch(
        &output.client,
        threads(rows * columns),
        CubeDim::new_1d(UNITS),
        lists.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        rows,
        columns,
    );
    output
}

#[cube(launch)]
fn mark(lists: &[i32], output: &mut [f32], rows: usize, columns: usize) {
    let number = thread_number();
    if number >= rows * columns {
        terminate!();
    }
    let (row, column) = (number / columns, (number % columns) as i32);
    let mut found = 0.0f32;
    for at in lists[row] as usize..lists[row + 1] as usize {
        if lists[rows + 1 + at] == column {
            found = 1.0f32;
        }
    }
    output[number] = found;
}
