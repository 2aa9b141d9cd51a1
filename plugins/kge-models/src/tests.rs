//! The baselines against PyTorch, and every model against the checks of its slot.

use crate::{ComplexOptions, HakeOptions, ModeOptions, RotateOptions, TranseOptions};
use dualk_sdk::kge::{EmbeddingModel, Queries, Side};
use dualk_sdk::prelude::*;
use dualk_sdk::testing::check_kge_model;

const H: [f32; 6] = [0.3, -0.8, 1.1, 0.5, 0.9, -0.4];
const T: [f32; 6] = [-0.6, 0.2, 0.7, 1.3, -0.1, 0.8];
const R: [f32; 6] = [0.4, -1.2, 0.25, 0.6, 0.35, -0.9];

/// Compares score and gradients of (h, r, t), asked for from either side.
fn check(model: Box<dyn EmbeddingModel>, score: f32, gradients: [&[f32]; 3]) {
    let (width, relation_width) = (model.entity_width(), model.relation_width());
    let (h, r, t) = (&H[..width], &R[..relation_width], &T[..width]);
    for (open, own, candidate) in [(Side::Tail, h, t), (Side::Head, t, h)] {
        let mut query = vec![0.0; model.query_width()];
        model.query(open, own, r, &mut query);
        let queries = Queries { values: &query, rows: &[0] };
        let (mut found, mut saved) = ([0.0], vec![0.0; model.saved()]);
        model.scores(candidate, queries, &[], &mut found, &mut saved);
        assert!((found[0] - score).abs() < 1e-4, "{open:?}: {found:?}");
        let (mut d_candidate, mut d_query) = (vec![0.0; width], vec![0.0; query.len()]);
        model.backward(candidate, queries, &[], &saved, &[1.0], &mut d_candidate, &mut d_query, &mut []);
        let (mut d_own, mut d_relation) = (vec![0.0; width], vec![0.0; relation_width]);
        model.query_backward(open, own, r, &d_query, &mut d_own, &mut d_relation);
        let (d_h, d_t) = if open == Side::Tail { (d_own, d_candidate) } else { (d_candidate, d_own) };
        for (found, expected) in [d_h, d_relation, d_t].iter().zip(gradients) {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{open:?}: {found:?}, {expected:?}");
        }
    }
}

// PyTorch 2.8, γ = 6, the first `width` numbers of H, R and T each:
//   gamma - (h + r - t).abs().sum()
#[test]
fn transe_as_in_pytorch() {
    let gradients: [&[f32]; 3] = [&[-1.0, 1.0, -1.0], &[-1.0, 1.0, -1.0], &[1.0, -1.0, 1.0]];
    check(TranseOptions { dim: 3, gamma: 6.0 }.build().unwrap(), 1.85, gradients);
}

// As RotatE's own code has it, with (re, im) = (cos, sin)(r / (8 / 3 / π)):
//   gamma - torch.stack([h_re * re - h_im * im - t_re, h_re * im + h_im * re - t_im]).norm(dim=0).sum()
#[test]
fn rotate_as_in_pytorch() {
    let gradients: [&[f32]; 3] = [
        &[-0.254002, 0.791521, -0.201441, 0.967204, -0.611142, 0.979501],
        &[0.491458, -0.263252, 1.174415],
        &[0.665419, 0.479796, 0.477101, -0.74647, 0.87738, -0.878849],
    ];
    check(RotateOptions { dim: 3, gamma: 6.0 }.build().unwrap(), 2.880_222, gradients);
}

// ((h_re * r_re - h_im * r_im) * t_re + (h_re * r_im + h_im * r_re) * t_im).sum()
#[test]
fn complex_as_in_pytorch() {
    let gradients: [&[f32]; 3] = [
        &[0.54, -0.275, -0.545, 0.88, 0.05, 0.83],
        &[0.47, -0.25, 0.45, 0.69, -0.1, 1.16],
        &[-0.18, 0.645, -0.085, 0.38, -1.36, -1.09],
    ];
    check(ComplexOptions { dim: 3, gamma: 6.0 }.build().unwrap(), -0.0645, gradients);
}

#[test]
fn every_model_is_sound() {
    // 21 numbers: a block of sixteen, one of four and one of one.
    check_kge_model(HakeOptions { dim: 21, ..Default::default() });
    check_kge_model(ModeOptions { dim: 21, ..Default::default() });
    check_kge_model(RotateOptions { dim: 21, ..Default::default() });
    check_kge_model(TranseOptions { dim: 21, ..Default::default() });
    check_kge_model(ComplexOptions { dim: 21, ..Default::default() });
}
