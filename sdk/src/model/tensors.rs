//! Lists of numbers as tensors.

use crate::data::{Batch, Ragged};
use crate::ops::Kernels;
use burn::backend::Dispatch;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Indices of nodes as a constant.
pub(super) fn indices(nodes: &[u32], device: &Device) -> Tensor<1, Int> {
    let nodes: Vec<i32> = nodes.iter().map(|&node| node as i32).collect();
    let count = nodes.len();
    Tensor::from_data(TensorData::new(nodes, [count]), &device.clone().without_autodiff())
}

/// Numbers as one row that is constant.
///
/// # Shapes
/// - output: `[1, numbers.len()]`
pub(super) fn constants(numbers: &[f32], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(numbers.to_vec(), [1, numbers.len()]), &device.clone().without_autodiff())
}

/// Rows of column numbers as a matrix of zeros and ones. Devices with memory of their own get the numbers alone.
///
/// # Shapes
/// - output: `[rows.len(), columns]`
pub fn dense(rows: &Ragged<u32>, columns: usize, device: &Device) -> Tensor<2> {
    let (device, count) = (device.clone().without_autodiff(), rows.len());
    if device == Device::flex() || rows.values().is_empty() || columns == 0 {
        let mut values = vec![0f32; count * columns];
        let places = rows.rows().enumerate().flat_map(|(i, row)| row.iter().map(move |&c| i * columns + c as usize));
        places.for_each(|place| values[place] = 1.0);
        return Tensor::from_data(TensorData::new(values, [count, columns]), &device);
    }
    let begin = rows.offsets().iter().map(|&offset| offset as i32);
    let lists: Vec<i32> = begin.chain(rows.values().iter().map(|&column| column as i32)).collect();
    let size = lists.len();
    let lists = Tensor::<1, Int>::from_data(TensorData::new(lists, [size]), &device);
    Tensor::from_dispatch(Dispatch::marks(lists.into_dispatch(), count, columns))
}

/// What head `head` is to give for a batch.
///
/// # Shapes
/// - output: `[batch, columns]`: 0 or 1 for labels, or the numbers themselves
pub fn targets_of(batch: &Batch, head: usize, columns: usize, device: &Device) -> Tensor<2> {
    match batch.numbers_of(head) {
        [] => dense(&batch.targets[head], columns, device),
        numbers => {
            let data = TensorData::new(numbers.to_vec(), [batch.len(), columns]);
            Tensor::from_data(data, &device.clone().without_autodiff())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_marks_the_columns_of_each_row() {
        let device = crate::device::tested().unwrap().device;
        let rows: Ragged<u32> = [vec![2, 0, 2], vec![], vec![1]].into_iter().collect();
        let ours: Vec<f32> = dense(&rows, 3, &device).into_data().iter::<f32>().collect();
        assert_eq!(ours, [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    }
}
