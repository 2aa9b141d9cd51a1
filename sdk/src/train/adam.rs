//! Adam as PyTorch computes it, one kernel a parameter.

use crate::ops::{AdamStep, Kernels};
use burn::backend::Dispatch;
use burn::optim::{AdamState, AdaptiveMomentumState, LearningRate, Optimizer};
use burn::tensor::{Device, Tensor};

/// Adam (Kingma and Ba 2015, algorithm 1) with PyTorch's defaults: β = (0.9, 0.999), ε = 1e-8 beside the root of the
/// corrected second moment. Each parameter and its moments are updated in one pass over memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Adam;

impl Optimizer for Adam {
    type State<const D: usize> = AdamState<D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let (time, mean, square) = match state {
            Some(AdamState { momentum }) => (momentum.time + 1, momentum.moment_1, momentum.moment_2),
            None => (1, tensor.zeros_like(), tensor.zeros_like()),
        };
        let step = AdamStep { lr, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, time: time as i32 };
        let [p, g, m, v] = [tensor, grad, mean, square].map(Tensor::into_dispatch);
        let (p, m, v) = Dispatch::adam(p, g, m, v, step);
        let [p, m, v] = [p, m, v].map(Tensor::from_dispatch);
        (p, Some(AdamState::new(AdaptiveMomentumState::new(time, m, v))))
    }

    fn to_device<const D: usize>(mut state: Self::State<D>, device: &Device) -> Self::State<D> {
        state.momentum = state.momentum.to_device(device);
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    /// Gradients, and the parameter after them: the algorithm of PyTorch's documentation in 64 bits, in Python.
    ///
    /// ```python
    /// m[i] = 0.9 * m[i] + 0.1 * g[i]; v[i] = 0.999 * v[i] + 0.001 * g[i] ** 2
    /// p[i] -= 0.1 * (m[i] / (1 - 0.9 ** t)) / (math.sqrt(v[i] / (1 - 0.999 ** t)) + 1e-8)
    /// ```
    const STEPS: [([f32; 3], [f32; 3]); 3] = [
        ([0.1, -3.0, 0.0], [0.900_000_01, -1.900_000_1, 0.5]),
        ([0.2, 1.0, 1e-9], [0.803_481_8, -1.859_978_1, 0.495_084_5]),
        ([-0.4, 1.0, 0.0], [0.822_861_25, -1.849_761, 0.491_944_75]),
    ];

    #[test]
    fn steps_are_those_of_the_algorithm() {
        let device = Device::flex();
        let tensor = |values: [f32; 3]| Tensor::<1>::from_data(TensorData::from(values), &device);
        let (mut p, mut state) = (tensor([1.0, -2.0, 0.5]), None);
        for (g, expected) in STEPS {
            (p, state) = Adam.step(0.1, p, tensor(g), state);
            let ours: Vec<f32> = p.to_data().iter::<f32>().collect();
            for (a, b) in ours.iter().zip(expected) {
                assert!((a - b).abs() < 2e-7, "{ours:?} is not {expected:?}");
            }
        }
    }
}
