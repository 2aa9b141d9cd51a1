//! Softmax over sets fused with the weighted sum, channel by channel or one weight for all channels.

use super::real::{Real, dot, mul_add};
use super::{Csr, ROWS_PER_TASK};
use crate::ops::dropped::Dropped;
use crate::vectorized_fn;
use rayon::prelude::*;

/// The inputs, row after row.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a, T> {
    pub scores: &'a [T],
    pub values: &'a [T],
    /// Channels of the scores: `width`, or 1.
    pub channels: usize,
    pub width: usize,
    pub dropped: Dropped,
}

/// What the forward pass leaves for the backward pass, and the gradient of its output.
#[derive(Clone, Copy)]
pub(super) struct Outputs<'a, T> {
    pub gradient: &'a [T],
    pub output: &'a [T],
    pub log_sum_exp: &'a [T],
}

/// Output, and the log-sum-exp of the scores, of every set.
pub(super) fn forward<T: Real>(inputs: Inputs<'_, T>, sets: &Csr) -> (Vec<T>, Vec<T>) {
    let mut output = vec![T::ZERO; sets.len() * inputs.width];
    let mut log_sum_exp = vec![T::ZERO; sets.len() * inputs.channels];
    let rows = output.par_chunks_mut(inputs.width).zip(log_sum_exp.par_chunks_mut(inputs.channels));
    rows.enumerate().with_min_len(ROWS_PER_TASK).for_each(|(s, (output, log_sum_exp))| {
        let range = sets.range(s);
        fuse(inputs, &sets.members()[range.clone()], range.start, output, log_sum_exp);
    });
    (output, log_sum_exp)
}

vectorized_fn! {
    /// One set.
    fn fuse<T: Real>(
        inputs: Inputs<'_, T>,
        members: &[u32],
        first: usize,
        output: &mut [T],
        log_sum_exp: &mut [T],
    ), FMA, {
        let Inputs { scores, values, channels, width, dropped } = inputs;
        if members.is_empty() {
            return;
        }
        let score = |m: u32| &scores[m as usize * channels..][..channels];
        // The largest score of each channel, in the place of the log-sum-exp.
        log_sum_exp.fill(T::LOWEST);
        for &m in members {
            for (top, &s) in log_sum_exp.iter_mut().zip(score(m)) {
                *top = top.larger(s);
            }
        }
        let mut total = vec![T::ZERO; channels];
        for (&m, position) in members.iter().zip(first..) {
            let (score, value) = (score(m), &values[m as usize * width..][..width]);
            if channels == 1 {
                let e = (score[0] - log_sum_exp[0]).exp();
                total[0] += e;
                let w = e * T::of(dropped.factor(position as u32));
                for c in 0..width {
                    output[c] = mul_add::<T, FMA>(w, value[c], output[c]);
                }
            } else {
                let (total, log_sum_exp, output) = (&mut total[..width], &log_sum_exp[..width], &mut output[..width]);
                let score = &score[..width];
                for c in 0..width {
                    let e = (score[c] - log_sum_exp[c]).exp();
                    total[c] += e;
                    let w = e * T::of(dropped.factor((position * width + c) as u32));
                    output[c] = mul_add::<T, FMA>(w, value[c], output[c]);
                }
            }
        }
        for (c, out) in output.iter_mut().enumerate() {
            *out = *out / total[if channels == 1 { 0 } else { c }];
        }
        for (log_sum_exp, total) in log_sum_exp.iter_mut().zip(total) {
            *log_sum_exp += total.ln();
        }
    }
}

/// Gradients of scores and values.
pub(super) fn backward<T: Real>(inputs: Inputs<'_, T>, outputs: Outputs<'_, T>, sets: &Csr) -> [Vec<T>; 2] {
    let Inputs { channels, width, .. } = inputs;
    let mut d_scores = vec![T::ZERO; inputs.scores.len()];
    let mut d_values = vec![T::ZERO; inputs.values.len()];
    // With one weight for all channels: what softmax subtracts from every member, g · out.
    let shared: Vec<T> = match channels == width {
        true => Vec::new(),
        false => {
            let rows = outputs.gradient.par_chunks(width).zip(outputs.output.par_chunks(width));
            rows.with_min_len(64).map(|(g, out)| dot::<T, false>(g, out)).collect()
        }
    };
    let transposed = sets.transposed();
    let rows = d_values.par_chunks_mut(width).zip(d_scores.par_chunks_mut(channels)).take(sets.columns());
    rows.enumerate().with_min_len(ROWS_PER_TASK).for_each(|(row, (d_values, d_scores))| {
        let range = transposed.range(row);
        if !range.is_empty() {
            let places = (&transposed.outputs[range.clone()], &transposed.positions[range]);
            collect(inputs, outputs, &shared, row, places, d_values, d_scores);
        }
    });
    [d_scores, d_values]
}

vectorized_fn! {
    /// One row of the table: what the sets that hold it send back.
    fn collect<T: Real>(
        inputs: Inputs<'_, T>,
        outputs: Outputs<'_, T>,
        shared: &[T],
        row: usize,
        places: (&[u32], &[u32]),
        d_values: &mut [T],
        d_scores: &mut [T],
    ), FMA, {
        let Inputs { scores, values, channels, width, dropped } = inputs;
        let (score, value) = (&scores[row * channels..][..channels], &values[row * width..][..width]);
        for (&set, &position) in places.0.iter().zip(places.1) {
            let (set, position) = (set as usize, position as usize);
            let gradient = &outputs.gradient[set * width..][..width];
            if channels == 1 && width != 1 {
                let p = (score[0] - outputs.log_sum_exp[set]).exp();
                let factor = T::of(dropped.factor(position as u32));
                for c in 0..width {
                    d_values[c] = mul_add::<T, FMA>(p * factor, gradient[c], d_values[c]);
                }
                d_scores[0] += p * (factor * dot::<T, FMA>(gradient, value) - shared[set]);
            } else {
                let log_sum_exp = &outputs.log_sum_exp[set * width..][..width];
                let output = &outputs.output[set * width..][..width];
                let (d_values, d_scores) = (&mut d_values[..width], &mut d_scores[..width]);
                for c in 0..width {
                    let p = (score[c] - log_sum_exp[c]).exp();
                    let factor = T::of(dropped.factor((position * width + c) as u32));
                    d_values[c] = mul_add::<T, FMA>(p * factor, gradient[c], d_values[c]);
                    d_scores[c] += p * gradient[c] * (factor * value[c] - output[c]);
                }
            }
        }
    }
}
