//! The equations of [`Equation`], one dimension at a time.

use crate::kge::formula::Equation;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use std::f32::consts::PI;

/// sin(πy) for y in [0, ½], as a polynomial with an error below 10⁻⁸ before rounding.
#[allow(clippy::approx_constant)] // a coefficient of the fit, which is not π
#[cube]
fn sine(y: f32) -> f32 {
    let z = y * y;
    y * ((((0.077_220_13f32 * z - 0.598_045_2f32) * z + 2.550_031_4f32) * z - 5.167_706_7f32) * z + 3.141_592_6f32)
}

/// |sin πx|.
#[cube]
fn abs_sine(x: f32) -> f32 {
    sine((x - x.round()).abs())
}

/// The derivative of |sin πx| by πx.
#[cube]
fn abs_sine_slope(x: f32) -> f32 {
    let u = x - x.round();
    let slope = sine(0.5f32 - u.abs());
    if u < 0.0 { -slope } else { slope }
}

/// 1, −1, or 0 at 0.
#[cube]
fn sign(x: f32) -> f32 {
    let mut sign = 0.0f32;
    if x > 0.0 {
        sign = 1.0f32;
    }
    if x < 0.0 {
        sign = f32::new(-1.0);
    }
    sign
}

/// A relation's modulus and bias as they act in HAKE: |m|, and b between −|m| and 1.
#[cube]
fn acting(modulus: f32, bias: f32) -> (f32, f32) {
    let modulus = modulus.abs();
    let mut acts = bias;
    if acts > 1.0 {
        acts = 1.0f32;
    }
    if acts < -modulus {
        acts = -modulus;
    }
    (modulus, acts)
}

/// The query of an entity and a relation whose other side is open: the head, or the tail.
#[cube]
#[allow(clippy::too_many_lines, reason = "a kernel is read whole")]
pub(super) fn query(
    x: f32,
    y: f32,
    r0: f32,
    r1: f32,
    r2: f32,
    scale: f32,
    #[comptime] head: bool,
    #[comptime] equation: Equation,
) -> (f32, f32, f32) {
    let mut q0 = x;
    let mut q1 = y;
    let mut q2 = 0.0f32;
    if comptime!(equation == Equation::Hake) {
        let (modulus, bias) = acting(r1, r2);
        if comptime!(head) {
            q0 = (r0 - x) * scale;
            q1 = modulus + bias;
            q2 = y * (1.0f32 - bias);
        } else {
            q0 = -(x + r0) * scale;
            q1 = 1.0f32 - bias;
            q2 = y * (modulus + bias);
        }
    }
    if comptime!(equation == Equation::Mode) {
        if comptime!(head) {
            q0 = r0;
            q1 = x;
        } else {
            q0 = 1.0f32;
            q1 = x * r0;
        }
    }
    if comptime!(equation == Equation::Rotate) {
        let angle = r0 * scale;
        let cosine = angle.cos();
        let mut sine = angle.sin();
        if comptime!(head) {
            sine = -sine;
        }
        q0 = x * cosine - y * sine;
        q1 = x * sine + y * cosine;
    }
    if comptime!(equation == Equation::Transe) {
        if comptime!(head) {
            q0 = x - r0;
        } else {
            q0 = x + r0;
        }
    }
    if comptime!(equation == Equation::Complex) {
        let mut imaginary = r1;
        if comptime!(head) {
            imaginary = -imaginary;
        }
        q0 = x * r0 - y * imaginary;
        q1 = x * imaginary + y * r0;
    }
    (q0, q1, q2)
}

/// Gradients of the entity and the relation of a query, from that of the query.
#[cube]
#[allow(clippy::too_many_lines, reason = "a kernel is read whole")]
pub(super) fn query_gradient(
    x: f32,
    y: f32,
    r0: f32,
    r1: f32,
    r2: f32,
    d0: f32,
    d1: f32,
    d2: f32,
    scale: f32,
    #[comptime] head: bool,
    #[comptime] equation: Equation,
) -> (f32, f32, f32, f32, f32) {
    let mut dx = d0;
    let mut dy = 0.0f32;
    let mut s0 = d0;
    let mut s1 = 0.0f32;
    let mut s2 = 0.0f32;
    if comptime!(equation == Equation::Hake) {
        let (modulus, bias) = acting(r1, r2);
        let turn = d0 * scale;
        dx = -turn;
        let mut d_modulus = d2 * y;
        let mut d_bias = d2 * y - d1;
        if comptime!(head) {
            s0 = turn;
            dy = d2 * (1.0f32 - bias);
            d_modulus = d1;
            d_bias = d1 - d2 * y;
        } else {
            s0 = -turn;
            dy = d2 * (modulus + bias);
        }
        // A bias below −|m| is −|m|, and one above 1 is 1.
        let mut capped = r2;
        if capped > 1.0 {
            capped = 1.0f32;
        }
        if capped < -modulus {
            d_modulus -= d_bias;
        } else if r2 <= 1.0 {
            s2 = d_bias;
        }
        s1 = d_modulus * sign(r1);
    }
    if comptime!(equation == Equation::Mode) {
        if comptime!(head) {
            dx = d1;
        } else {
            dx = d1 * r0;
            s0 = d1 * x;
        }
    }
    if comptime!(equation == Equation::Rotate) {
        let angle = r0 * scale;
        let cosine = angle.cos();
        let mut sine = angle.sin();
        if comptime!(head) {
            sine = -sine;
        }
        dx = d0 * cosine + d1 * sine;
        dy = d1 * cosine - d0 * sine;
        s0 = (d1 * (x * cosine - y * sine) - d0 * (x * sine + y * cosine)) * scale;
        if comptime!(head) {
            s0 = -s0;
        }
    }
    if comptime!(equation == Equation::Transe) {
        if comptime!(head) {
            s0 = -d0;
        }
    }
    if comptime!(equation == Equation::Complex) {
        let mut imaginary = r1;
        if comptime!(head) {
            imaginary = -imaginary;
        }
        dx = d0 * r0 + d1 * imaginary;
        dy = d1 * r0 - d0 * imaginary;
        s0 = d0 * x + d1 * y;
        s1 = d1 * x - d0 * y;
        if comptime!(head) {
            s1 = -s1;
        }
    }
    (dx, dy, s0, s1, s2)
}

/// What a dimension adds to both sums of a candidate's distance.
#[cube]
pub(super) fn terms(
    x: f32,
    y: f32,
    q0: f32,
    q1: f32,
    q2: f32,
    scale: f32,
    #[comptime] equation: Equation,
) -> (f32, f32) {
    let mut first = 0.0f32;
    let mut second = 0.0f32;
    if comptime!(equation == Equation::Hake) {
        first = abs_sine(x * scale + q0);
        let rest = q1 * y - q2;
        second = rest * rest;
    }
    if comptime!(equation == Equation::Mode) {
        first = (q0 * x - q1).abs();
    }
    if comptime!(equation == Equation::Rotate) {
        first = ((x - q0) * (x - q0) + (y - q1) * (y - q1)).sqrt();
    }
    if comptime!(equation == Equation::Transe) {
        first = (x - q0).abs();
    }
    if comptime!(equation == Equation::Complex) {
        first = -(x * q0 + y * q1);
    }
    (first, second)
}

/// The score of both sums, and what stands for them in the gradient: the second as a norm.
#[cube]
pub(super) fn score(first: f32, second: f32, shared: &[f32], gamma: f32, #[comptime] equation: Equation) -> (f32, f32) {
    let mut score = gamma - first;
    let mut norm = second;
    if comptime!(equation == Equation::Hake) {
        norm = second.sqrt();
        score = gamma - shared[0] * first - shared[1] * norm;
    }
    (score, norm)
}

/// What [`gradient`] multiplies with, from the gradient of a score.
#[cube]
pub(super) fn factors(d: f32, norm: f32, shared: &[f32], #[comptime] equation: Equation) -> (f32, f32) {
    let mut first = -d;
    let mut second = 0.0f32;
    if comptime!(equation == Equation::Hake) {
        first = -d * shared[0] * PI;
        // At distance 0 the norm has no gradient; 0 is one of its subgradients.
        if norm > 0.0 {
            second = -d * shared[1] / norm;
        }
    }
    (first, second)
}

/// Gradients of a candidate and of its query.
#[cube]
#[allow(clippy::too_many_lines, reason = "a kernel is read whole")]
pub(super) fn gradient(
    x: f32,
    y: f32,
    q0: f32,
    q1: f32,
    q2: f32,
    scale: f32,
    first: f32,
    second: f32,
    #[comptime] equation: Equation,
) -> (f32, f32, f32, f32, f32) {
    let mut dx = 0.0f32;
    let mut dy = 0.0f32;
    let mut d0 = 0.0f32;
    let mut d1 = 0.0f32;
    let mut d2 = 0.0f32;
    if comptime!(equation == Equation::Hake) {
        d0 = first * abs_sine_slope(x * scale + q0);
        dx = d0 * scale;
        let rest = second * (q1 * y - q2);
        dy = rest * q1;
        d1 = rest * y;
        d2 = -rest;
    }
    if comptime!(equation == Equation::Mode) {
        let slope = first * sign(q0 * x - q1);
        dx = slope * q0;
        d0 = slope * x;
        d1 = -slope;
    }
    if comptime!(equation == Equation::Rotate) {
        let u = x - q0;
        let v = y - q1;
        let distance = (u * u + v * v).sqrt();
        if distance > 0.0 {
            dx = first * u / distance;
            dy = first * v / distance;
        }
        d0 = -dx;
        d1 = -dy;
    }
    if comptime!(equation == Equation::Transe) {
        dx = first * sign(x - q0);
        d0 = -dx;
    }
    if comptime!(equation == Equation::Complex) {
        dx = -first * q0;
        dy = -first * q1;
        d0 = -first * x;
        d1 = -first * y;
    }
    (dx, dy, d0, d1, d2)
}

/// Component `part` of a row in a dimension, zero where rows have only `parts`.
#[cube]
pub(super) fn number(
    table: &[f32],
    row: usize,
    channel: usize,
    dim: usize,
    #[comptime] part: usize,
    #[comptime] parts: usize,
) -> f32 {
    let mut value = 0.0f32;
    if comptime!(part < parts) {
        value = table[(row * parts + part) * dim + channel];
    }
    value
}

/// As [`number`], for several at once.
#[cube]
pub(super) fn numbers<N: Size>(
    table: &[Vector<f32, N>],
    row: usize,
    channel: usize,
    dim: usize,
    #[comptime] part: usize,
    #[comptime] parts: usize,
) -> Vector<f32, N> {
    let mut value = Vector::<f32, N>::new(0.0f32);
    if comptime!(part < parts) {
        value = table[(row * parts + part) * dim + channel];
    }
    value
}
