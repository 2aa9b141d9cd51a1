//! Sums and maxima over the units of a cube, in a fixed order.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// The sum of the numbers of a vector.
#[cube]
pub(crate) fn sum_lanes<N: Size>(values: Vector<f32, N>) -> f32 {
    let mut total = 0.0f32;
    #[unroll]
    for c in 0..N::value() {
        total += values.extract(c);
    }
    total
}

/// Adds up what groups of `lanes` units have of the same numbers, group after group, for the units of the first. `buffer` has
/// one place a unit.
#[cube]
pub(crate) fn sum_groups<N: Size>(
    buffer: &mut Shared<[Vector<f32, N>]>,
    own: Vector<f32, N>,
    #[comptime] lanes: usize,
) -> Vector<f32, N> {
    let unit = UNIT_POS_X as usize;
    buffer[unit] = own;
    sync_cube();
    let mut sum = own;
    if unit < lanes {
        let mut other = unit + lanes;
        while other < CUBE_DIM_X as usize {
            sum += buffer[other];
            other += lanes;
        }
    }
    sync_cube();
    sum
}

/// The sum of what the units put in, for all of them. `buffer` has one place a unit; their number is a power of two.
#[cube]
pub(crate) fn sum_units(buffer: &mut Shared<[f32]>, value: f32) -> f32 {
    let unit = UNIT_POS_X as usize;
    buffer[unit] = value;
    sync_cube();
    let mut half = CUBE_DIM_X as usize / 2;
    while half > 0 {
        if unit < half {
            let other = buffer[unit + half];
            buffer[unit] += other;
        }
        sync_cube();
        half /= 2;
    }
    let total = buffer[0];
    sync_cube();
    total
}

/// The largest of what the units put in, for all of them.
#[cube]
pub(crate) fn max_units(buffer: &mut Shared<[f32]>, value: f32) -> f32 {
    let unit = UNIT_POS_X as usize;
    buffer[unit] = value;
    sync_cube();
    let mut half = CUBE_DIM_X as usize / 2;
    while half > 0 {
        if unit < half {
            let other = buffer[unit + half];
            if other > buffer[unit] {
                buffer[unit] = other;
            }
        }
        sync_cube();
        half /= 2;
    }
    let top = buffer[0];
    sync_cube();
    top
}
