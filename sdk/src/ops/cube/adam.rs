//! Adam in one pass over memory and one launch for many parameters: a thread for each number, cubes of their own for each
//! parameter.

use super::{CubeBackend, UNITS, cubes, ready};
use crate::ops::kernels::{AdamStep, Group, Learning};
use burn::backend::TensorMetadata;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

/// Updates parameters, means and mean squares of the first `count` places, in place where nothing else holds them.
pub(super) fn update(group: Group<CubeBackend>, count: usize, step: &AdamStep) -> Group<CubeBackend> {
    let mut number = 0;
    let group = group.map_places(|place| {
        number += 1;
        if number > count { place } else { own(place) }
    });
    let places = group.clone().into_places();
    let places: Vec<&Learning<CubeBackend>> = places.iter().take(count).filter(|p| numbers(p) > 0).collect();
    // Four buffers a parameter, beside what describes the arguments.
    let most = places.first().map_or(1, |p| p.parameter.client.properties().hardware.max_bindings as usize / 4);
    places.chunks(most.saturating_sub(1).max(1)).for_each(|places| launch(places, step));
    group
}

/// Copied where another tensor shares the memory.
fn own(place: Learning<CubeBackend>) -> Learning<CubeBackend> {
    let own = |tensor: CubeTensor| if tensor.can_mut() { tensor } else { tensor.copy() };
    let Learning { parameter, gradient, mean, square } = place;
    let [parameter, mean, square] = [parameter, mean, square].map(ready).map(own);
    Learning { parameter, gradient: ready(gradient), mean, square }
}

fn numbers(place: &Learning<CubeBackend>) -> usize {
    place.parameter.shape().num_elements()
}

fn launch(places: &[&Learning<CubeBackend>], step: &AdamStep) {
    let Some(first) = places.first() else { return };
    let (rate, root) = step.factors();
    let ends = places.iter().scan(0, |end, place| {
        *end += numbers(place).div_ceil(UNITS as usize);
        Some(*end)
    });
    let ends: Vec<usize> = ends.collect();
    let arguments = |tensor: fn(&Learning<CubeBackend>) -> &CubeTensor| {
        places.iter().map(|place| tensor(place).clone().into_buffer_arg()).collect()
    };
    step_numbers::launch(
        &first.parameter.client,
        cubes(ends.last().copied().unwrap_or(0)),
        CubeDim::new_1d(UNITS),
        arguments(|place| &place.parameter),
        arguments(|place| &place.gradient),
        arguments(|place| &place.mean),
        arguments(|place| &place.square),
        ends.iter().copied().collect(),
        places.iter().map(|place| numbers(place)).collect(),
        step.beta1 as f32,
        step.beta2 as f32,
        (1.0 - step.beta1) as f32,
        (1.0 - step.beta2) as f32,
        rate as f32,
        root as f32,
        step.epsilon as f32,
        places.len(),
    );
}

/// m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², p ← p − lr / (1 − β₁ᵗ) · m / (√(v / (1 − β₂ᵗ)) + ε), as PyTorch. The cubes
/// up to `ends[i]` belong to parameter i.
#[cube(launch)]
fn step_numbers(
    parameters: &mut Sequence<Box<[f32]>>,
    gradients: &Sequence<Box<[f32]>>,
    means: &mut Sequence<Box<[f32]>>,
    squares: &mut Sequence<Box<[f32]>>,
    ends: &Sequence<usize>,
    counts: &Sequence<usize>,
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    rate: f32,
    root: f32,
    epsilon: f32,
    #[comptime] places: usize,
) {
    let cube = (CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X) as usize;
    let mut first = 0usize;
    #[unroll]
    for i in 0..places {
        let end = ends[i];
        let at = (cube - first) * CUBE_DIM_X as usize + UNIT_POS_X as usize;
        if cube >= first && cube < end && at < counts[i] {
            let gradient = gradients.index(i);
            let mean = means.index_mut(i);
            let square = squares.index_mut(i);
            let parameter = parameters.index_mut(i);
            let g = gradient[at];
            let m = beta1 * mean[at] + rest1 * g;
            let v = beta2 * square[at] + rest2 * g * g;
            mean[at] = m;
            square[at] = v;
            parameter[at] -= rate * m / (v.sqrt() * root + epsilon);
        }
        first = end;
    }
}
