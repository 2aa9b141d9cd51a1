//! Activations between two bounds, against burn's own.

use super::{agree, device, differentiate, random, with_gradients};
use crate::ops::kernels::{Activation, Kernels};
use burn::backend::Dispatch;
use burn::tensor::{DType, Device, Tensor, activation};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn activate(values: Tensor<2>, by: Activation) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::activate(values.into_dispatch(), by))
}

fn plain(values: Tensor<2>, by: Activation) -> Tensor<2> {
    match by {
        Activation::Tanh => activation::tanh(values),
        Activation::Sigmoid => activation::sigmoid(values),
    }
}

#[test]
fn activations_and_their_gradients_are_those_of_burn() {
    let (device, tolerance) = device();
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    for by in [Activation::Tanh, Activation::Sigmoid] {
        for [m, n] in [[1, 1], [3, 5], [150, 333]] {
            // From where the functions are straight to where they are flat.
            let inputs = [random(&mut rng, m, n) * 8.0];
            let cotangent = random(&mut rng, m, n);
            let ours = with_gradients(&device, &inputs, &cotangent, |[x]| activate(x, by));
            let expected = with_gradients(&Device::flex(), &inputs, &cotangent, |[x]| plain(x, by));
            agree(&format!("{by:?}"), ours, expected, tolerance);
            // A tensor without gradients, and one that is not contiguous.
            let turned = inputs[0].clone().transpose();
            let ours = activate(turned.clone().to_device(&device), by);
            agree(&format!("{by:?}, turned"), vec![ours], vec![plain(turned, by)], tolerance);
        }
    }
}

#[test]
fn gradients_are_differences() {
    let mut rng = ChaCha8Rng::seed_from_u64(18);
    let mut doubles = || random(&mut rng, 3, 4).cast(DType::F64);
    let (x, cotangent) = (doubles(), doubles());
    for by in [Activation::Tanh, Activation::Sigmoid] {
        differentiate([x.clone()], cotangent.clone(), |[x]| activate(x, by));
    }
}
